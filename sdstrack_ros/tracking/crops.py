"""Square crops around a box, and the numbers the network takes; as published to the last bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import BoxError
from ..types import Box, Image

# of ImageNet, RGB; the published network uses the same for X
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def crop(
    image: Image, box: Box, factor: float, size: int, convert: Callable[[Image], Image] | None = None
) -> tuple[npt.NDArray[np.uint8], float]:
    """The square of side `factor` sqrt(w h) about the box, resized to `size` px, and pixels out per pixel in.

    image: (H,W) or (H,W,C); outside of it the crop is black. `convert` turns the part that is inside to
    uint8 (h,w,C), so that only this part is converted. BoxError where the square is smaller than a pixel.
    As the published code, the crop lacks the image's last column (row) once it reaches the border there.
    """
    if not (box.is_finite and box.w > 0 and box.h > 0):
        raise BoxError(f'cannot crop around box {tuple(box)}: its size has to be above 0')
    side = math.ceil(math.sqrt(box.w * box.h) * factor)
    x1 = round(box.x + 0.5 * box.w - 0.5 * side)
    y1 = round(box.y + 0.5 * box.h - 0.5 * side)
    height, width = image.shape[:2]
    left, top = max(0, -x1), max(0, -y1)
    right = side - max(0, x1 + side - width + 1)
    bottom = side - max(0, y1 + side - height + 1)
    inside = image[max(0, y1) : max(0, y1 + bottom), max(0, x1) : max(0, x1 + right)]
    if inside.size and convert is not None:
        inside = convert(inside)
    if inside.shape[:2] == (side, side):
        square = inside
    else:
        channels = inside.shape[2] if inside.ndim == 3 else 3
        square = np.zeros((side, side, channels), np.uint8)
        if inside.size:
            square[top:bottom, left:right] = inside
    patch: npt.NDArray[np.uint8] = cv2.resize(square, (size, size))
    return patch, size / side


def checked_box(box: Sequence[float], width: int, height: int) -> Box:
    """x, y, w, h in px as a Box; BoxError unless it overlaps the image and has a size of its order."""
    checked = Box.of(box)
    if not checked.is_finite:
        raise BoxError(f'target box {tuple(checked)} is not finite; give x, y, w, h in px')
    x, y, w, h = checked
    if w < 1 or h < 1:
        raise BoxError(f'target box {tuple(checked)} has no size; width and height have to be at least 1 px')
    if w > 2 * width or h > 2 * height:
        raise BoxError(
            f'target box {tuple(checked)} is more than twice as large as the {width}x{height} image; give '
            f'x, y, w, h in its pixels'
        )
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise BoxError(f'target box {tuple(checked)} lies outside the {width}x{height} image')
    return checked


def normalise(
    rgb: npt.NDArray[np.uint8] | None, x: npt.NDArray[np.uint8] | None, device: torch.device | str = 'cpu'
) -> Tensor:
    """Two uint8 crops (s,s,3) as network input, float32 (1,6,s,s) on `device`; black where one is None."""
    present = rgb if rgb is not None else x
    assert present is not None
    if torch.device(device).type != 'cpu':
        black = np.zeros_like(present)
        patches = np.stack([black if patch is None else patch for patch in (rgb, x)])
        return normalise_there(torch.from_numpy(patches).pin_memory().to(device, non_blocking=True))
    out = np.empty((1, 6, *present.shape[:2]), np.float32)
    for patch, half in ((rgb, out[0, :3]), (x, out[0, 3:])):
        for channel, table, plane in zip(range(3), _TABLES, half, strict=True):
            if patch is None:
                plane[:] = table[0]
            else:
                cv2.LUT(cv2.extractChannel(patch, channel), table, plane)
    return torch.from_numpy(out).to(device)


def normalise_there(patches: Tensor) -> Tensor:
    """Two uint8 crops (2,s,s,3) as network input, float32 (1,6,s,s), computed where they lie.

    So that a GPU gets bytes, a quarter of what floats would be, and the host does not wait for them.
    """
    mean, std = (torch.tensor(each, device=patches.device).view(3, 1, 1) for each in (MEAN, STD))
    return ((patches.permute(0, 3, 1, 2).float() / 255 - mean) / std).flatten(0, 1)[None]


def _tables() -> npt.NDArray[np.float32]:
    """(3,256): what each channel makes of each value. As the published code, rounding included."""
    mean, std = (np.array(each, np.float32)[:, None] for each in (MEAN, STD))
    return (np.arange(256, dtype=np.float32) / np.float32(255) - mean) / std


_TABLES = _tables()


def hann_window(grid: int) -> Tensor:
    """(1,1,grid,grid): 1 near the centre of the search region, towards 0 at its border."""
    wave = 0.5 * (1.0 - torch.cos(2.0 * math.pi / (grid + 1) * torch.arange(1, grid + 1).float()))
    return (wave[:, None] * wave[None, :]).view(1, 1, grid, grid)


def clip(box: Box, width: int, height: int, margin: float) -> Box:
    """The part of the box that is in the image, kept at least `margin` px in size and inside it."""
    x1, x2 = min(max(0.0, box.x), width - margin), min(max(margin, box.x + box.w), float(width))
    y1, y2 = min(max(0.0, box.y), height - margin), min(max(margin, box.y + box.h), float(height))
    return Box(x1, y1, max(margin, x2 - x1), max(margin, y2 - y1))
