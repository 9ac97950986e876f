"""Renders a batch of scenes as ideal sensors would see them: colour, distance, heat.

A scene is a plate with layers of sprites over it, painted back to front. Places are in the units of the
camera image: its height is 2, x to the right, y down, (0, 0) its centre. All tensors carry the batch first,
so that a batch may be many scenes at one moment (training) or one scene at many (a sequence).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .library import Library

ROUNDNESS = 0.03  # by this share the middle of a thing is nearer than its outline


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a texture lies. center (B,2), half (B,2) half extents, angle (B,) rad, bend (B,4).

    bend: amplitude and phase (2 each) of a sine that bends the texture, as a walker's or a bag's shape does.
    """

    center: Tensor
    half: Tensor
    angle: Tensor
    bend: Tensor

    def of(self, rows: Tensor) -> Pose:
        """The poses of these samples of the batch."""
        return Pose(self.center[rows], self.half[rows], self.angle[rows], self.bend[rows])

    def to_texture(self, points: Tensor) -> Tensor:
        """Image places (B,H,W,2) as places in the texture, -1..1 inside it."""
        offset = points - self.center[:, None, None]
        cos, sin = self.angle.cos()[:, None, None], self.angle.sin()[:, None, None]
        turned = torch.stack(
            [cos * offset[..., 0] + sin * offset[..., 1], cos * offset[..., 1] - sin * offset[..., 0]], -1
        )
        local = turned / self.half[:, None, None]
        return local + self._bending(local)

    def box_around(self, outline: Tensor) -> Tensor:
        """Corners x0,y0,x1,y1 (B,4) of the texture points `outline` (B,K,2) in the image."""
        local = outline[:, None]
        local = local - self._bending(local)  # first order inverse: the bend is small
        local = (local * self.half[:, None, None])[:, 0]
        cos, sin = self.angle.cos()[:, None], self.angle.sin()[:, None]
        x = cos * local[..., 0] - sin * local[..., 1] + self.center[:, :1]
        y = sin * local[..., 0] + cos * local[..., 1] + self.center[:, 1:]
        return torch.stack([x.amin(1), y.amin(1), x.amax(1), y.amax(1)], 1)

    def _bending(self, local: Tensor) -> Tensor:
        amplitude, phase = self.bend[:, None, None, :2], self.bend[:, None, None, 2:]
        return amplitude * torch.sin(2.5 * local.flip(-1) + phase)


@dataclass(frozen=True, eq=False)
class Layer:
    """One sprite of each scene of the batch.

    sprite (B,) index; gain (B,3) and bias (B,3) of its colour; opacity (B,) in the visible and
    heat_opacity (B,) in the thermal image (0 removes it); depth (B,) m; heat (B,) 0..1 mean temperature;
    skin (B,) index of the sprite whose brightness gives the pattern of its temperature, which so is no
    function of its colour.
    """

    sprite: Tensor
    pose: Pose
    gain: Tensor
    bias: Tensor
    opacity: Tensor
    heat_opacity: Tensor
    depth: Tensor
    heat: Tensor
    skin: Tensor

    def of(self, rows: Tensor) -> Layer:
        """The layer in these samples of the batch."""
        return Layer(
            **{name: value.of(rows) if name == 'pose' else value[rows] for name, value in vars(self).items()}
        )


@dataclass(frozen=True, eq=False)
class Scene:
    """One moment of each scene of the batch.

    plate (B,) index. distance (B,) m and slope (B,2), in shares per image unit, of the plane of the plate;
    relief (B,): share of the distance by which the pattern relief_skin (B,) of a sprite stands out.
    object_depth (B,) m and object_heat (B,) of the plate's own object. heat_curve (B,2): contrast and level
    of the plate's temperature. layers: back to front. frame (B,2): half extents of the camera image.
    """

    plate: Tensor
    plate_pose: Pose
    distance: Tensor
    slope: Tensor
    relief: Tensor
    relief_skin: Tensor
    object_depth: Tensor
    object_heat: Tensor
    heat_curve: Tensor
    layers: tuple[Layer, ...]
    frame: Tensor


@dataclass(frozen=True, eq=False)
class Rendering:
    """colour (B,3,H,W) 0..1; depth (B,1,H,W) m; heat (B,1,H,W) 0..1; inside (B,1,H,W) the camera image;
    border (B,1,H,W) where a nearer thing ends, which depth sensors fail to see."""

    colour: Tensor
    depth: Tensor
    heat: Tensor
    inside: Tensor
    border: Tensor


