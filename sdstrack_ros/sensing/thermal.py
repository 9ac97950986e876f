"""Thermal images to the three channels the model knows.

8-bit thermal is already scaled by the camera and is replicated or passed on. 16-bit (radiometric) counts
are stretched between two percentiles of the frame. Template and search must look alike, so these limits
follow the scene slowly instead of jumping with every hot or cold thing that enters it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import ImageError
from ..settings import check, setting
from ..types import Image


@dataclass(frozen=True)
class ThermalSettings:
    """How 16-bit thermal images become 8-bit ones."""

    low_percentile: float = setting(1.0, 'percentile shown black', minimum=0.0, maximum=49.0)
    high_percentile: float = setting(99.0, 'percentile shown white', minimum=51.0, maximum=100.0)
    smoothing_frames: float = setting(
        30.0, 'frames over which the limits follow the scene (1: at once)', minimum=1.0, maximum=1000.0
    )
    minimum_span: float = setting(
        50.0,
        'least counts between black and white, so that noise is not stretched',
        minimum=1.0,
        maximum=65535.0,
    )
    jump_frames: int = setting(
        15,
        'frames for which limits far from the old ones (shutter, calibration) are ignored',
        minimum=0,
        maximum=600,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ThermalRange:
    """The limits in counts that one frame is shown with; `convert` holds for any crop of it."""

    black: float
    white: float

    def convert(self, patch: Image) -> Image:
        """Thermal uint8 or uint16 (h,w), or uint8 (h,w,3) -> uint8 (h,w,3)."""
        if patch.ndim == 3:
            return patch
        if patch.dtype != np.uint8:
            scale = 255.0 / (self.white - self.black)
            patch = np.clip((patch.astype(np.float32) - self.black) * scale + 0.5, 0, 255).astype(np.uint8)
        return cv2.cvtColor(patch, cv2.COLOR_GRAY2RGB)


class ThermalAppearance:
    """Thermal as SDSTrack's `rgbrgb`; 16-bit limits are carried from frame to frame.

    The limits move 1/smoothing_frames of the way to the frame's percentiles on every frame. A frame whose
    range has little to do with the limits (the shutter closes for a flat-field correction, the camera
    changes its gain) leaves them alone; only where that lasts `jump_frames` frames are they taken over.
    """

    def __init__(self, settings: ThermalSettings | None = None) -> None:
        self._settings = settings or ThermalSettings()
        self._limits: ThermalRange | None = None
        self._jumped = 0

    def prepare(self, x_raw: Image) -> ThermalRange:
        """Call once for every frame, in order. uint8 (H,W[,3]) or uint16 (H,W), ImageError otherwise."""
        if x_raw.size == 0 or not (
            (x_raw.ndim == 2 and x_raw.dtype in (np.uint8, np.uint16))
            or (x_raw.ndim == 3 and x_raw.shape[2] == 3 and x_raw.dtype == np.uint8)
        ):
            raise ImageError(
                f'thermal image is {x_raw.dtype} {x_raw.shape}, expected uint8 or uint16 (height, width) '
                'or uint8 (height, width, 3)'
            )
        if x_raw.dtype == np.uint8:
            return ThermalRange(0.0, 255.0)
        self._limits = self._follow(self._percentiles(x_raw))
        return self._limits

    def to_channels(self, x_raw: Image) -> Image:
        """The whole frame as the model sees it, uint8 (H,W,3)."""
        return self.prepare(x_raw).convert(x_raw)

    def reset(self) -> None:
        """Forget the limits: the next frame sets them."""
        self._limits, self._jumped = None, 0

    def _percentiles(self, counts: Image) -> ThermalRange:
        every = max(1, int((counts.size / 20_000) ** 0.5))  # 20,000 pixels place a percentile well enough
        wanted = (self._settings.low_percentile, self._settings.high_percentile)
        black, white = np.percentile(counts[::every, ::every], wanted)
        missing = 0.5 * max(0.0, self._settings.minimum_span - (white - black))
        return ThermalRange(float(black - missing), float(white + missing))

    def _follow(self, seen: ThermalRange) -> ThermalRange:
        held = self._limits
        if held is None:
            return seen
        self._jumped = self._jumped + 1 if _overlap(seen, held) < 0.25 else 0
        if self._jumped > self._settings.jump_frames:
            self._jumped = 0
            return seen
        if self._jumped:
            return held
        rate = 1.0 / self._settings.smoothing_frames
        return ThermalRange(
            held.black + rate * (seen.black - held.black), held.white + rate * (seen.white - held.white)
        )


def _overlap(one: ThermalRange, other: ThermalRange) -> float:
    """Shared part of two ranges over their hull: 1 equal, 0 apart."""
    shared = min(one.white, other.white) - max(one.black, other.black)
    return max(0.0, shared) / (max(one.white, other.white) - min(one.black, other.black))
