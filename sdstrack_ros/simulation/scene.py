"""Random scenes: a target, things that look like it, things in front of it, at two moments of time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .library import Library
from .render import Layer, Pose, Scene
from .sensors import Draw


@dataclass(frozen=True, eq=False)
class TargetPair:
    """A scene at the moment of the template and at that of the search, and a moment before each.

    box: true boxes (B,4) x0,y0,x1,y1 in image units (height 2) at both moments. The `before` scenes differ by
    motion alone: what an event camera saw change.
    """

    scenes: tuple[Scene, Scene]
    before: tuple[Scene, Scene]
    boxes: tuple[Tensor, Tensor]


def random_pair(
    library: Library, draw: Draw, distractors: int = 3, occluders: int = 1, colour_alone: bool = False
) -> TargetPair:
    """Two moments of random scenes; a third of the targets are the plate's own object where it has one.

    colour_alone: only targets that colour can show: none hidden from it, none known by its heat alone.
    """
    batch, device = draw.batch, draw.device
    plates, sprites = len(library.plates), len(library.sprites)
    usable = ~library.plate_box[:, 0].isnan()
    if colour_alone:
        usable &= ~library.plate_thermal
    with_object = torch.nonzero(usable)[:, 0]
    own = draw.chance(0.4) if len(with_object) else torch.zeros(batch, dtype=torch.bool, device=device)
    first = draw.integer(0, plates)
    if len(with_object):
        first = torch.where(own, with_object[draw.integer(0, len(with_object))], first)
    second = _another_of_the_clip(library, first, draw)

    aspect = library.plate_aspect[first]
    plate_half = torch.stack([aspect, torch.ones_like(aspect)], 1)
    # Half of the cameras see beyond the plate (it is mirrored there), so that crops seldom leave the image.
    frame = (
        plate_half * torch.where(draw.chance(0.5), draw.uniform(1.0, 2.2), draw.uniform(0.8, 1.0))[:, None]
    )
    plate_pose = [_plate_pose(plate_half, draw) for _ in range(2)]
    mirror = torch.where(draw.chance(0.5), -1.0, 1.0)
    plate_pose = [
        replace(p, half=p.half * torch.stack([mirror, torch.ones_like(mirror)], 1)) for p in plate_pose
    ]

    # The target: a sprite, or (own) the object of the plate, where the sprite is made invisible.
    size = draw.log_uniform(0.08, 0.5)
    target_sprite = draw.integer(0, sprites)
    shape = library.sprite_aspect[target_sprite]
    half = _half_extents(0.5 * size, shape)
    start = draw.uniform(-0.8, 0.8, 2) * frame
    poses = _moving_pose(start, half, draw, stray=0.35)
    boxes = []
    for moment, plate in enumerate((first, second)):
        sprite_box = poses[moment].box_around(library.outline[target_sprite])
        box = library.plate_box[plate]
        corners = torch.stack(
            [box[:, [0, 1]], box[:, [2, 1]], box[:, [0, 3]], box[:, [2, 3]]], 1
        ).nan_to_num()
        boxes.append(torch.where(own[:, None], plate_pose[moment].box_around(corners), sprite_box))

    # Who is nearer hides who is farther: distractors behind the target, occluders before it.
    target_depth = draw.log_uniform(0.6, 4.0)
    distance = target_depth * draw.uniform(1.15, 3.0)
    target_heat = torch.where(draw.chance(0.75), draw.uniform(0.6, 1.0), draw.uniform(0.0, 0.9))
    # seen by heat and depth alone, as a person in a dark thicket
    hidden = draw.chance(0.0 if colour_alone else 0.12) & ~own
    target = Layer(
        sprite=target_sprite,
        pose=poses[0],
        gain=_gain(draw),
        bias=draw.normal(0.05, 3),
        opacity=torch.where(hidden, draw.uniform(0, 0.25), 1.0) * (~own),
        heat_opacity=(~own).float(),
        depth=target_depth,
        heat=target_heat,
        skin=draw.integer(0, sprites),
    )
    behind = [_distractor(library, target, boxes, own, distance, draw) for _ in range(distractors)]
    ahead = [_occluder(library, target, boxes, draw) for _ in range(occluders)]
    own_heat = torch.where(draw.chance(0.75), draw.uniform(0.55, 1.0), draw.uniform(0.0, 0.9))
    slope = draw.normal(0.15, 2)
    relief, relief_skin = draw.uniform(0, 0.4).square(), draw.integer(0, sprites)
    heat_curve = torch.stack([draw.normal(0.4), draw.uniform(0.15, 0.6)], 1)
    measured = library.plate_thermal[first]
    heat_curve = torch.where(
        measured[:, None], torch.stack([draw.uniform(0.7, 1.3), draw.uniform(0.4, 0.6)], 1), heat_curve
    )

    def scene(moment: int) -> Scene:
        layers = [pair[moment] for pair in behind] + [replace(target, pose=poses[moment])]
        layers += [pair[moment] for pair in ahead]
        return Scene(
            plate=(first, second)[moment],
            plate_pose=plate_pose[moment],
            distance=distance,
            slope=slope,
            relief=relief,
            relief_skin=relief_skin,
            object_depth=target_depth,
            object_heat=own_heat,
            heat_curve=heat_curve,
            layers=tuple(layers),
            frame=frame,
        )

    scenes = (scene(0), scene(1))
    camera_speed = draw.normal(0.02, 2) * (draw.uniform(0, 1, 1) < 0.7)
    before = (_moment_before(scenes[0], camera_speed, draw), _moment_before(scenes[1], camera_speed, draw))
    return TargetPair(scenes, before, (boxes[0], boxes[1]))


def still(batch: int, device: torch.device) -> Tensor:
    """The bend of a rigid thing."""
    return torch.zeros(batch, 4, device=device)


def _plate_pose(half: Tensor, draw: Draw) -> Pose:
    scale = torch.exp(draw.normal(0.06))[:, None]
    return Pose(draw.normal(0.06, 2), half * scale, draw.normal(0.05), still(draw.batch, draw.device))


def _moving_pose(start: Tensor, half: Tensor, draw: Draw, stray: float) -> tuple[Pose, Pose]:
    """A sprite at two moments: moved, turned, scaled, stretched and bent."""
    flip = torch.where(draw.chance(0.5), -1.0, 1.0)
    half = half * torch.stack([flip, torch.ones_like(flip)], 1)
    angle = draw.normal(0.2)
    bend = torch.cat([draw.uniform(0, 0.05, 2), draw.uniform(0, 6.3, 2)], 1)
    first = Pose(start, half, angle, bend)
    reach = half.abs().amax(1, keepdim=True)
    turn = torch.where(draw.chance(0.15), draw.normal(0.8), draw.normal(0.2))
    later = torch.cat(
        [(bend[:, :2] + draw.normal(0.04, 2)).clamp(-0.1, 0.1), bend[:, 2:] + draw.normal(0.7, 2)], 1
    )
    second = Pose(
        start + draw.normal(stray, 2) * reach,
        half * torch.exp(draw.normal(0.2, 1) + draw.normal(0.1, 2)),
        angle + turn,
        later,
    )
    return first, second


def _half_extents(size: Tensor, aspect: Tensor) -> Tensor:
    """(B,2) of things of area (2 size)^2."""
    return size[:, None] * torch.stack([aspect.sqrt(), 1 / aspect.sqrt()], 1)


def _gain(draw: Draw) -> Tensor:
    return torch.exp(draw.normal(0.25, 1) + draw.normal(0.1, 3))


def _distractor(
    library: Library, target: Layer, boxes: list[Tensor], own: Tensor, distance: Tensor, draw: Draw
) -> tuple[Layer, Layer]:
    """Something beside the target, in half of the cases its very double, at both moments."""
    double = draw.chance(0.5) & ~own
    sprite = torch.where(double, target.sprite, draw.integer(0, len(library.sprites)))
    shape = library.sprite_aspect[sprite]
    extent = (boxes[0][:, 2:] - boxes[0][:, :2]).prod(1).clamp(min=1e-4).sqrt()
    size = 0.5 * extent * torch.exp(draw.normal(0.3))
    half = _half_extents(size, shape)
    direction = draw.uniform(-3.1416, 3.1416)
    away = torch.stack([direction.cos(), direction.sin()], 1) * (draw.uniform(0.9, 2.4) * extent)[:, None]
    center = 0.5 * (boxes[0][:, 2:] + boxes[0][:, :2])
    poses = _moving_pose(center + away, half, draw, stray=0.35)
    drift = 0.5 * (boxes[1][:, 2:] + boxes[1][:, :2]) - center  # it stays a neighbour
    poses = (poses[0], replace(poses[1], center=poses[1].center + drift))
    present = draw.chance(0.55).float()
    layer = Layer(
        sprite=sprite,
        pose=poses[0],
        gain=torch.where(double[:, None], target.gain * torch.exp(draw.normal(0.06, 3)), _gain(draw)),
        bias=torch.where(double[:, None], target.bias, draw.normal(0.05, 3)),
        opacity=present,
        heat_opacity=present,
        depth=torch.lerp(target.depth * 1.02, distance, draw.uniform(0, 0.9)),
        heat=torch.where(draw.chance(0.5), target.heat, draw.uniform(0, 1)),
        skin=torch.where(double, target.skin, draw.integer(0, len(library.sprites))),
    )
    return layer, replace(layer, pose=poses[1])


def _occluder(library: Library, target: Layer, boxes: list[Tensor], draw: Draw) -> tuple[Layer, Layer]:
    """Something nearer that covers a part of the target at the moment of the search: a thing or a pole."""
    sprite = draw.integer(0, len(library.sprites))
    shape = library.sprite_aspect[sprite]
    box = boxes[1]
    extent = box[:, 2:] - box[:, :2]
    size = 0.5 * extent.prod(1).clamp(min=1e-4).sqrt() * torch.exp(draw.normal(0.4))
    half = _half_extents(size, shape)
    pole = torch.stack([0.25 * size, 6 * size], 1)
    half = torch.where(draw.chance(0.3)[:, None], pole, half)
    side = draw.uniform(-0.75, 0.75, 2)
    center = 0.5 * (box[:, 2:] + box[:, :2]) + side * extent
    # Leave a part of the target in sight: a covered target cannot be found, and its box means nothing.
    clear = (side.abs().amax(1) > 0.4) | (half[:, 0] < 0.3 * extent[:, 0])
    present = (draw.chance(0.35) & clear).float()
    tilt = draw.normal(0.15)
    layer = Layer(
        sprite=sprite,
        pose=Pose(center + 50.0, half, tilt, still(draw.batch, draw.device)),
        gain=_gain(draw),
        bias=draw.normal(0.05, 3),
        opacity=present,
        heat_opacity=present,
        depth=target.depth * draw.uniform(0.5, 0.9),
        heat=draw.uniform(0, 1),
        skin=draw.integer(0, len(library.sprites)),
    )
    return layer, replace(layer, pose=Pose(center, half, tilt, still(draw.batch, draw.device)))


def _another_of_the_clip(library: Library, first: Tensor, draw: Draw) -> Tensor:
    """For a frame of a video, another frame of the same video at most about half a clip away; else itself."""
    step = draw.integer(-12, 13)
    other = (first + step).clamp(0, len(library.plates) - 1)
    same = library.plate_clip[other] == library.plate_clip[first]
    return torch.where(same, other, first)


def _moment_before(scene: Scene, camera_speed: Tensor, draw: Draw) -> Scene:
    """The scene some milliseconds earlier: camera and things at other places, by an own speed each."""

    def moved(pose: Pose, own_speed: float) -> Pose:
        reach = pose.half.abs().amin(1, keepdim=True).clamp(max=0.6)
        shift = camera_speed + draw.normal(own_speed, 2) * reach
        return replace(pose, center=pose.center - shift)

    layers = tuple(replace(layer, pose=moved(layer.pose, 0.12)) for layer in scene.layers)
    return replace(scene, layers=layers, plate_pose=moved(scene.plate_pose, 0.0))