def view_points(center: Tensor, half: Tensor, size: tuple[int, int]) -> Tensor:
    """Image places (B,H,W,2) of the pixels of a view with `center` (B,2) and half extents `half` (B,2)."""
    height, width = size
    x = (torch.arange(width, device=center.device) + 0.5) / width * 2 - 1
    y = (torch.arange(height, device=center.device) + 0.5) / height * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing='xy'), -1)
    return center[:, None, None] + half[:, None, None] * grid


def render_colour(library: Library, scene: Scene, points: Tensor) -> tuple[Tensor, Tensor]:
    """Colour (B,3,H,W) in 0..1 at the image places `points` (B,H,W,2), and which lie inside the image."""
    places = scene.plate_pose.to_texture(points)
    colour = _sample(library.plates[:, :3], scene.plate, places, 'reflection')
    for layer in scene.layers:
        # half of the things are absent: only samples that show this one are worth the work
        rows = torch.nonzero(layer.opacity)[:, 0]
        layer = layer.of(rows)
        sprite = _sample(library.sprites, layer.sprite, layer.pose.to_texture(points[rows]), 'zeros')
        colour[rows] = _painted(colour[rows], layer, sprite)
    return colour, _inside(scene, points)


def render(library: Library, scene: Scene, points: Tensor) -> Rendering:
    """What ideal sensors see at the image places `points` (B,H,W,2)."""
    places = scene.plate_pose.to_texture(points)
    plate = _sample(library.plates, scene.plate, places, 'reflection')
    colour, own, heat = plate[:, :3], plate[:, 3:4], plate[:, 4:5]
    plane = 1 + (points * scene.slope[:, None, None]).sum(-1)[:, None]
    bumps = _sample(library.sprites[:, 1:2], scene.relief_skin, 0.5 * places, 'reflection')
    depth = wide(scene.distance) * plane.clamp(0.25, 4) * (1 + 2 * wide(scene.relief) * bumps)
    contrast, level = scene.heat_curve.unbind(1)
    heat = (heat - 0.5) * wide(contrast) + wide(level)
    own_heat = torch.where(wide(library.plate_thermal[scene.plate]), heat, wide(scene.object_heat))
    heat = torch.lerp(heat, own_heat + 0.3 * (colour.mean(1, keepdim=True) - 0.5), own)
    depth = torch.where(own > 0.5, wide(scene.object_depth), depth)
    border = (own * (1 - own) * 4).clamp(0, 1)
    for layer in scene.layers:
        rows = torch.nonzero(layer.opacity + layer.heat_opacity)[:, 0]
        layer = layer.of(rows)
        places = layer.pose.to_texture(points[rows])
        sprite = _sample(library.sprites, layer.sprite, places, 'zeros')
        colour[rows] = _painted(colour[rows], layer, sprite)
        present = sprite[:, 3:] * wide(layer.heat_opacity)
        skin = _sample(library.sprites[:, 1:2], layer.skin, places, 'reflection')
        heat[rows] = torch.lerp(heat[rows], wide(layer.heat) + 0.35 * (skin - 0.5), present)
        bulge = 1 - ROUNDNESS * (1 - places.square().sum(-1)[:, None]).clamp(0, 1)
        depth[rows] = torch.where(present > 0.5, wide(layer.depth) * bulge, depth[rows])
        border[rows] = torch.maximum(border[rows] * (1 - present), 4 * present * (1 - present))
    return Rendering(colour, depth, heat.clamp(0, 1), _inside(scene, points), border)


def wide(values: Tensor) -> Tensor:
    """(B,) as (B,1,1,1)."""
    return values[:, None, None, None]


def _painted(colour: Tensor, layer: Layer, sprite: Tensor) -> Tensor:
    """`colour` (B,3,H,W) under a sprite (B,4,H,W)."""
    tinted = (sprite[:, :3] * layer.gain[..., None, None] + layer.bias[..., None, None]).clamp(0, 1)
    return torch.lerp(colour, tinted, sprite[:, 3:] * wide(layer.opacity))


def _inside(scene: Scene, points: Tensor) -> Tensor:
    return (points.abs() <= scene.frame[:, None, None]).all(-1)[:, None]


def _sample(textures: Tensor, index: Tensor, places: Tensor, padding: str) -> Tensor:
    texture = textures[index].to(places.dtype).div_(255)
    return F.grid_sample(texture, places, mode='bilinear', padding_mode=padding, align_corners=False)
