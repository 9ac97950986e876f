"""Cheap checks of every frame: does the sensor still see something, or does it merely send images?

    check = ContentCheck('depth')
    problem = check.problem(frame.image)        # None, or a short reason: 'no valid depth'

A sample of a few thousand pixels answers almost always; the whole image is read only to confirm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..settings import check, setting
from ..types import Image

StreamKind = Literal['rgb', 'depth', 'thermal', 'event']

SAMPLES = 5000
# A share below 1, so that hot pixels, time stamps and reflections do not hide a covered or blinded camera.
NEARLY_ALL = 0.995

# What each kind may look like: (number of dimensions, dtype) of its images.
EXPECTED: dict[str, tuple[tuple[int, str], ...]] = {
    'rgb': ((3, 'uint8'),),
    'depth': ((2, 'uint16'), (2, 'float32'), (2, 'float64')),
    'thermal': ((2, 'uint8'), (2, 'uint16'), (3, 'uint8')),
    'event': ((3, 'uint8'),),
}


@dataclass(frozen=True)
class ContentSettings:
    """When the content of a frame counts as a fault of its sensor."""

    black_level: int = setting(8, 'RGB levels up to this are black', minimum=0, maximum=64)
    saturated_level: int = setting(250, 'RGB levels from this on are saturated', minimum=128, maximum=255)
    frozen_frames: int = setting(
        6,
        'repeats of one frame in a row that mean a frozen sensor, 0: never (simulators without noise)',
        minimum=0,
        maximum=10_000,
    )

    def __post_init__(self) -> None:
        check(self)


class ContentCheck:
    """Looks at the frames of one stream, in order."""

    def __init__(self, kind: StreamKind, settings: ContentSettings | None = None) -> None:
        self._kind = kind
        self._settings = settings or ContentSettings()
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next frame sets the size it has."""
        self._size: tuple[int, int] | None = None
        self._previous: Image | None = None
        self._repeats = 0

    def problem(self, image: Image) -> str | None:
        """Why this frame cannot be used, in a few words, or None.

        The first usable frame sets the size; another size is a problem until `reset`, because boxes and
        registration refer to the first. The image is kept until the next call: do not write into it.
        """
        found = self._wrong_form(image)
        if found is not None:
            return found
        every = max(1, int((image.shape[0] * image.shape[1] / SAMPLES) ** 0.5))
        sample = image[::every, ::every]
        frozen = self._frozen(image, sample, every)
        return self._blind(image, sample) or frozen

    def _wrong_form(self, image: Image) -> str | None:
        allowed = EXPECTED[self._kind]
        if image.size == 0 or (image.ndim, str(image.dtype)) not in allowed:
            return f'wrong encoding: {image.dtype} {image.shape}'
        if image.ndim == 3 and image.shape[2] != 3:
            return f'wrong encoding: {image.shape[2]} channels'
        height, width = image.shape[:2]
        if self._size is None:
            self._size = (height, width)
        if (height, width) != self._size:
            before = f'{self._size[1]}x{self._size[0]}'
            return f'size changed from {before} to {width}x{height}; reset the tracker to go on with it'
        return None

    def _blind(self, image: Image, sample: Image) -> str | None:
        if self._kind == 'depth':
            return self._no_depth(image, sample)
        if self._kind == 'event':
            # White is a scene at rest; black has lost even its ground.
            return 'black' if not sample.any() else None
        low, high = self._settings.black_level, self._settings.saturated_level
        if self._kind == 'thermal':  # near-uniform scenes are normal here: only the ends of the scale count
            low, high = 0, int(np.iinfo(image.dtype).max)
        if np.count_nonzero(sample <= low) >= NEARLY_ALL * sample.size:
            return 'black'
        if np.count_nonzero(sample >= high) >= NEARLY_ALL * sample.size:
            return 'saturated'
        return None

    def _no_depth(self, image: Image, sample: Image) -> str | None:
        """Half-empty depth is normal; only a frame without one measurement is blind."""
        if _measured(sample).any() or _measured(image).any():
            return 'saturated' if image.dtype == np.uint16 and (sample == 65535).all() else None
        if np.isnan(sample).any():
            return 'no valid depth: NaN'
        return 'no valid depth: infinite or negative' if sample.any() else 'no valid depth: all zero'

    def _frozen(self, image: Image, sample: Image, every: int) -> str | None:
        """Sensor noise makes two equal frames rare; cameras that repeat frames do so a few times only."""
        previous, self._previous = self._previous, image
        at_rest = self._kind == 'event' and bool((sample == 255).all())
        same = (
            previous is not None
            and not at_rest
            and previous.dtype == image.dtype
            and np.array_equal(_bits(sample), _bits(previous[::every, ::every]))
            and np.array_equal(_bits(image), _bits(previous))
        )
        self._repeats = self._repeats + 1 if same else 0
        if self._repeats == 0 or self._repeats < (self._settings.frozen_frames or math.inf):
            return None
        return f'frozen: the same frame {self._repeats + 1} times'


def _measured(depth: Image) -> Image:
    return (depth > 0) & (depth < np.inf) if depth.dtype != np.uint16 else depth > 0


def _bits(image: Image) -> Image:
    """The image as integers, in which a NaN equals itself."""
    return image.view(f'u{image.itemsize}')
