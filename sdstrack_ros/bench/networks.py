"""The network alone: time, arithmetic, memory, and the ratio to the floor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..errors import CheckpointError
from ..model import SDSTrack, SDSTrackConfig
from ..model.defaults import load_default
from ..types import Modality, Mode
from .machine import finisher
from .timing import Times, take_turns

MODES = (Mode.FUSED, Mode.RGB_ONLY, Mode.X_ONLY)


class NamedModel(NamedTuple):
    """`weights` says where they come from: speed does not depend on it."""

    name: str
    weights: str
    network: SDSTrack


@dataclass(frozen=True)
class NetworkRow:
    """One network in one mode; a batch of one frame.

    gflops: of one frame, 2 per multiplication and addition. floor: ms that these would take at the peak rate.
    """

    model: str
    mode: Mode
    times: Times
    gflops: float
    weights_mib: float
    floor: float

    @property
    def fps(self) -> float:
        return 1e3 / self.times.p50

    @property
    def times_floor(self) -> float:
        """How many times the floor the median frame takes; 1 cannot be beaten."""
        return self.times.p50 / self.floor

    @property
    def best_times_floor(self) -> float:
        """The same of the quickest frame, for machines that have other work too."""
        return self.times.best / self.floor


def named_model(name: str, modality: Modality, device: torch.device) -> NamedModel:
    """'nano', 'vit-b' or a checkpoint. CheckpointError where the file is none."""
    if name == 'vit-b':
        return NamedModel(name, 'random', _untrained(SDSTrackConfig(), device))
    if name == 'nano':
        return NamedModel(name, f'shipped, {modality.value}', load_default(modality, device))
    path = Path(name).expanduser()
    if not path.is_file():
        raise CheckpointError(f'--model {name!r} is neither vit-b nor nano nor a file')
    return NamedModel(path.name, str(path), SDSTrack.from_checkpoint(path, device))


def measure_networks(
    models: list[NamedModel], device: torch.device, peak: float, seconds: float
) -> list[NetworkRow]:
    """Every network in every mode. Modes of a network take turns. seconds: per network and mode."""
    rows = []
    for model in models:
        config = model.network.config
        template = torch.randn(1, 6, config.template_size, config.template_size, device=device)
        search = torch.randn(1, 6, config.search_size, config.search_size, device=device)
        forwards = {mode.name: partial(model.network, template, search, mode=mode) for mode in MODES}
        with torch.inference_mode():
            times = take_turns(forwards, seconds * len(MODES), finisher(device))
        weights = sum(p.numel() * p.element_size() for p in model.network.parameters()) / 2**20
        counts = count_flops(config)
        rows += [
            NetworkRow(
                model.name,
                mode,
                times[mode.name],
                counts[mode] / 1e9,
                weights,
                counts[mode] / peak * 1e3,
            )
            for mode in MODES
        ]
    return rows


def count_flops(config: SDSTrackConfig) -> Mapping[Mode, int]:
    """Of one frame in each mode: matrix products and convolutions, without computing anything.

    Not with data on a CPU: the counter does not see the layers that oneDNN computes there.
    """
    with torch.device('meta'):
        network = SDSTrack(config).eval()
        template = torch.empty(1, 6, config.template_size, config.template_size)
        search = torch.empty(1, 6, config.search_size, config.search_size)
    counts = {}
    for mode in MODES:
        with FlopCounterMode(display=False) as counter:
            network(template, search, mode=mode)
        counts[mode] = int(counter.get_total_flops())
    return counts


def _untrained(config: SDSTrackConfig, device: torch.device) -> SDSTrack:
    torch.manual_seed(0)
    return SDSTrack(config).eval().to(device)
