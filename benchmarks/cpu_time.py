"""Precisions against each other, in processor time of one thread.

    python benchmarks/cpu_time.py nano          # or vit-b, or a checkpoint

Processor time does not count what other programs took, so it compares variants on a busy machine too.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

from sdstrack_ros.bench.networks import MODES, count_flops, named_model
from sdstrack_ros.model.config import PRECISIONS
from sdstrack_ros.model.linear import Linear
from sdstrack_ros.model.precision import at_precision
from sdstrack_ros.types import Modality

ROUNDS = 7


def processor_time(call) -> float:
    begun = time.process_time()
    call()
    return (time.process_time() - begun) * 1e3


def main() -> None:
    torch.set_num_threads(1)
    exact = named_model(sys.argv[1], Modality.DEPTH, torch.device('cpu')).network
    networks = {name: at_precision(exact, name)[0] for name in PRECISIONS}
    config, flops = exact.config, count_flops(exact.config)
    template, search = (torch.randn(1, 6, side, side) for side in (config.template_size, config.search_size))
    square, layer = torch.randn(1024, 1024), Linear(1024, 1024)
    with torch.inference_mode():
        for mode in MODES:
            variants = {'product': lambda: layer(square)}
            for name, network in networks.items():
                variants[name] = lambda mode=mode, network=network: network(template, search, mode=mode)
            taken = {name: [] for name in variants}
            for _ in range(ROUNDS):
                for name, call in variants.items():
                    taken[name].append(processor_time(call))
            median = {name: np.median(values) for name, values in taken.items()}
            floor = flops[mode] / (2 * 1024**3) * median['product']
            print(f'{mode.name}: float32 {median["fp32"]:.1f} ms, {median["fp32"] / floor:.2f} x floor')
            for name in PRECISIONS[1:]:
                print(f'    {name} {median[name]:.1f} ms: {median["fp32"] / median[name]:.2f} x as fast')


main()
