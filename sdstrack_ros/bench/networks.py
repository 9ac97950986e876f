"""The network alone: time, arithmetic, memory, and the ratio to the floor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..errors import CheckpointError
from ..model import SDSTrack, SDSTrackConfig
from ..model.defaults import load_default
from ..model.precision import Int8Linear, at_precision, compiled
from ..types import Modality, Mode
from .machine import finisher
from .timing import Times, take_turns

MODES = (Mode.FUSED, Mode.RGB_ONLY, Mode.X_ONLY)
NO_FILES = ('nano', 'vit-b')


class NamedModel(NamedTuple):
    """`weights` says where they come from: speed does not depend on it."""

    name: str
    weights: str
    network: SDSTrack


@dataclass(frozen=True)
class NetworkRow:
    """One network in one mode and precision.

    weights: where they come from. targets: looked for at once, as one batch. times, gflops (2 per
    multiplication and addition): of all of them. floor: ms that these would take at the peak rate of float32,
    whatever the precision. speedup: how many times faster than float32 in the same run, by the medians; None
    where that did not take part.
    """

    model: str
    weights: str
    mode: Mode
    precision: str
    targets: int
    times: Times
    gflops: float
    weights_mib: float
    floor: float
    speedup: float | None

    @property
    def fps(self) -> float:
        """Boxes a second."""
        return 1e3 * self.targets / self.times.p50

    @property
    def times_floor(self) -> float:
        """How many times the floor the median frame takes. Float32 cannot beat 1; fewer bits can."""
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


def named_models(names: Iterable[str], modality: Modality, device: torch.device) -> list[NamedModel]:
    """Each once, and files called by as many last parts of their paths as tell them apart."""
    places = {Path(name) if name in NO_FILES else Path(name).expanduser().absolute(): name for name in names}
    return [
        named_model(name, modality, device)._replace(name=_label(place, places))
        for place, name in places.items()
    ]


def _label(place: Path, places: Iterable[Path]) -> str:
    for count in range(1, len(place.parts)):
        tail = place.parts[-count:]
        if [each.parts[-count:] for each in places].count(tail) == 1:
            return str(Path(*tail))
    return str(place)


@dataclass(frozen=True)
class Variants:
    """In which ways every network runs."""

    precisions: tuple[str, ...] = ('fp32',)
    targets: tuple[int, ...] = (1,)
    compile: bool = False

    def of(self, network: SDSTrack) -> dict[str, SDSTrack]:
        """By precision, as `at_precision` names it."""
        made = [at_precision(network, each, compilable=self.compile) for each in self.precisions]
        return {name: compiled(each) if self.compile else each for each, name in made}


def measure_networks(
    models: list[NamedModel], variants: Variants, device: torch.device, peak: float, seconds: float
) -> list[NetworkRow]:
    """Every network in every way. Those of one network take turns. seconds: per network and way."""
    ways = len(MODES) * len(variants.targets) * len(variants.precisions)
    compiling = _room_for(len(models) * ways) if variants.compile else nullcontext()
    with compiling:
        return [row for model in models for row in _measure(model, variants, device, peak, seconds)]


def _measure(
    model: NamedModel, variants: Variants, device: torch.device, peak: float, seconds: float
) -> list[NetworkRow]:
    config, networks = model.network.config, variants.of(model.network)
    sides = config.template_size, config.search_size
    forwards = {}
    for count in variants.targets:
        images = [torch.randn(count, 6, side, side, device=device) for side in sides]
        for mode in MODES:
            for name, network in networks.items():
                forwards[count, mode, name] = partial(network, *images, mode=mode)
    with torch.inference_mode():
        times = take_turns(forwards, seconds * len(forwards), finisher(device))
    counts = count_flops(config)
    rows = []
    for (count, mode, name), taken in times.items():
        exact, flops = times.get((count, mode, 'fp32')), counts[mode] * count
        rows.append(
            NetworkRow(
                model.name,
                model.weights,
                mode,
                name,
                count,
                taken,
                flops / 1e9,
                _mebibytes(networks[name]),
                flops / peak * 1e3,
                exact.p50 / taken.p50 if exact is not None else None,
            )
        )
    return rows


def _room_for(graphs: int) -> AbstractContextManager[object]:
    """Where torch may compile so many of them, beyond what it allows by default.

    All networks share the code of their forward, and torch compiles a piece of code eight times at most.
    """
    from torch._dynamo import config  # takes a second to import

    # The other name is that of older torch.
    limit = 'recompile_limit' if hasattr(config, 'recompile_limit') else 'cache_size_limit'
    limits = limit, f'accumulated_{limit}'
    return config.patch({each: getattr(config, each) + graphs for each in limits})


def _mebibytes(network: SDSTrack) -> float:
    """Of the weights, those in 8 bits included."""
    eight_bit = sum(layer.weights for layer in network.modules() if isinstance(layer, Int8Linear))
    return (eight_bit + sum(p.numel() * p.element_size() for p in network.parameters())) / 2**20


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
