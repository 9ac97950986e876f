"""The textures that scenes are made of: plates (backgrounds) and sprites (objects with an outline).

Everything lies in two uint8 tensors on one device, so that a batch of scenes is a gather away.
Here they are procedural; `pictures.py` makes the same library from folders of photographs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

PLATE_SIZE = 256
SPRITE_SIZE = 128
OUTLINE_DIRECTIONS = 32


@dataclass(frozen=True, eq=False)
class Library:
    """Textures, stored square; the aspect (width / height) undoes the squash.

    plates: uint8 (N,5,256,256): R, G, B, mask of the plate's own object, thermal.
    plate_aspect: float (N,). plate_box: float (N,4) x0,y0,x1,y1 of the plate's own object in -1..1,
    nan without one. plate_clip: int (N,): frames of one video clip share a number; stills have their own.
    plate_thermal: bool (N,): the thermal channel is a measurement, not derived from colour.
    sprites: uint8 (M,4,128,128): R, G, B, alpha. sprite_aspect: float (M,).
    outline: float (M,32,2): the outermost points of the alpha in 32 directions, in -1..1.
    """

    plates: Tensor
    plate_aspect: Tensor
    plate_box: Tensor
    plate_clip: Tensor
    plate_thermal: Tensor
    sprites: Tensor
    sprite_aspect: Tensor
    outline: Tensor

    @property
    def device(self) -> torch.device:
        return self.plates.device

    def to(self, device: torch.device | str) -> Library:
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})


def outline_of(alpha: Tensor) -> Tensor:
    """Outermost points (M,32,2), x,y in -1..1, of masks `alpha` (M,S,S) in 0..1; any device.

    A box around these points, turned and stretched in any way, is the box around the object.
    """
    m, size, _ = alpha.shape
    axis = (torch.arange(size, device=alpha.device) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing='ij')
    points = torch.stack([x, y], -1).reshape(-1, 2)
    angle = torch.arange(OUTLINE_DIRECTIONS, device=alpha.device) / OUTLINE_DIRECTIONS * 2 * math.pi
    direction = torch.stack([angle.cos(), angle.sin()])
    reach = points @ direction
    outlines = []
    for mask in alpha.reshape(m, -1):
        inside = reach.masked_fill(mask[:, None] < 0.5, -torch.inf)
        outlines.append(points[inside.argmax(0)])
    return torch.stack(outlines)


def procedural_library(
    seed: int, plates: int = 24, sprites: int = 32, device: torch.device | str = 'cpu'
) -> Library:
    """Plates and sprites from noise alone; the same on every machine for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    colour = torch.stack([_texture(PLATE_SIZE, generator) for _ in range(plates)])
    derived = colour.mean(1, keepdim=True)
    plate = torch.cat([colour, torch.zeros_like(derived), derived], 1)
    skin = torch.stack([_texture(SPRITE_SIZE, generator, vivid=True) for _ in range(sprites)])
    alpha = torch.stack([_blob(SPRITE_SIZE, generator) for _ in range(sprites)])
    library = Library(
        plates=(plate * 255).round().to(torch.uint8),
        plate_aspect=torch.full((plates,), 4 / 3),
        plate_box=torch.full((plates, 4), torch.nan),
        plate_clip=torch.arange(plates),
        plate_thermal=torch.zeros(plates, dtype=torch.bool),
        sprites=(torch.cat([skin, alpha[:, None]], 1) * 255).round().to(torch.uint8),
        sprite_aspect=torch.exp(torch.empty(sprites).uniform_(-0.6, 0.3, generator=generator)),
        outline=outline_of(alpha),
    )
    return library.to(device)


def _texture(size: int, generator: torch.Generator, vivid: bool = False) -> Tensor:
    """(3,size,size) in 0..1: a palette over a sum of noise octaves, with a few flat shapes on it."""
    height = torch.zeros(1, 1, size, size)
    for octave in range(2, 7):
        cells = 2**octave
        noise = torch.randn(1, 1, cells, cells, generator=generator)
        height += F.interpolate(noise, size=(size, size), mode='bicubic') * 0.6 ** (octave - 1)
    height = (height - height.mean()) / height.std()
    palette = torch.rand(4, 3, generator=generator)
    if not vivid:  # backgrounds are duller than the things that stand out from them
        palette = 0.2 * palette + 0.8 * (0.25 + 0.5 * palette.mean(1, keepdim=True))
    steepness = 1.0 + 3.0 * torch.rand(1, generator=generator)
    position = torch.sigmoid(height[0, 0] * steepness) * 2.999
    low = position.long()
    share = (position - low)[..., None]
    picture = (palette[low] * (1 - share) + palette[low + 1] * share).permute(2, 0, 1)
    for _ in range(int(torch.randint(2, 7, (1,), generator=generator))):
        shape = _blob(size, generator, scale=float(torch.empty(1).uniform_(0.1, 0.5, generator=generator)))
        move = torch.randint(-size // 2, size // 2, (2,), generator=generator).tolist()
        shape = torch.roll(shape, move, (0, 1))
        tint = torch.rand(3, 1, 1, generator=generator)
        strength = 0.8 if vivid else 0.4
        picture = picture * (1 - strength * shape) + strength * shape * tint
    return picture.clamp(0, 1)


def _blob(size: int, generator: torch.Generator, scale: float = 0.92) -> Tensor:
    """(size,size) soft mask of a closed random outline that nearly fills the square at scale 0.92."""
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing='ij')
    angle = torch.atan2(y, x)
    radius = torch.ones_like(angle)
    for order in range(2, 6):
        weight = 0.5 * torch.randn(2, generator=generator) / order
        radius += weight[0] * torch.cos(order * angle) + weight[1] * torch.sin(order * angle)
    radius = radius.clamp(min=0.5)
    radius = radius / radius.max() * scale
    return ((radius - torch.hypot(x, y)) * size / 4 + 0.5).clamp(0, 1)
