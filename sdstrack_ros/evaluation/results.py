"""What one tracker answered on one sequence under one condition, frame by frame, and its files.

The full record is an .npz of arrays with a JSON header: it makes an interrupted evaluation resumable. The
boxes are also written in each benchmark's own format, and such files of other trackers can be read.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError
from .overlap import BoolArray, FloatArray, has_box
from .sequences import read_boxes

_ARRAYS = (
    'stamps_ns',
    'boxes',
    'scores',
    'states',
    'modes',
    'held',
    'fresh',
    'latency',
    'present',
    'truth',
    'judged',
)


@dataclass(frozen=True, eq=False)
class SequenceResult:
    """Row 0 is the frame that set the target.

    boxes (T,4) px, NaN = none; truth (T,4), NaN = not visible; judged (T,) false where nothing is known of
    the truth; truth_x: the second truth; present (T,2) streams given to the tracker; fresh: computed from
    this very frame (not skipped, held or withdrawn); latency (T,) s of processing, NaN where skipped.
    """

    sequence: str
    benchmark: str
    tracker: str
    condition: str
    stamps_ns: npt.NDArray[np.int64]
    boxes: FloatArray
    scores: FloatArray
    states: npt.NDArray[np.int64]
    modes: npt.NDArray[np.int64]
    held: BoolArray
    fresh: BoolArray
    latency: FloatArray
    present: BoolArray
    truth: FloatArray
    judged: BoolArray
    size: tuple[int, int]
    truth_x: FloatArray | None = None
    skipped: int = 0
    notes: tuple[str, ...] = ()
    fingerprint: str = ''

    def __len__(self) -> int:
        return len(self.boxes)

    def save(self, path: Path) -> None:
        """Write the record at once: a reader sees the whole file or none."""
        header: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                'sequence',
                'benchmark',
                'tracker',
                'condition',
                'size',
                'skipped',
                'notes',
                'fingerprint',
            )
        }
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        if self.truth_x is not None:
            arrays['truth_x'] = self.truth_x
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix('.partial.npz')
        np.savez_compressed(partial, header=np.array(json.dumps(header)), **arrays)
        os.replace(partial, path)

    @classmethod
    def load(cls, path: Path) -> SequenceResult:
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file['header']))
                arrays = {name: file[name] for name in (*_ARRAYS, 'truth_x') if name in file.files}
                header.update(size=tuple(header['size']), notes=tuple(header['notes']))
                return cls(**header, **arrays)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise DatasetError(f'{path}: not a readable result: {error}') from None


def write_benchmark_file(result: SequenceResult, folder: Path) -> None:
    """The boxes in the benchmark's own result format, below `folder`.

    lasher, rgbt234, gtot: x y w h by blanks, %.18e. visevent: commas, %.14f. depthtrack, votrgbd: the
    vot-toolkit's trajectory with confidence and time. Others: commas. No box is written as zeros.
    """
    folder.mkdir(parents=True, exist_ok=True)
    boxes = np.where(has_box(result.boxes)[:, None], result.boxes, 0.0)
    if result.benchmark in ('depthtrack', 'votrgbd'):
        _write_trajectory(result, folder / result.sequence)
        return
    path = folder / f'{result.sequence}.txt'
    if result.benchmark in ('lasher', 'rgbt234', 'gtot'):
        np.savetxt(path, boxes)
    elif result.benchmark == 'visevent':
        np.savetxt(path, boxes, fmt='%.14f', delimiter=',')
    else:
        np.savetxt(path, boxes, fmt='%.6f', delimiter=',')


def _write_trajectory(result: SequenceResult, folder: Path) -> None:
    """vot-toolkit: line 1 is the special region 1 (initialisation) without a confidence."""
    folder.mkdir(parents=True, exist_ok=True)
    known = has_box(result.boxes)
    rows = [
        ','.join(f'{v:.6f}' for v in box) if ok else '0' for box, ok in zip(result.boxes, known, strict=True)
    ]
    scores = [f'{score:.8f}' for score in result.scores]
    times = ['' if np.isnan(t) else f'{t:.6f}' for t in result.latency]
    stem = folder / f'{result.sequence}_001'
    stem.with_suffix('.txt').write_text('\n'.join(['1', *rows[1:]]) + '\n')
    stem.with_name(stem.name + '_confidence.value').write_text('\n'.join(['', *scores[1:]]) + '\n')
    stem.with_name(stem.name + '_time.value').write_text('\n'.join(times) + '\n')


def read_benchmark_file(folder: Path, sequence: str) -> tuple[FloatArray, FloatArray | None]:
    """Boxes (T,4), NaN = none, and confidences (T,) where the format has them, of anybody's tracker."""
    trajectories = sorted(folder.glob(f'{sequence}/{sequence}_[0-9][0-9][0-9].txt'))
    if trajectories:
        boxes = read_boxes(trajectories[0], strict=False)
        values = trajectories[0].with_name(trajectories[0].stem + '_confidence.value')
        if not values.exists():
            return boxes, None
        lines = values.read_text().split('\n')[: len(boxes)]
        if len(lines) < len(boxes):
            raise DatasetError(f'{values}: {len(lines)} confidences for {len(boxes)} boxes')
        return boxes, np.array([float(line) if line.strip() else np.nan for line in lines])
    path = folder / f'{sequence}.txt'
    if not path.exists():
        raise DatasetError(
            f'{folder}: no result for {sequence}: neither {sequence}.txt nor a vot-toolkit trajectory'
        )
    return read_boxes(path, strict=False), None
