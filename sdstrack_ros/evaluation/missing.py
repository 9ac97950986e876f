"""Sensors that fail on purpose: which stream is there in which frame.

A mask is (T,2) bool, [RGB present, X present]; the first frame, which sets the target, is always complete.
A condition is written as text, on the command line and in results:

| text | meaning |
| --- | --- |
| complete | nothing is missing |
| rgb:0.5, x:0.5 | that share of the frames loses this sensor, at random: SDSTrack's protocol (section 4.3) |
| random:0.3 | that share of the frames loses one sensor or the other, at random |
| long_term:0.6 | one sensor is gone for one long stretch |
| swap:0.9 | one sensor is gone for a stretch, then the other |
| long_term+random:0.3, swap+random:0.3 | half of the share as a stretch, half at random |
| outage:rgb@2-3,x@5-5.5,both@8- | scripted, seconds from the first frame; an open end lasts |
| file:masks.json | files of LasHeR-Miss (IPL) and FlexTrack: {sequence: {"data": [[1, 1], [0, 1], ...]}} |

The five patterns are those of Lu et al., 'Modality-missing RGBT tracking' (IPL), with rates .3, .6 and .9.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError, SettingError
from .overlap import BoolArray

Mask = npt.NDArray[np.bool_]
PATTERNS = ('random', 'long_term', 'swap', 'long_term+random', 'swap+random')
RATES = (0.3, 0.6, 0.9)
RGB, X = 0, 1
_OUTAGE = re.compile(r'^(rgb|x|both)@(\d+(?:\.\d*)?)-(\d+(?:\.\d*)?)?$')


@dataclass(frozen=True)
class Condition:
    """One way in which sensors fail; `text` as in the module's table."""

    text: str
    seed: int = 0

    def __post_init__(self) -> None:
        kind, _, argument = self.text.partition(':')
        if kind == 'complete' and not argument:
            return
        if kind == 'outage':
            _outages(argument)
        elif kind == 'file':
            if not Path(argument).is_file():
                raise DatasetError(f'mask file {argument!r} does not exist')
        elif kind in ('rgb', 'x', *PATTERNS):
            _rate(self.text, argument)
        else:
            known = ', '.join(('complete', 'rgb', 'x', *PATTERNS, 'outage', 'file'))
            raise SettingError(f'missing: {self.text!r} is not one of {known}')

    @property
    def identity(self) -> str:
        """Changes when a mask may: the description and the content of its file."""
        kind, _, argument = self.text.partition(':')
        content = hashlib.sha256(Path(argument).read_bytes()).hexdigest() if kind == 'file' else ''
        return f'{self!r} {content}'

    @property
    def is_complete(self) -> bool:
        return self.text == 'complete'

    def mask(self, sequence: str, stamps_ns: npt.NDArray[np.int64], skipped: int = 0) -> Mask:
        """The mask of one sequence with these frames; the same every time for the same seed.

        skipped: frames of the data set before these, for which a mask file has rows as well.
        """
        count = len(stamps_ns)
        kind, _, argument = self.text.partition(':')
        if kind == 'complete':
            mask = np.ones((count, 2), dtype=np.bool_)
        elif kind == 'outage':
            mask = _scripted(argument, stamps_ns)
        elif kind == 'file':
            mask = load_mask(Path(argument), sequence, skipped + count)[skipped:]
        else:
            seed = zlib.crc32(f'{self.seed}/{sequence}/{self.text}'.encode())
            mask = generated(kind, _rate(self.text, argument), count, np.random.default_rng(seed))
        mask[:1] = True
        return mask


def sweep(sensor: str, steps: int = 10) -> list[str]:
    """Conditions that lose one sensor ('rgb' or 'x') in 0 to 100 % of the frames."""
    return [f'{sensor}:{i / steps:g}' for i in range(steps + 1)]


def generated(kind: str, rate: float, count: int, rng: np.random.Generator) -> Mask:
    """A mask of the named pattern that misses round(rate * (count - 1)) frames; frame 0 is complete."""
    mask = np.ones((count, 2), dtype=np.bool_)
    number = round(rate * (count - 1))
    if kind in ('rgb', 'x'):
        mask[_any_of(np.arange(1, count), number, rng), RGB if kind == 'rgb' else X] = False
        return mask
    stretch, _, scattered = kind.partition('+')
    long = number if not scattered else number // 2
    first = int(rng.integers(2))
    if stretch == 'random':
        long = 0
    elif long:
        start = int(rng.integers(1, count - long + 1))
        middle = start + (long if stretch == 'long_term' else long // 2)
        mask[start:middle, first] = False
        mask[middle : start + long, 1 - first] = False
    left = 1 + np.flatnonzero(mask[1:].all(axis=1))
    chosen = _any_of(left, number - long, rng)
    mask[chosen, rng.integers(0, 2, len(chosen))] = False
    return mask


def load_mask(path: Path, sequence: str, count: int) -> Mask:
    """One sequence's mask from an IPL or FlexTrack file; it must have a row for each frame."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DatasetError(f'mask file {path}: cannot be read: {error}') from None
    entry = content.get(sequence) if isinstance(content, dict) else None
    rows = entry.get('data') if isinstance(entry, dict) else None
    if rows is None:
        raise DatasetError(f'mask file {path}: has no {sequence!r} with "data"')
    try:
        values = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.shape != (count, 2) or not np.isin(values, (0.0, 1.0)).all():
        raise DatasetError(
            f'mask file {path}: {sequence}: expected {count} rows of [rgb, x], each 0 or 1, '
            f'got shape {values.shape}'
        )
    return np.asarray(values > 0)


def save_masks(path: Path, masks: dict[str, Mask]) -> None:
    """Write masks in the format that `load_mask` reads."""
    content = {name: {'data': mask.astype(float).tolist()} for name, mask in masks.items()}
    path.write_text(json.dumps(content))


def _any_of(frames: npt.NDArray[np.int64], number: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return rng.choice(frames, size=number, replace=False)


def _rate(text: str, argument: str) -> float:
    try:
        rate = float(argument)
    except ValueError:
        rate = -1.0
    if not 0.0 <= rate <= 1.0:
        raise SettingError(f'missing: {text!r} needs a share of frames from 0 to 1, as in random:0.3')
    return rate


def _outages(script: str) -> list[tuple[str, float, float]]:
    """(sensor, start, end) in seconds of a script such as 'rgb@2-3,x@5-'."""
    found = []
    for part in script.split(','):
        match = _OUTAGE.match(part)
        if match is None:
            raise SettingError(
                f'missing: {part!r} is not SENSOR@START-END, as in rgb@2-3.5 (sensor rgb, x, both)'
            )
        start, end = float(match[2]), float(match[3]) if match[3] else float('inf')
        if end <= start:
            raise SettingError(f'missing: {part!r} ends before it starts')
        found.append((match[1], start, end))
    return found


def _scripted(script: str, stamps_ns: npt.NDArray[np.int64]) -> Mask:
    seconds = (stamps_ns - stamps_ns[0]) * 1e-9
    mask = np.ones((len(stamps_ns), 2), dtype=np.bool_)
    for sensor, start, end in _outages(script):
        during: BoolArray = (seconds >= start) & (seconds < end)
        mask[during, {'rgb': slice(0, 1), 'x': slice(1, 2), 'both': slice(0, 2)}[sensor]] = False
    return mask
