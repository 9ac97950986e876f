"""A sequence to evaluate on: frames that are read when asked for, and the true boxes.

sequence = open_folder(Path('rgbd_bear'))
for observation, box in zip(sequence.frames, sequence.truth): ...
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from ..errors import DatasetError
from ..types import Frame, Image, Modality, Observation
from .overlap import FloatArray, has_box
from .truth import StampedTruth, name_of

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff')
DEFAULT_RATE = 30.0  # Hz, for data that do not say


@dataclass(frozen=True, eq=False)
class EvaluationSequence:
    """Frames and truth of one sequence; picklable, so that another process can run it.

    frames can be iterated any number of times; modality None means RGB alone. stamps_ns: (T,) the stamps of
    the camera's frames. Truth belongs to frames by stamp, within `tolerance_ns`; a frame without a row is
    not judged. truth_x: (N,4) a second truth, drawn in the X image (RGBT234, GTOT), row by row. skipped:
    frames of the data set before the first one, where the target was not visible yet.
    """

    name: str
    benchmark: str
    modality: Modality | None
    frames: Iterable[Observation]
    stamps_ns: npt.NDArray[np.int64]
    truth: StampedTruth
    tolerance_ns: int = 0
    truth_x: FloatArray | None = None
    skipped: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not has_box(self.truth.boxes).any():
            raise DatasetError(f'{self.name}: no true box to start from')

    @property
    def rate(self) -> float:
        """Frames per second by the stamps."""
        steps = np.diff(self.stamps_ns)
        return float(1e9 / np.median(steps)) if len(steps) else DEFAULT_RATE


def sequence_of_files(
    folder: Path,
    benchmark: str,
    files: ImageFiles,
    boxes: FloatArray,
    *,
    name: str = '',
    truth_x: FloatArray | None = None,
    skipped: int = 0,
    notes: tuple[str, ...] = (),
) -> EvaluationSequence:
    """A sequence whose files and rows of truth belong together one by one."""
    check_counts(folder, boxes, files.rgb, files.x if files.modality else None)
    if not has_box(boxes[:1])[0]:
        raise DatasetError(f'{folder}: the first frame has no true box to start from')
    stamps = np.array(files.stamps_ns, dtype=np.int64)
    return EvaluationSequence(
        name=name or name_of(folder),
        benchmark=benchmark,
        modality=files.modality,
        frames=files,
        stamps_ns=stamps,
        truth=StampedTruth(stamps, boxes),
        truth_x=truth_x,
        skipped=skipped,
        notes=notes,
    )


@dataclass(frozen=True)
class ImageFiles:
    """Frames from image files, decoded one by one; `x` is empty for RGB alone."""

    rgb: tuple[Path, ...]
    x: tuple[Path, ...]
    modality: Modality | None
    stamps_ns: tuple[int, ...] = field(repr=False)

    def __iter__(self) -> Iterator[Observation]:
        return map(self.read, range(len(self.stamps_ns)))

    def read(self, index: int) -> Observation:
        """One frame of the sequence."""
        stamp = self.stamps_ns[index]
        rgb = Frame(stamp, read_rgb(self.rgb[index]))
        if self.modality is None:
            return Observation(rgb, None, 'no X stream')
        return Observation(rgb, Frame(stamp, read_x(self.x[index], self.modality)))


def read_rgb(path: Path) -> Image:
    """An image file as uint8 (H,W,3) RGB."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DatasetError(f'{path}: not a readable image')
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def read_x(path: Path, modality: Modality) -> Image:
    """An image file of the second sensor: depth uint16 (H,W); thermal (H,W) or RGB; event RGB."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DatasetError(f'{path}: not a readable image')
    if modality is Modality.DEPTH and image.ndim != 2:
        raise DatasetError(f'{path}: a depth image has one channel, this one has {image.shape[2]}')
    if image.ndim == 3:
        return np.asarray(cv2.cvtColor(image[..., :3], cv2.COLOR_BGR2RGB))
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)) if modality is Modality.EVENT else image


def list_images(folder: Path) -> tuple[Path, ...]:
    """The image files of a folder in order of name; none is an error."""
    found = tuple(sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES))
    if not found:
        raise DatasetError(f'{folder}: no image files ({", ".join(IMAGE_SUFFIXES)})')
    return found


def read_boxes(path: Path, *, strict: bool = True) -> FloatArray:
    """Boxes from a text file, one row per frame: x,y,w,h or a polygon of 8 numbers, which is enclosed.

    Separated by commas, blanks or tabs; `nan`, or a single number as VOT has it, = not visible. With
    `strict`, a box without area is an error; without, it is left to the benchmark's own rule.
    """
    try:
        lines = path.read_text().split('\n')
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f'{path}: cannot read the boxes: {error}') from None
    rows = [_parse_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise DatasetError(f'{path}: holds no boxes')
    boxes = np.array(rows, dtype=np.float64)
    if strict:
        empty = np.isfinite(boxes).all(axis=1) & ~has_box(boxes)
        if empty.any():
            row = int(empty.argmax())
            raise DatasetError(
                f'{path}: row {row + 1}: {boxes[row].tolist()} has no area; '
                'write nan,nan,nan,nan where the target is not visible'
            )
    return boxes


def _parse_row(path: Path, number: int, line: str) -> list[float]:
    parts = [p for p in re.split(r'[,\s]+', line.strip()) if p]
    try:
        values = [float(p) for p in parts]
    except ValueError:
        raise DatasetError(f'{path}: line {number}: {line.strip()!r} is not a row of numbers') from None
    if len(values) == 1:  # VOT's special regions: unknown, initialisation, failure
        return [float('nan')] * 4
    if len(values) == 8:
        xs, ys = values[0::2], values[1::2]
        return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    if len(values) != 4:
        raise DatasetError(f'{path}: line {number}: {len(values)} numbers, expected x,y,w,h')
    return values if np.isfinite(values).all() else [float('nan')] * 4


def regular_stamps(count: int, rate: float = DEFAULT_RATE) -> tuple[int, ...]:
    """`count` stamps of a camera at `rate` Hz, ns; the first is one period after zero."""
    return tuple(round((i + 1) * 1e9 / rate) for i in range(count))


def open_folder(folder: Path) -> EvaluationSequence:
    """The folder layout: rgb/, x/ (unless RGB alone), groundtruth.txt, meta.yaml.

    meta.yaml needs `modality` (depth, thermal, event, none); `frame_rate` is used if it starts with a number;
    frame_timestamps_us.txt, if there, gives the true times.
    """
    meta = _read_meta(folder / 'meta.yaml')
    kind = str(meta.get('modality', ''))
    if kind not in ('none', *(m.value for m in Modality)):
        raise DatasetError(
            f'{folder / "meta.yaml"}: modality {kind!r}, expected depth, thermal, event or none'
        )
    modality = None if kind == 'none' else Modality(kind)
    rgb = list_images(folder / 'rgb')
    x = list_images(folder / 'x') if modality else ()
    stamps = _stamps(folder, len(rgb), str(meta.get('frame_rate', '')))
    return sequence_of_files(
        folder,
        'folder',
        ImageFiles(rgb, x, modality, stamps),
        read_boxes(folder / 'groundtruth.txt'),
        name=str(meta.get('name', '')),
    )


def check_counts(folder: Path, truth: FloatArray, rgb: Sequence[Path], x: Sequence[Path] | None) -> None:
    """Raise DatasetError unless each frame has its images and its row of truth."""
    if len(truth) != len(rgb) or (x is not None and len(x) != len(rgb)):
        second = '' if x is None else f', {len(x)} X images'
        raise DatasetError(
            f'{folder}: {len(rgb)} RGB images{second}, {len(truth)} truth rows; they must agree'
        )


def _read_meta(path: Path) -> dict[str, object]:
    try:
        meta = yaml.safe_load(path.read_text())
    except OSError as error:
        raise DatasetError(f'{path}: cannot be read: {error.strerror}') from None
    except yaml.YAMLError as error:
        raise DatasetError(f'{path}: not valid YAML: {error}') from None
    if not isinstance(meta, dict):
        raise DatasetError(f'{path}: expected a mapping with `modality`')
    return meta


def _stamps(folder: Path, count: int, frame_rate: str) -> tuple[int, ...]:
    times = folder / 'frame_timestamps_us.txt'
    if times.exists():
        microseconds = [int(word) for word in times.read_text().split()]
        if len(microseconds) != count:
            raise DatasetError(f'{times}: {len(microseconds)} times for {count} frames')
        return tuple(1_000_000 + 1000 * (us - microseconds[0]) for us in microseconds)  # zero is 'no stamp'
    number = re.match(r'[0-9.]+', frame_rate)
    return regular_stamps(count, float(number.group()) if number else DEFAULT_RATE)
