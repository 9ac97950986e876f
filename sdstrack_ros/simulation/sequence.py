"""A video of one simulated scene: what a camera pair would have recorded, with the truth.

    sequence = render_sequence('depth', frames=150, seed=3)
    sequence.rgb[0], sequence.x[0], sequence.boxes[0], sequence.positions[0]

Procedural textures alone, so it needs no data; the same seed gives the same video.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import SettingError
from ..types import Image, Modality
from .library import Library, procedural_library
from .render import ROUNDNESS, Layer, Pose, Scene, render, render_colour, view_points
from .scene import still
from .sensors import Draw, depth_with_holes, event_picture, noise_like

_CHUNK = 10  # frames rendered at once
_FIELD_OF_VIEW = math.radians(60)  # horizontal
_MOMENTS = 3  # brightness images per frame interval for the event camera
_DISTRACTORS = 3

Motion = Callable[[Tensor], Pose]  # times (T,) s to poses of T frames


@dataclass(frozen=True, eq=False)
class SimulatedSequence:
    """T frames of one camera pair, registered, with one target.

    rgb: uint8 (H,W,3). x: depth uint16 (H,W) mm with 0 for holes, thermal uint8 (H,W), or event picture
    uint8 (H,W,3). boxes (T,4) x,y,w,h px, cut to the image. visible (T,): enough of the target is in the
    image. positions (T,3) m: centre of the target in the camera's optical frame (REP 103).
    camera: fx, fy, cx, cy px. stamps_ns (T,) int64, from one second on.
    """

    modality: Modality
    rgb: list[Image]
    x: list[Image]
    boxes: npt.NDArray[np.float64]
    visible: npt.NDArray[np.bool_]
    positions: npt.NDArray[np.float64]
    camera: tuple[float, float, float, float]
    stamps_ns: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rgb)


@dataclass(frozen=True, eq=False)
class _Stage:
    """Everything about the scene that does not change with time, and how the rest moves."""

    library: Library
    plate: int
    plate_motion: Motion
    layers: list[tuple[Layer, Motion]]
    target: int  # index in layers
    target_depth: Callable[[Tensor], Tensor]
    distance: float
    frame: Tensor

    def at(self, times: Tensor) -> Scene:
        """The scene at `times` (T,) s as a batch of T."""
        count = len(times)

        def spread(value: Tensor) -> Tensor:
            return value.expand(count, *value.shape[1:])

        layers = []
        for i, (layer, motion) in enumerate(self.layers):
            depth = self.target_depth(times) if i == self.target else spread(layer.depth)
            layers.append(
                Layer(
                    sprite=spread(layer.sprite),
                    pose=motion(times),
                    gain=spread(layer.gain),
                    bias=spread(layer.bias),
                    opacity=spread(layer.opacity),
                    heat_opacity=spread(layer.heat_opacity),
                    depth=depth,
                    heat=spread(layer.heat),
                    skin=spread(layer.skin),
                )
            )
        zeros = torch.zeros(count)
        return Scene(
            plate=torch.full((count,), self.plate),
            plate_pose=self.plate_motion(times),
            distance=torch.full((count,), self.distance),
            slope=torch.tensor([[0.05, -0.2]]).expand(count, 2),
            relief=torch.full((count,), 0.05),
            relief_skin=torch.zeros(count, dtype=torch.long),
            object_depth=zeros,
            object_heat=zeros,
            heat_curve=torch.tensor([[0.3, 0.35]]).expand(count, 2),
            layers=tuple(layers),
            frame=self.frame.expand(count, 2),
        )


def render_sequence(
    modality: str | Modality = Modality.DEPTH,
    frames: int = 150,
    width: int = 640,
    height: int = 480,
    seed: int = 0,
    rate: float = 30.0,
) -> SimulatedSequence:
    """Render `frames` frames at `rate` Hz; see the module. SettingError where the numbers make no video."""
    if frames < 1 or width < 32 or height < 32 or not rate > 0:
        raise SettingError(
            f'a sequence of {frames} frames of {width}x{height} at {rate} Hz cannot be rendered: '
            f'give at least 1 frame of 32x32 and a rate above 0'
        )
    modality = Modality(modality)
    generator = torch.Generator().manual_seed(seed)
    stage = _stage(generator, width / height)
    times = torch.arange(frames) / rate
    half = torch.tensor([[width / height, 1.0]])
    rgb: list[Image] = []
    x: list[Image] = []
    boxes, positions = [], []
    focal = width / 2 / math.tan(_FIELD_OF_VIEW / 2)
    for chunk in times.split(_CHUNK):
        draw = Draw(generator, len(chunk))
        scene = stage.at(chunk)
        points = view_points(torch.zeros(len(chunk), 2), half.expand(len(chunk), 2), (height, width))
        seen = render(stage.library, scene, points)
        noisy = seen.colour + 0.012 * noise_like(seen.colour, draw)
        rgb += list(_bytes(noisy))
        if modality is Modality.DEPTH:
            holed = depth_with_holes(seen.depth, seen.border, seen.colour, draw, draw.uniform(0.2, 0.3))
            x += list((holed[:, 0] * 1000).round().clamp(0, 65535).numpy().astype(np.uint16))
        elif modality is Modality.THERMAL:
            x += list(_bytes(seen.heat + 0.01 * noise_like(seen.heat, draw))[..., 0])
        else:
            lags = torch.linspace(1 / rate, 0, _MOMENTS)
            moments = [render_colour(stage.library, stage.at(chunk - lag), points)[0] for lag in lags]
            brightness = [moment.mean(1, keepdim=True) for moment in moments]
            x += list(
                _bytes(event_picture(brightness, draw.uniform(0.1, 0.1), draw.uniform(0.003, 0.003), draw))
            )
        target = scene.layers[stage.target]
        corners = target.pose.box_around(stage.library.outline[target.sprite])
        boxes.append((corners + half.repeat(1, 2)) * (height / 2))
        center = (target.pose.center * (height / 2)) / focal
        distance = target.depth * (1 - ROUNDNESS / 2)
        positions.append(torch.cat([center * distance[:, None], distance[:, None]], 1))
    whole = torch.cat(boxes).double()
    limit = torch.tensor([width, height, width, height])
    cut = torch.minimum(whole.clamp(min=0), limit)
    size = (cut[:, 2:] - cut[:, :2]).clamp(min=0)
    return SimulatedSequence(
        modality=modality,
        rgb=rgb,
        x=x,
        boxes=torch.cat([cut[:, :2], size], 1).numpy(),
        visible=(size.prod(1) > 0.3 * (whole[:, 2:] - whole[:, :2]).prod(1)).numpy(),
        positions=torch.cat(positions).double().numpy(),
        camera=(focal, focal, (width - 1) / 2, (height - 1) / 2),
        stamps_ns=(10**9 + (np.arange(frames) / rate * 1e9).round()).astype(np.int64),
    )


def _bytes(picture: Tensor) -> npt.NDArray[np.uint8]:
    """(B,C,H,W) in 0..1 as uint8 (B,H,W,C), each frame in memory of its own order."""
    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return pixels.contiguous().numpy()


def _stage(generator: torch.Generator, aspect: float) -> _Stage:
    """A target that wanders among things of its kind; one of them is its double, one stands before it."""
    library = procedural_library(int(torch.randint(0, 2**31, (1,), generator=generator)), plates=2, sprites=8)
    draw = Draw(generator, 1)
    reach = torch.tensor([aspect * 0.6, 0.5])
    near = 1.6

    def target_depth(times: Tensor) -> Tensor:
        return near * (1 + 0.25 * torch.sin(2 * math.pi * 0.13 * times))

    layers: list[tuple[Layer, Motion]] = []
    for i in range(_DISTRACTORS):
        sprite = 1 if i == 0 else i + 2
        layers.append((_thing(sprite, 3.2, draw), _wander(0.34, library, sprite, reach, draw)))
    target = len(layers)
    layers.append((_thing(1, near, draw), _wander(0.46, library, 1, reach, draw, target_depth, near)))
    pole = Pose(
        torch.tensor([[0.35 * aspect, 0.0]]),
        torch.tensor([[0.06, 3.0]]),
        torch.zeros(1),
        still(1, torch.device('cpu')),
    )
    layers.append((_thing(7, 0.9, draw), lambda times: _fixed(pole, len(times))))
    phase = draw.uniform(0, 2 * math.pi, 2)[0]
    frame = torch.tensor([[aspect, 1.0]])

    def plate_motion(times: Tensor) -> Pose:
        sway = 0.05 * torch.sin(2 * math.pi * 0.2 * times[:, None] + phase)
        pose = Pose(torch.zeros(1, 2), 1.15 * frame, torch.zeros(1), still(1, torch.device('cpu')))
        fixed = _fixed(pose, len(times))
        return Pose(sway, fixed.half, fixed.angle, fixed.bend)

    return _Stage(library, 0, plate_motion, layers, target, target_depth, 4.5, frame)


def _thing(sprite: int, depth: float, draw: Draw) -> Layer:
    one = torch.ones(1)
    here = Pose(torch.zeros(1, 2), torch.ones(1, 2), torch.zeros(1), torch.zeros(1, 4))
    return Layer(
        sprite=torch.tensor([sprite]),
        pose=here,
        gain=torch.ones(1, 3),
        bias=torch.zeros(1, 3),
        opacity=one,
        heat_opacity=one,
        depth=torch.full((1,), depth),
        heat=draw.uniform(0.55, 0.95),
        skin=draw.integer(0, 8),
    )


def _wander(
    size: float,
    library: Library,
    sprite: int,
    reach: Tensor,
    draw: Draw,
    depth: Callable[[Tensor], Tensor] | None = None,
    near: float = 1.0,
) -> Motion:
    """Smooth motion within `reach`; nearer things look larger where `depth` is given."""
    phase = draw.uniform(0, 2 * math.pi, 4)[0]
    pace = draw.uniform(0.07, 0.14, 4)[0]
    shape = float(library.sprite_aspect[sprite])
    half = 0.5 * size * torch.tensor([[math.sqrt(shape), 1 / math.sqrt(shape)]])

    def motion(times: Tensor) -> Pose:
        swing = torch.sin(2 * math.pi * pace * times[:, None] + phase)
        center = reach * (0.75 * swing[:, :2] + 0.25 * torch.sin(3 * swing[:, 2:]))
        scale = near / depth(times) if depth is not None else torch.ones(len(times))
        angle = 0.25 * swing[:, 2]
        bend = torch.cat([0.03 * swing[:, 2:], phase[2:].expand(len(times), 2)], 1)
        return Pose(center, half * scale[:, None], angle, bend)

    return motion


def _fixed(pose: Pose, count: int) -> Pose:
    return Pose(
        pose.center.expand(count, 2),
        pose.half.expand(count, 2),
        pose.angle.expand(count),
        pose.bend.expand(count, 4),
    )
