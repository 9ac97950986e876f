"""Float32 against bfloat16 matrix products, in processor time of one thread.

    python benchmarks/cpu_time.py nano          # or vit-b, or a checkpoint

Processor time does not count what other programs took, so it compares variants on a busy machine too. The
bfloat16 form keeps tokens, norms, attention and head in float32: only the linear layers multiply in bfloat16.
"""

from __future__ import annotations

import copy
import sys
import time

import numpy as np
import torch

from sdstrack_ros.bench.networks import MODES, count_flops, named_model
from sdstrack_ros.model import linear
from sdstrack_ros.types import Modality

ROUNDS = 7


def processor_time(call) -> float:
    begun = time.process_time()
    call()
    return (time.process_time() - begun) * 1e3


def in_bfloat16(self, x):
    return linear._onednn(x.bfloat16(), self.weight, self.bias, 'none', [], '').float()


def gelu_in_bfloat16(self, x):
    return linear._onednn(x.bfloat16(), self.weight, self.bias, 'gelu', [], 'none').float()


def main() -> None:
    torch.set_num_threads(1)
    exact = named_model(sys.argv[1], Modality.DEPTH, torch.device('cpu')).network
    reduced = copy.deepcopy(exact)
    for layer in reduced.modules():
        if isinstance(layer, linear.Linear):
            layer.to(torch.bfloat16)
            layer.forward, layer.gelu = in_bfloat16.__get__(layer), gelu_in_bfloat16.__get__(layer)
    config, flops = exact.config, count_flops(exact.config)
    template, search = (torch.randn(1, 6, side, side) for side in (config.template_size, config.search_size))
    square, layer = torch.randn(1024, 1024), linear.Linear(1024, 1024)
    with torch.inference_mode():
        for mode in MODES:
            variants = {
                'product': lambda: layer(square),
                'float32': lambda mode=mode: exact(template, search, mode=mode),
                'bfloat16': lambda mode=mode: reduced(template, search, mode=mode),
            }
            taken = {name: [] for name in variants}
            for _ in range(ROUNDS):
                for name, call in variants.items():
                    taken[name].append(processor_time(call))
            median = {name: np.median(values) for name, values in taken.items()}
            exactly, roughly = median['float32'], median['bfloat16']
            floor = flops[mode] / (2 * 1024**3) * median['product']
            print(
                f'{mode.name}: float32 {exactly:.1f} ms, {exactly / floor:.2f} x floor, '
                f'bfloat16 {roughly:.1f} ms: {exactly / roughly:.2f} x as fast'
            )


main()
