"""What the numbers were taken on, and how fast that can multiply matrices."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from contextlib import suppress

import torch
import torch.nn.functional as F

from ..evaluation.provenance import provenance
from ..model.linear import Linear
from ..model.threads import available_cores
from .timing import take_turns

# Of the square products whose best rate is the peak, by device; larger ones are no faster. A GPU has so many
# cores that small ones leave most of them idle.
SIDES = {'cpu': (512, 768, 1536), 'cuda': (1536, 4096, 8192)}


def facts(device: torch.device) -> dict[str, str]:
    """The machine, the versions, and how busy it was when this was asked."""
    found = provenance([], 1)
    found['cores'] = f'{available_cores()} usable, {torch.get_num_threads()} threads'
    if device.type == 'cuda':
        found['GPU'] = torch.cuda.get_device_name(device)
        found['CUDA'] = str(torch.version.cuda)
    with suppress(OSError):
        found['load'] = ', '.join(f'{each:.1f}' for each in os.getloadavg()) + ' (1, 5, 15 minutes)'
    return found


def peak_rate(device: torch.device, seconds: float = 2.0) -> float:
    """FLOP/s of the quickest float32 matrix product, 2 per multiplication, by the libraries torch has here.

    The floor of a network is its FLOPs over this: what it would take if it were matrix products alone.
    """
    products: dict[str, Callable[[], object]] = {}
    for side in SIDES[device.type]:
        layer = Linear(side, side, bias=False, device=device)
        x = torch.randn(side, side, device=device)
        products[f'linear {side}'] = lambda layer=layer, x=x: layer(x)  # type: ignore[misc]
        products[f'blas {side}'] = lambda layer=layer, x=x: F.linear(x, layer.weight)  # type: ignore[misc]
    with torch.inference_mode():
        times = take_turns(products, seconds, finisher(device))
    return max(2 * int(name.split()[1]) ** 3 / (each.best * 1e-3) for name, each in times.items())


def finisher(device: torch.device) -> Callable[[], object]:
    """Waits for what was given to the device."""
    if device.type == 'cuda':
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


def forget_memory(device: torch.device) -> None:
    """Let `peak_memory` of a GPU leave out what is over: large products are no part of a network."""
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> float:
    """MiB: the most that torch held on a GPU since `forget_memory`, or this process in memory so far."""
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
