"""The two streams of one moment, and what stands in for one that is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import ImageError, SettingError
from ..sensing.appearance import Appearance
from ..types import Image, Mode

MISSING = ('auto', 'skip', 'zero', 'last', 'copy')
"""What the network sees in place of a stream that is down.

skip: nothing, it runs the other stream alone, at less than half the cost. zero: zero tokens, as in masked
training. last: the stream's last frame, if it had one. copy: the other stream's picture. auto: what
was measured to be the most accurate with the weights that ship, skip for every modality (docs/missing.md).
"""

_MEASURED = 'skip'


def stand_in(missing: str) -> str:
    """One of MISSING with `auto` resolved. Raises SettingError for anything else."""
    if missing not in MISSING:
        raise SettingError(f'missing: {missing!r} is not one of {", ".join(MISSING)}')
    return _MEASURED if missing == 'auto' else missing


@dataclass(frozen=True, eq=False)
class Picture:
    """One stream's frame, and what makes three channels of a part of it."""

    image: Image
    convert: Callable[[Image], Image] | None = None


@dataclass(frozen=True, eq=False)
class Pair:
    """RGB and X of one moment; None where the stream is missing."""

    rgb: Picture | None
    x: Picture | None

    @property
    def mode(self) -> Mode:
        if self.rgb is None:
            return Mode.BLIND if self.x is None else Mode.X_ONLY
        return Mode.RGB_ONLY if self.x is None else Mode.FUSED

    def filled_from(self, earlier: Pair) -> Pair:
        """With the earlier frame of a stream that is missing now."""
        return Pair(self.rgb or earlier.rgb, self.x or earlier.x)

    def copied(self) -> Pair:
        """With images of its own: the caller's may be buffers that the next frame is written to."""
        return Pair(*(each and Picture(each.image.copy(), each.convert) for each in (self.rgb, self.x)))

    def __and__(self, other: Pair) -> Pair:
        """Of this pair the streams that the other has too."""
        return Pair(other.rgb and self.rgb, other.x and self.x)


def observe(
    rgb: Image | None, x: Image | None, appearance: Appearance, size: tuple[int, int] | None
) -> tuple[Pair, tuple[int, int]]:
    """The pair, checked, and its image size (width, height).

    rgb: uint8 (H,W,3). x: raw, as `appearance` has it. size: what it has to be; None for any. ImageError
    names the stream at fault.
    """
    if rgb is not None and (rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0):
        raise ImageError(f'RGB image is {rgb.dtype} {rgb.shape}, expected uint8 (height, width, 3)')
    for name, image in (('RGB', rgb), ('X', x)):
        if image is None:
            continue
        if image.ndim < 2:
            raise ImageError(f'{name} image has shape {image.shape}, expected (height, width, ...)')
        found = image.shape[1], image.shape[0]
        if size is not None and found != size:
            raise ImageError(
                f'{name} image is {found[0]}x{found[1]}, expected {size[0]}x{size[1]}: both streams keep one '
                f'size; set the target again after a change'
            )
        size = found
    if size is None:
        raise ImageError('neither an RGB nor an X image')
    return Pair(
        None if rgb is None else Picture(rgb),
        None if x is None else Picture(x, appearance.prepare(x).convert),
    ), size
