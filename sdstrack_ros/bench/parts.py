"""The way of one frame from message to box, part by part, and as the tracker goes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import cv2
import numpy as np
import torch

from ..model import SDSTrack, decode
from ..sensing.appearance import appearance_for
from ..sensing.content import ContentCheck
from ..sensing.encodings import rgb_from_compressed, x_from_compressed
from ..sensing.synchronizer import Synchronizer
from ..simulation import render_sequence
from ..tracking.crops import crop, hann_window, normalise
from ..tracking.tracker import Tracker
from ..types import Box, Frame, Image, Modality
from .machine import finisher
from .timing import Times, take_turns

SIZES = ((640, 480), (1280, 720))
_PERIOD_NS = 33_333_333


@dataclass(frozen=True)
class PartRow:
    """One part of the work for one frame of this size."""

    width: int
    height: int
    part: str
    times: Times


@dataclass
class _Packed:
    """A sensor_msgs/CompressedImage, without ROS."""

    format: str
    data: bytes


def measure_parts(
    network: SDSTrack, modality: Modality, device: torch.device, seconds: float
) -> list[PartRow]:
    """Parts take turns; both streams are there. seconds: of measuring, per image size."""
    rows = []
    for width, height in SIZES:
        with torch.inference_mode():
            times = take_turns(_parts(network, modality, device, width, height), seconds, finisher(device))
        rows += [PartRow(width, height, part, each) for part, each in times.items()]
    return rows


def _parts(
    network: SDSTrack, modality: Modality, device: torch.device, width: int, height: int
) -> dict[str, Callable[[], object]]:
    sequence = render_sequence(modality, 2, width, height)
    rgb, x, box = sequence.rgb[1], sequence.x[1], Box.of(sequence.boxes[1])
    config = network.config
    jpeg = _Packed('rgb8; jpeg compressed bgr8', cv2.imencode('.jpg', rgb[..., ::-1])[1].tobytes())
    kind = '16UC1' if x.dtype == np.uint16 else 'mono8' if x.ndim == 2 else 'rgb8'
    png = _Packed(f'{kind}; png compressed', cv2.imencode('.png', x)[1].tobytes())
    checks = ContentCheck('rgb'), ContentCheck(modality.value)
    appearance = appearance_for(modality)

    def normalised(factor: float, size: int) -> torch.Tensor:
        rgb_patch, _ = crop(rgb, box, factor, size)
        x_patch, _ = crop(x, box, factor, size, appearance.prepare(x).convert)
        return normalise(rgb_patch, x_patch, device)

    template = normalised(config.template_factor, config.template_size)
    search = normalised(config.search_factor, config.search_size)
    out = network(template, search)
    window = hann_window(config.search_grid).to(device)
    tracker = Tracker(network, modality)
    tracker.init(sequence.rgb[0], sequence.x[0], Box.of(sequence.boxes[0]))
    return {
        'decode RGB, JPEG': lambda: rgb_from_compressed(jpeg),
        'decode X, PNG': lambda: x_from_compressed(png, modality),
        'check contents': lambda: [each.problem(image) for each, image in zip(checks, (rgb, x), strict=True)],
        'pair': _pairing(rgb, x),
        'crop and normalise': lambda: normalised(config.search_factor, config.search_size),
        'network': lambda: network(template, search),
        'box': lambda: decode(window * out.score_map, out.size_map, out.offset_map)[0].tolist(),
        'whole tracker': lambda: tracker.track(rgb, x),
    }


def _pairing(rgb: Image, x: Image) -> Callable[[], object]:
    """One frame of each stream through the synchronizer, at 30 Hz by its own clock."""
    synchronizer, ticks = Synchronizer(), count(1)

    def pair() -> object:
        now = next(ticks) * _PERIOD_NS
        synchronizer.add_x(Frame(now, x), now)
        synchronizer.add_rgb(Frame(now, rgb), now)
        return synchronizer.poll(now)

    return pair
