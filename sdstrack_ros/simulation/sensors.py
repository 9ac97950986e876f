"""From what ideal sensors would see to what real ones give: noise, blur, holes, clipping, events.

All pictures are float (B,C,H,W) in 0..1 on any device; draws come from the generator that is passed in.
"""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .render import wide

# The colour map of the depth stream, in OpenCV's own BGR order, which is what the tracker feeds its network.
_JET_BGR = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_JET)[:, 0]


class Draw:
    """Random numbers of one generator, shaped for a batch; (B,) unless told otherwise."""

    def __init__(self, generator: torch.Generator, batch: int) -> None:
        self.generator, self.batch, self.device = generator, batch, generator.device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        size = (self.batch, *shape)
        return torch.rand(size, generator=self.generator, device=self.device) * (high - low) + low

    def normal(self, sigma: float, *shape: int) -> Tensor:
        return torch.randn((self.batch, *shape), generator=self.generator, device=self.device) * sigma

    def chance(self, probability: float) -> Tensor:
        return self.uniform(0, 1) < probability

    def integer(self, low: int, high: int) -> Tensor:
        """low <= value < high."""
        return torch.randint(low, high, (self.batch,), generator=self.generator, device=self.device)

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        ratio = torch.tensor(high / low, device=self.device)
        return low * torch.exp(self.uniform(0, 1, *shape) * ratio.log())


def noise_like(picture: Tensor, draw: Draw) -> Tensor:
    return torch.randn(picture.shape, generator=draw.generator, device=picture.device)


def blur(picture: Tensor, sigma: Tensor, angle: Tensor, stretch: Tensor) -> Tensor:
    """Gaussian blur, another one per sample: sigma (B,) px, stretched `stretch` times along `angle`."""
    batch, channels, height, width = picture.shape
    axis = torch.arange(-4, 5, device=picture.device, dtype=picture.dtype)
    y, x = torch.meshgrid(axis, axis, indexing='ij')
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    along, across = cos * x + sin * y, cos * y - sin * x
    width_along = (sigma * stretch).clamp(min=0.05)[:, None, None]
    width_across = sigma.clamp(min=0.05)[:, None, None]
    kernel = torch.exp(-0.5 * ((along / width_along) ** 2 + (across / width_across) ** 2))
    kernel = (kernel / kernel.sum((1, 2), keepdim=True)).repeat_interleave(channels, 0)[:, None]
    flat = picture.reshape(1, batch * channels, height, width)
    return F.conv2d(flat, kernel, padding=4, groups=batch * channels).reshape(picture.shape)


def low_frequency(draw: Draw, size: tuple[int, int], cells: int) -> Tensor:
    """Smooth noise (B,1,H,W) of about unit variance with `cells` bumps a side."""
    return F.interpolate(draw.normal(1.0, 1, cells, cells), size=size, mode='bilinear')


def jet(index: Tensor) -> Tensor:
    """Depth index (B,1,H,W) in 0..1 as the picture (B,3,H,W) that the network knows."""
    table = torch.from_numpy(_JET_BGR).to(index.device, torch.float32) / 255
    return table[(index * 255).round().long().clamp(0, 255)[:, 0]].permute(0, 3, 1, 2)


def depth_with_holes(depth: Tensor, border: Tensor, colour: Tensor, draw: Draw, hole_share: Tensor) -> Tensor:
    """Depth (B,1,H,W) as a structured light or time-of-flight camera gives it, 0 where it sees nothing:
    along borders, on black things, in patches; noise grows with the square of the distance."""
    size = (depth.shape[2], depth.shape[3])
    noisy = depth * (1 + 0.004 * depth.clamp(max=6) * noise_like(depth, draw))
    ragged = border + 0.25 * noise_like(depth, draw)
    patches = low_frequency(draw, size, 12) > wide(2.6 - 1.6 * hole_share)
    black = colour.mean(1, keepdim=True) < wide(0.12 * hole_share)
    return noisy.masked_fill((ragged > 0.75) | patches | black, 0.0)


def event_picture(moments: list[Tensor], threshold: Tensor, noise: Tensor, draw: Draw) -> Tensor:
    """Picture (B,3,H,W) of the events between successive brightness images (B,1,H,W) in 0..1.

    White ground, brighter (ON) blue, darker (OFF) red; the last event of a pixel is seen.
    threshold (B,): contrast of the logarithm that makes an event; noise (B,): share of pixels firing alone.
    """
    level = [torch.log(moment + 0.03) for moment in moments]
    polarity = torch.zeros_like(level[0])
    for before, after in itertools.pairwise(level):
        change = after - before
        polarity = torch.where(change.abs() > wide(threshold), change.sign(), polarity)
    lone = torch.rand(polarity.shape, generator=draw.generator, device=polarity.device)
    polarity = torch.where(
        lone < wide(noise) / 2, 1.0, torch.where(lone > 1 - wide(noise) / 2, -1.0, polarity)
    )
    on, off = (polarity > 0).float(), (polarity < 0).float()
    return torch.cat([1 - on, 1 - on - off, 1 - off], 1)
