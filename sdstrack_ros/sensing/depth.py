"""Depth to the three channels the model knows, and depth in millimetres.

The network was trained on depth clipped at three times the frame's median, stretched to 0..255 and
coloured with OpenCV's JET map, whose channels stay in BGR order while RGB is RGB. That the map is
pointwise once the frame's median and range are known lets the tracker convert the crop only.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ImageError
from ..types import Image

FARTHEST_MM = 10_000
MEDIANS = 3
LEVELS = 1 << 16
JET_BGR = cv2.applyColorMap(np.arange(256, dtype=np.uint8), cv2.COLORMAP_JET)


@dataclass(frozen=True, eq=False)
class DepthColors:
    """The colours of one depth frame; `convert` holds for the frame and for any crop of it."""

    index: npt.NDArray[np.uint8]  # (65536,) colour index of every value in mm

    def convert(self, patch: Image) -> Image:
        """Depth uint16 mm or float m (h,w) -> uint8 (h,w,3), JET in BGR order.

        The model's padding outside the image is black, so pad after converting: 0 mm has a colour.
        """
        return cv2.applyColorMap(self.index.take(to_millimetres(patch)), JET_BGR)


class DepthAppearance:
    """SDSTrack's `rgbcolormap` depth; stateless, every frame has a stretch of its own."""

    def prepare(self, x_raw: Image) -> DepthColors:
        """Statistics of the whole frame: depth uint16 mm or float m (H,W). ImageError otherwise."""
        return DepthColors(_color_index(to_millimetres(x_raw)))

    def to_channels(self, x_raw: Image) -> Image:
        """The whole frame as the model sees it, uint8 (H,W,3)."""
        return self.prepare(x_raw).convert(x_raw)

    def reset(self) -> None:
        """Nothing is carried from frame to frame."""


def to_millimetres(depth: Image) -> npt.NDArray[np.uint16]:
    """Depth (H,W) as uint16 mm, 0 = no measurement (REP 118).

    uint16 passes through without a copy. Floats are metres, rounded to the nearest mm: NaN, +-Inf and
    negative values become 0, values that 16 bits cannot hold become 65535. ImageError for the rest.
    """
    if depth.ndim != 2 or depth.size == 0:
        raise ImageError(f'depth image has shape {depth.shape}, expected (height, width)')
    if depth.dtype == np.uint16:
        return depth
    if depth.dtype not in (np.float32, np.float64):
        raise ImageError(f'depth image is {depth.dtype}, expected uint16 in mm or float32 in m')
    millimetres = cv2.multiply(depth, 1000.0, dtype=cv2.CV_16U)  # saturates at both ends
    millimetres *= np.isfinite(depth)
    return millimetres


def _color_index(depth: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Colour index of every possible value in this frame: clip at m, then stretch min..max to 0..255."""
    farthest = int(min(MEDIANS * _median(depth), FARTHEST_MM))  # truncated, as the training data was
    nearest, measured_farthest, _, _ = cv2.minMaxLoc(depth)
    low, high = min(int(nearest), farthest), min(int(measured_farthest), farthest)
    index = np.zeros(LEVELS, np.uint8)
    if high > low:
        # The same OpenCV routine on every value instead of every pixel gives the same rounding.
        ramp = np.arange(low, high + 1, dtype=np.uint16)
        index[low : high + 1] = cv2.normalize(ramp, np.empty_like(ramp), 0, 255, cv2.NORM_MINMAX).ravel()
        index[high + 1 :] = 255
    return index


def _median(depth: npt.NDArray[np.uint16]) -> float:
    """Median of all pixels, zeros included: the mean of the two middle ones where the count is even."""
    counts = cv2.calcHist([depth], [0], None, [LEVELS], [0, LEVELS]).astype(np.int64).reshape(256, 256)
    coarse = counts.sum(axis=1).cumsum()  # pixels up to and including each upper byte
    middle = [_value_at(rank, coarse, counts) for rank in ((depth.size - 1) // 2, depth.size // 2)]
    return 0.5 * (middle[0] + middle[1])


def _value_at(rank: int, coarse: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> int:
    """The value with `rank` pixels below or before it."""
    row = int(coarse.searchsorted(rank, side='right'))
    before = int(coarse[row - 1]) if row else 0
    return 256 * row + int(counts[row].cumsum().searchsorted(rank - before, side='right'))
