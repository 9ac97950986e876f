"""Training pairs: template and search crops of random scenes, made on the device that trains.

    source = PairSource(library, Modality.DEPTH, PairSettings(), seed=0)
    pair = source.draw(256)     # Pair(template, search, box, present), normalised as the tracker does

The same seed gives the same pairs on the same device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..settings import check, setting
from ..types import Modality
from .library import Library
from .render import Rendering, render, render_colour, view_points, wide
from .scene import TargetPair, random_pair
from .sensors import Draw, blur, depth_with_holes, event_picture, jet, low_frequency, noise_like

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class Pair(NamedTuple):
    """template (B,6,t,t) and search (B,6,s,s) float32, normalised; box (B,4) x,y,w,h in shares of the search
    crop; present (B,) bool: the target is in the search crop (where not, box means nothing)."""

    template: Tensor
    search: Tensor
    box: Tensor
    present: Tensor


@dataclass(frozen=True)
class PairSettings:
    """How hard the pairs are, and the sizes of the crops (of the network that is trained)."""

    template_size: int = setting(128, 'template crop, px', minimum=16)
    search_size: int = setting(256, 'search crop, px', minimum=32)
    template_factor: float = setting(
        2.0, 'template crop side over the square root of the box area', minimum=1.0
    )
    search_factor: float = setting(4.0, 'search crop side over the square root of the box area', minimum=1.0)
    absent: float = setting(
        0.07, 'share of pairs without the target in the search crop', minimum=0.0, maximum=1.0
    )
    widened: float = setting(
        0.15, 'share of search crops widened as for re-acquisition', minimum=0.0, maximum=1.0
    )
    distractors: int = setting(2, 'most things beside the target', minimum=0)
    scale: float = setting(0.3, 'deviation of the logarithm of the size of search crops', minimum=0.0)
    strange_colours: float = setting(
        0.0,
        'share of RGB-alone pairs that show depth, heat or events in their place',
        minimum=0.0,
        maximum=1.0,
    )

    def __post_init__(self) -> None:
        check(self)


class PairSource:
    """Endless training pairs of one modality; None: RGB alone, where channels 3-5 mean nothing."""

    def __init__(
        self, library: Library, modality: Modality | None, settings: PairSettings, seed: int
    ) -> None:
        self.library, self.modality, self.settings = library, modality, settings
        self._generator = torch.Generator(library.device).manual_seed(seed)
        device = library.device
        self._mean = torch.tensor(_MEAN * 2, device=device)[:, None, None]
        self._std = torch.tensor(_STD * 2, device=device)[:, None, None]

    @torch.no_grad()
    def draw(self, batch: int) -> Pair:
        """The next `batch` pairs."""
        if self.modality is not None:
            return self._render(batch, self.modality)
        strange = round(batch * self.settings.strange_colours)
        parts = [self._render(batch - strange, None)]
        kinds = list(Modality)
        for i, count in enumerate(torch.tensor_split(torch.arange(strange), len(kinds))):
            if len(count):
                odd = self._render(len(count), kinds[i])
                swap = [odd.template.roll(3, 1), odd.search.roll(3, 1)]
                parts.append(odd._replace(template=swap[0], search=swap[1]))
        return Pair(*(torch.cat(values) for values in zip(*parts, strict=True)))

    def _render(self, batch: int, modality: Modality | None) -> Pair:
        draw = Draw(self._generator, batch)
        scenes = random_pair(
            self.library, draw, distractors=self.settings.distractors, colour_alone=modality is None
        )
        settings, frame = self.settings, scenes.scenes[0].frame
        template_box, template_seen = _within_image(scenes.boxes[0], frame)
        search_box, search_seen = _within_image(scenes.boxes[1], frame)
        template_view = self._template_view(template_box, draw)
        search_view, box, present = self._search_view(search_box, draw)
        present &= template_seen & search_seen
        look = self._draw_look(draw)
        template, search = (
            self._crop(scenes, moment, view_points(*view, (size, size)), modality, look, draw)
            for moment, view, size in (
                (0, template_view, settings.template_size),
                (1, search_view, settings.search_size),
            )
        )
        return Pair(template, search, box, present)

    def _template_view(self, box: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Around a first box as a user draws it: not quite right."""
        size = box[:, 2:] - box[:, :2]
        side = size.prod(1, keepdim=True).clamp(min=1e-6).sqrt()
        center = 0.5 * (box[:, 2:] + box[:, :2]) + draw.normal(0.03, 2) * size
        half = 0.5 * self.settings.template_factor * side * torch.exp(draw.normal(0.05, 1))
        return center, half.expand(-1, 2)

    def _search_view(self, box: Tensor, draw: Draw) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
        """Around where the target was thought to be; the box in it; whether the target is in it."""
        settings = self.settings
        size = box[:, 2:] - box[:, :2]
        side = size.prod(1, keepdim=True).clamp(min=1e-6).sqrt()
        factor = settings.search_factor * torch.exp(draw.normal(settings.scale, 1))
        wider = draw.chance(settings.widened)[:, None]
        factor = torch.where(wider, factor * draw.uniform(1.2, 3.0, 1), factor)
        half = 0.5 * factor * side
        # Most targets move little between frames, some anywhere in the crop.
        far = draw.chance(0.4)[:, None]
        shift = torch.where(far, draw.uniform(-0.8, 0.8, 2), draw.normal(0.18, 2).clamp(-0.8, 0.8))
        away = draw.chance(settings.absent)[:, None]
        outside = (1.35 + draw.uniform(0, 1, 2)) * torch.where(draw.uniform(0, 1, 2) < 0.5, -1.0, 1.0)
        center = 0.5 * (box[:, 2:] + box[:, :2]) + torch.where(away, outside, shift) * half
        corner = (box[:, :2] - (center - half)) / (2 * half)
        return (center, half.expand(-1, 2)), torch.cat([corner, size / (2 * half)], 1), ~away[:, 0]

    def _draw_look(self, draw: Draw) -> dict[str, Tensor]:
        """What the two moments of a pair have in common: light, colour, the ranges of the sensors."""
        return {
            'gain': torch.where(draw.chance(0.12), draw.log_uniform(0.08, 0.4), torch.exp(draw.normal(0.15))),
            'gamma': torch.exp(draw.normal(0.2)),
            'grey': draw.chance(0.12),
            'noise': draw.uniform(0, 0.04),
            'hole_share': draw.uniform(0, 1).square(),
            'depth_range': draw.log_uniform(1.1, 4.0),
            'heat_gain': draw.normal(0.3).exp() * torch.where(draw.chance(0.06), 0.1, 1.0),
            'heat_level': draw.normal(0.08),
            'threshold': draw.log_uniform(0.08, 0.35),
            'event_noise': draw.uniform(0, 0.15).square(),
        }

    def _crop(
        self,
        scenes: TargetPair,
        moment: int,
        points: Tensor,
        modality: Modality | None,
        look: dict[str, Tensor],
        draw: Draw,
    ) -> Tensor:
        scene = scenes.scenes[moment]
        if modality in (None, Modality.EVENT):
            colour, inside = render_colour(self.library, scene, points)
            x = torch.zeros_like(colour)
            if modality is Modality.EVENT:
                earlier, _ = render_colour(self.library, scenes.before[moment], points)
                moments = [each.mean(1, keepdim=True) for each in (earlier, colour)]
                x = event_picture(moments, look['threshold'], look['event_noise'], draw)
        else:
            seen = render(self.library, scene, points)
            colour, inside = seen.colour, seen.inside
            x = (
                self._depth(seen, look, draw)
                if modality is Modality.DEPTH
                else self._thermal(seen, look, draw)
            )
        picture = torch.cat([self._camera(colour, look, draw), x], 1) * inside
        return (picture - self._mean) / self._std

    def _camera(self, colour: Tensor, look: dict[str, Tensor], draw: Draw) -> Tensor:
        """Light, contrast, colour, blur and noise, a little different at each moment."""
        gain = look['gain'] * torch.exp(draw.normal(0.12))
        picture = colour.clamp(min=1e-3) ** wide(look['gamma'] * torch.exp(draw.normal(0.06)))
        contrast = wide(torch.exp(draw.normal(0.15)))
        mean = picture.mean((1, 2, 3), keepdim=True)
        picture = ((picture - mean) * contrast + mean) * wide(gain) + draw.normal(0.03, 3, 1, 1)
        picture = torch.where(wide(look['grey']), picture.mean(1, keepdim=True).expand_as(picture), picture)
        sigma = torch.where(draw.chance(0.4), draw.uniform(0.3, 1.6), 0.05)
        picture = blur(picture, sigma, draw.uniform(0, 3.1416), torch.where(draw.chance(0.4), 2.5, 1.0))
        return (picture + wide(look['noise']) * noise_like(picture, draw)).clamp(0, 1)

    def _depth(self, seen: Rendering, look: dict[str, Tensor], draw: Draw) -> Tensor:
        holed = depth_with_holes(seen.depth, seen.border, seen.colour, draw, look['hole_share'])
        # Holes are zeros in nearly every frame, so that the range runs from 0 to the clip of the far end.
        far = (
            wide(look['depth_range'] * torch.exp(draw.normal(0.05)))
            * seen.depth.flatten(1).median(1).values[:, None, None, None]
        )
        return jet((holed / far).clamp(0, 1))

    def _thermal(self, seen: Rendering, look: dict[str, Tensor], draw: Draw) -> Tensor:
        size = (seen.heat.shape[2], seen.heat.shape[3])
        heat = (seen.heat - 0.5) * wide(look['heat_gain']) + 0.5
        heat = heat + wide(look['heat_level'] + draw.normal(0.03)) + 0.03 * low_frequency(draw, size, 4)
        heat = blur(
            heat, draw.uniform(0.3, 1.4), draw.uniform(0, 3.1416), torch.ones(draw.batch, device=heat.device)
        )
        return (heat + 0.5 * wide(look['noise']) * noise_like(heat, draw)).clamp(0, 1).expand(-1, 3, -1, -1)


def _within_image(box: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (B,4) cut to the image of half extents `frame` (B,2), and whether enough of them is left."""
    limit = torch.cat([frame, frame], 1)
    cut = torch.minimum(torch.maximum(box, -limit), limit)
    share = (cut[:, 2:] - cut[:, :2]).prod(1) / (box[:, 2:] - box[:, :2]).prod(1)
    seen = share > 0.4
    return torch.where(seen[:, None], cut, box), seen
