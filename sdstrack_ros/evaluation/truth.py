"""True boxes that carry their own stamps: a bag's truth topic, or a CSV file beside the bag.

stamp_ns,x,y,w,h
1700000000033000000,120,80,40,60
1700000000066000000,nan,nan,nan,nan        <- not visible
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError
from ..types import Box
from .overlap import FloatArray, has_box

_HEADER = ['stamp_ns', 'x', 'y', 'w', 'h']


@dataclass(frozen=True, eq=False)
class StampedTruth:
    """stamps_ns (N,) ascending and boxes (N,4), NaN = not visible."""

    stamps_ns: npt.NDArray[np.int64]
    boxes: FloatArray

    def row_at(self, stamp_ns: int, tolerance_ns: int = 0) -> int | None:
        """The row nearest to a stamp, None if none is within the tolerance: nothing is known there."""
        after = int(np.searchsorted(self.stamps_ns, stamp_ns))
        near = [row for row in (after - 1, after) if 0 <= row < len(self.stamps_ns)]
        best = min(near, key=lambda row: abs(int(self.stamps_ns[row]) - stamp_ns), default=None)
        if best is None or abs(int(self.stamps_ns[best]) - stamp_ns) > tolerance_ns:
            return None
        return best


def name_of(source: Path) -> str:
    """Of a bag or a folder of a sequence, also where the path that leads there says none, such as `.`."""
    source = Path(os.path.abspath(source))  # a link keeps its own name
    return source.stem if source.is_file() else source.name


def truth_path(bag: Path) -> Path:
    """Where the truth of a bag lies and `annotate` writes it: beside the bag."""
    return Path(os.path.abspath(bag)).parent / f'{name_of(bag)}.truth.csv'


def stamped(stamps_ns: list[int], boxes: list[list[float]], source: str) -> StampedTruth:
    """Checked and sorted; a stamp given twice with different boxes, or a box without area, is an error."""
    if not stamps_ns:
        raise DatasetError(f'{source}: holds no boxes')
    array = np.array(boxes, dtype=np.float64)
    array[~np.isfinite(array).all(axis=1)] = np.nan
    empty = np.isfinite(array).all(axis=1) & ~has_box(array)
    if empty.any():
        row = int(empty.argmax())
        raise DatasetError(f'{source}: the box at {stamps_ns[row]} ns has no area: {array[row].tolist()}')
    order = np.argsort(np.array(stamps_ns, dtype=np.int64), kind='stable')
    stamps, array = np.array(stamps_ns, dtype=np.int64)[order], array[order]
    repeated = np.flatnonzero(np.diff(stamps) == 0)
    for i in repeated:
        if not np.array_equal(array[i], array[i + 1], equal_nan=True):
            raise DatasetError(f'{source}: two different boxes at {stamps[i]} ns')
    keep = np.ones(len(stamps), dtype=np.bool_)
    keep[repeated + 1] = False
    return StampedTruth(stamps[keep], array[keep])


def read_truth(path: Path) -> StampedTruth:
    """The CSV file described above."""
    try:
        with path.open(newline='') as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f'{path}: cannot read the truth: {error}') from None
    if not rows or rows[0] != _HEADER:
        raise DatasetError(f'{path}: the first line must be {",".join(_HEADER)}')
    stamps, boxes = [], []
    for number, row in enumerate(rows[1:], 2):
        try:
            stamp, *box = row
            stamps.append(int(stamp))
            boxes.append([float(value) for value in box])
        except ValueError:
            box = []
        if len(box) != 4:
            raise DatasetError(f'{path}: line {number}: {",".join(row)!r} is not {",".join(_HEADER)}')
    return stamped(stamps, boxes, str(path))


def write_truth(path: Path, stamp_ns: int, box: Box) -> None:
    """Write a truth file that knows the first box only."""
    with path.open('w', newline='') as file:
        csv.writer(file).writerows([_HEADER, [stamp_ns, *box]])
