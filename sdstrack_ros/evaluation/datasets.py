"""The published layouts of RGB-X benchmarks, and finding out which one a folder has.

| layout | a sequence's folder |
| --- | --- |
| depthtrack, votrgbd | color/, depth/, groundtruth.txt (votrgbd: a file `sequence` as well) |
| lasher, rgbt234 | visible/, infrared/, visible.txt, infrared.txt |
| gtot | v/, i/, groundTruth_v.txt, groundTruth_i.txt (corners) |
| visevent | vis_imgs/, event_imgs/, groundtruth.txt, absent_label.txt (1 = present) |
| folder | rgb/, x/, groundtruth.txt, meta.yaml |
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import DatasetError
from ..types import Modality
from .overlap import FloatArray, has_box
from .sequences import (
    EvaluationSequence,
    ImageFiles,
    check_counts,
    list_images,
    open_folder,
    read_boxes,
    regular_stamps,
    sequence_of_files,
)

BENCHMARKS = ('depthtrack', 'votrgbd', 'lasher', 'rgbt234', 'gtot', 'visevent', 'folder')


def find_sequences(source: Path, benchmark: str | None = None) -> list[EvaluationSequence]:
    """All sequences of a folder: the folder itself is one, or its subfolders are, one or two levels down.

    `benchmark` says which rules count where the layout does not tell (LasHeR and RGBT234 look alike).
    """
    if not source.is_dir():
        raise DatasetError(f'{source}: no such folder')
    folders = _sequence_folders(source)
    if not folders:
        raise DatasetError(
            f'{source}: neither a bag nor a sequence nor a folder of sequences; known layouts: '
            f'{", ".join(BENCHMARKS)}'
        )
    return [open_sequence(folder, benchmark) for folder in folders]


def open_sequence(folder: Path, benchmark: str | None = None) -> EvaluationSequence:
    """One sequence in any of the layouts."""
    layout = layout_of(folder, benchmark)
    if layout in ('depthtrack', 'votrgbd'):
        return _open_rgbd(folder, layout)
    if layout in ('lasher', 'rgbt234'):
        return _open_rgbt(folder, layout)
    return {'gtot': _open_gtot, 'visevent': _open_visevent, 'folder': open_folder}[layout](folder)


def layout_of(folder: Path, benchmark: str | None = None) -> str:
    """The layout's name by what lies in the folder; an ambiguous one is an error."""
    found = _layouts_by_content(folder)
    if benchmark is not None:
        if benchmark not in BENCHMARKS:
            raise DatasetError(f'benchmark {benchmark!r} is not one of {", ".join(BENCHMARKS)}')
        if benchmark not in found:
            raise DatasetError(
                f'{folder}: looks like {" or ".join(found) or "no sequence"}, not like {benchmark}'
            )
        return benchmark
    if len(found) > 1:
        path = str(folder.resolve()).lower()
        found = tuple(name for name in found if name in path) or found
    if len(found) != 1:
        what = f'can be {" or ".join(found)}: say which with --benchmark' if found else 'is no sequence'
        raise DatasetError(f'{folder}: {what}')
    return found[0]


def _layouts_by_content(folder: Path) -> tuple[str, ...]:
    has = {entry.name for entry in folder.iterdir()}
    if {'color', 'depth', 'groundtruth.txt'} <= has:
        return ('votrgbd',) if 'sequence' in has else ('depthtrack',)
    if {'visible', 'infrared', 'visible.txt', 'infrared.txt'} <= has:
        return ('lasher', 'rgbt234')
    if {'v', 'i', 'groundTruth_v.txt', 'groundTruth_i.txt'} <= has:
        return ('gtot',)
    if {'vis_imgs', 'event_imgs', 'groundtruth.txt'} <= has:
        return ('visevent',)
    return ('folder',) if {'rgb', 'groundtruth.txt', 'meta.yaml'} <= has else ()


def _sequence_folders(source: Path, levels: int = 2) -> list[Path]:
    if _layouts_by_content(source):
        return [source]
    if not levels:
        return []
    inside = sorted(p for p in source.iterdir() if p.is_dir())
    return [found for folder in inside for found in _sequence_folders(folder, levels - 1)]


def _open_rgbd(folder: Path, layout: str) -> EvaluationSequence:
    truth = read_boxes(folder / 'groundtruth.txt')
    rgb, depth = list_images(folder / 'color'), list_images(folder / 'depth')
    files = ImageFiles(rgb, depth, Modality.DEPTH, regular_stamps(len(rgb)))
    return sequence_of_files(folder, layout, files, truth)


def _open_rgbt(folder: Path, layout: str) -> EvaluationSequence:
    truth = read_boxes(folder / 'visible.txt', strict=False)
    second = read_boxes(folder / 'infrared.txt', strict=False)
    rgb, thermal = _as_long_as(
        folder, truth, second, list_images(folder / 'visible'), list_images(folder / 'infrared')
    )
    files = ImageFiles(rgb, thermal, Modality.THERMAL, regular_stamps(len(rgb)))
    return sequence_of_files(folder, layout, files, truth, truth_x=second)


def _open_gtot(folder: Path) -> EvaluationSequence:
    truth, second = (_corners(read_boxes(folder / f'groundTruth_{s}.txt', strict=False)) for s in 'vi')
    rgb, thermal = _as_long_as(folder, truth, second, list_images(folder / 'v'), list_images(folder / 'i'))
    files = ImageFiles(rgb, thermal, Modality.THERMAL, regular_stamps(len(rgb)))
    return sequence_of_files(folder, 'gtot', files, truth, truth_x=second)


def _open_visevent(folder: Path) -> EvaluationSequence:
    """Frames before the first present one are left out, as VisEvent's runners do."""
    truth = read_boxes(folder / 'groundtruth.txt', strict=False)
    present = has_box(truth)
    labels = folder / 'absent_label.txt'
    if labels.exists():
        words = labels.read_text().split()
        if len(words) != len(truth):
            raise DatasetError(f'{labels}: {len(words)} labels for {len(truth)} truth rows')
        present &= np.array([float(word) == 1 for word in words])
    rgb, events = list_images(folder / 'vis_imgs'), list_images(folder / 'event_imgs')
    check_counts(folder, truth, rgb, events)
    if not present.any():
        raise DatasetError(f'{folder}: the target is present in no frame')
    first = int(present.argmax())
    notes = (f'{first} leading frames without target left out',) if first else ()
    files = ImageFiles(rgb[first:], events[first:], Modality.EVENT, regular_stamps(len(rgb) - first))
    seen = np.where(present[:, None], truth, np.nan)[first:]
    return sequence_of_files(folder, 'visevent', files, seen, skipped=first, notes=notes)


def _corners(rows: FloatArray) -> FloatArray:
    """GTOT's two opposite corners as x, y, w, h."""
    low = np.minimum(rows[:, :2], rows[:, 2:])
    return np.concatenate([low, np.maximum(rows[:, :2], rows[:, 2:]) - low], axis=1)


def _as_long_as(
    folder: Path, truth: FloatArray, second: FloatArray, rgb: tuple[Path, ...], x: tuple[Path, ...]
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Images beyond the truth are not used, as the RGB-T toolkits do; too few images are an error."""
    if len(second) != len(truth):
        raise DatasetError(f'{folder}: {len(truth)} visible and {len(second)} infrared truth rows')
    return rgb[: len(truth)], x[: len(truth)]
