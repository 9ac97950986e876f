"""Where the target is in space, from the depth image and its box.

A box holds more than its target: background at the corners and in the gaps, holes without depth, and now
and then something thin in front. The target is taken to be the nearest surface that fills a good part of
the middle of the box.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..types import Box, Image
from .depth import to_millimetres

MIDDLE = 0.5  # part of the box's width and height that is looked at first
LEAST_PIXELS = 12
SUBSTANTIAL = 0.25  # least part of the measured pixels that a surface must have to be the target
BIN = 0.02  # relative width of a depth bin, about the noise of a depth camera
REACH = 3  # bins to either side that still belong to a surface: things are round and slanted


class Camera(NamedTuple):
    """Intrinsics of the (rectified) RGB image, pixels: K[0], K[4], K[2], K[5] of CameraInfo."""

    fx: float
    fy: float
    cx: float
    cy: float


def target_position(depth: Image, box: Box, camera: Camera) -> tuple[float, float, float] | None:
    """The target as x right, y down, z forward, metres, in the camera's optical frame (REP 103).

    depth: (H,W), uint16 mm or float m, registered to the image of `box` and `camera`. The position is the
    middle of the target's visible surface, behind the centre of the box. None where the box has too few
    measurements. ImageError where depth is no depth image.
    """
    distance = target_distance(depth, box)
    if distance is None:
        return None
    u, v = box.center
    return (u - camera.cx) / camera.fx * distance, (v - camera.cy) / camera.fy * distance, distance


def target_distance(depth: Image, box: Box) -> float | None:
    """Distance of the target along the optical axis, m; None where too little is measured."""
    whole = _measured(depth, box, part=1.0)
    middle = _measured(depth, box, MIDDLE)
    if whole.size < LEAST_PIXELS:
        return None
    surface = _nearest_surface(middle if middle.size >= LEAST_PIXELS else whole)
    # The surface is found in the middle and followed over the whole box: things curve away to their sides.
    return float(np.median(whole[np.abs(_bins(whole) - surface) <= REACH])) / 1000.0


def _measured(depth: Image, box: Box, part: float) -> npt.NDArray[np.uint16]:
    """The measurements, mm, in the middle of the box that is `part` of it wide and high."""
    if not box.is_finite:
        return np.empty(0, np.uint16)
    (u, v), height, width = box.center, *depth.shape[:2]
    top, bottom = np.clip((v - 0.5 * part * box.h, v + 0.5 * part * box.h + 1), 0, height).astype(int)
    left, right = np.clip((u - 0.5 * part * box.w, u + 0.5 * part * box.w + 1), 0, width).astype(int)
    patch = depth[top:bottom, left:right]
    if patch.size == 0:
        return np.empty(0, np.uint16)
    millimetres = to_millimetres(patch)
    return millimetres[millimetres > 0]


def _bins(measured: npt.NDArray[np.uint16]) -> npt.NDArray[np.int64]:
    """Index of the depth bin of each measurement; bins grow with distance, as a depth camera's noise does."""
    return np.asarray(np.log(measured) / np.log1p(BIN), np.int64)


def _nearest_surface(measured: npt.NDArray[np.uint16]) -> int:
    """The middle bin of the nearest surface that is substantial; of the largest where none is."""
    # How much lies at each distance; a peaked kernel, so that the middle of a surface stands out.
    kernel = np.concatenate([np.arange(1, REACH + 1), np.arange(REACH + 1, 0, -1)]) / (REACH + 1)
    share = np.convolve(np.bincount(_bins(measured)), kernel)[REACH:-REACH] / measured.size
    substantial = np.flatnonzero(share >= SUBSTANTIAL)
    # The first such bin is on the surface's near flank, its middle the fullest of the next few.
    first = int(substantial[0]) if substantial.size else int(share.argmax())
    return first + int(share[first : first + 2 * REACH + 1].argmax())
