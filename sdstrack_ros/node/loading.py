"""The model that the parameters ask for, on the device that they ask for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import SettingError
from ..model import SDSTrack
from ..model.defaults import load_default
from ..model.devices import choose_device
from ..model.precision import at_precision, compiled
from ..model.threads import live_threads
from ..tracking import Tracker
from ..types import Box
from .settings import NodeSettings

GRAPHS_IN_THREADS = '2.13'
_GRAPH_RUNS = 3  # a CUDA graph is warmed up, recorded, and only then replayed


@dataclass(frozen=True)
class LoadedModel:
    """The network, and what people are told of it; device: with the precision, unless that is float32."""

    network: SDSTrack
    name: str
    device: str


def load_model(settings: NodeSettings) -> LoadedModel:
    """Raises SettingError or CheckpointError, naming the parameter or the file."""
    device = choose_device(settings.device)
    torch.set_num_threads(live_threads(settings.threads))
    shown = torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type
    if settings.checkpoint:
        path = Path(settings.checkpoint).expanduser()
        network, name = SDSTrack.from_checkpoint(path, device=device), path.name
    else:
        network, name = load_default(settings.modality, device=device), f'nano {settings.modality}'
    network, precision = at_precision(network, settings.precision, compilable=settings.compile)
    if settings.compile:
        check_compile(device)
        network = compiled(network)
    return LoadedModel(network, name, shown if precision == 'fp32' else f'{shown}, {precision}')


def check_compile(device: torch.device) -> None:
    """SettingError where the compiled network would fail in the thread that tracks."""
    if device.type == 'cuda' and torch.__version__ < GRAPHS_IN_THREADS:
        raise SettingError(
            f'compile: on CUDA it needs torch {GRAPHS_IN_THREADS} or newer, this is {torch.__version__}: its '
            f'CUDA graphs belong to the main thread; upgrade torch, or leave compile off'
        )


def warm_up(model: LoadedModel, settings: NodeSettings) -> None:
    """Run every mode on nothing, as frames will be, so that none of them is a slow one."""
    rgb = np.zeros((240, 320, 3), np.uint8)
    x = np.zeros((240, 320), np.uint16) if settings.modality == 'depth' else rgb
    tracker = Tracker(model.network, settings.modality, settings.missing)
    tracker.init(rgb, x, Box(120, 80, 80, 80))
    for pair in ((rgb, x), (rgb, None), (None, x)):
        for _ in range(_GRAPH_RUNS if settings.compile else 1):
            tracker.track(*pair)
