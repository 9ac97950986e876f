"""The network in fewer bits, where that is faster and the boxes stay what they were.

    model, precision = at_precision(load_default('depth'), 'auto')

fp32 is exact. bf16 keeps weights and activations in bfloat16. int8 multiplies the linear layers in 8 bits
(weights scaled per output channel, activations per call) and leaves the rest in float32, but attention in
bfloat16 where the processor has it; it is for CPUs, and pays where the layers are wide.

auto takes the fastest on this machine of those that the weights' calibration names: whether boxes survive
fewer bits depends on the weights, and can be measured only with them.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import SettingError
from .linear import Linear
from .network import SDSTrack

PRECISIONS = ('fp32', 'bf16', 'int8')
_ROUNDS = 5
# What torch.compile emits for quantised linear layers.
_onednn: Any = torch.ops.onednn


def at_precision(model: SDSTrack, precision: str) -> tuple[SDSTrack, str]:
    """`model` in `precision` (one of PRECISIONS, or auto), and what auto came to. `model` is left as it is.

    Raises SettingError where there is no such precision, or none on this device.
    """
    if precision != 'auto':
        return _reduced(model, precision), precision
    trusted = model.config.calibration.precisions if model.config.calibration is not None else ()
    variants = {'fp32': model}
    for each in trusted:
        if each != 'int8' or _has_int8(model):
            variants[each] = _reduced(model, each)
    fastest = _fastest(variants) if len(variants) > 1 else 'fp32'
    return variants[fastest], fastest


def compiled(model: SDSTrack) -> SDSTrack:
    """`model` as torch.compile makes it: one graph for each mode, on CUDA replayed as a CUDA graph.

    What the network puts out is overwritten by the next call. The first call in each mode takes long.
    """
    return cast(SDSTrack, torch.compile(model, mode='reduce-overhead', fullgraph=True, dynamic=False))


def _reduced(model: SDSTrack, precision: str) -> SDSTrack:
    if precision == 'fp32':
        return model
    if precision == 'bf16':
        return copy.deepcopy(model).bfloat16()
    if precision != 'int8':
        raise SettingError(f'precision: {precision!r} is none; use auto, {", ".join(PRECISIONS)}')
    if not _has_int8(model):
        raise SettingError("precision: 'int8' needs a CPU whose torch has oneDNN; use bf16 or fp32")
    reduced = copy.deepcopy(model)
    for parent in list(reduced.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, Linear):
                setattr(parent, name, Int8Linear(layer, feeds_attention=name == 'qkv'))
    return reduced


class Int8Linear(nn.Module):
    """What stands in for a `Linear`; as there, `gelu` is the layer and the activation after it."""

    def __init__(self, layer: Linear, feeds_attention: bool) -> None:
        super().__init__()
        weight = layer.weight.detach()
        self._scale = weight.abs().amax(1).clamp(min=1e-12) / 127
        self._zero = torch.zeros(len(weight), dtype=torch.int64)
        quantized = (weight / self._scale[:, None]).round().to(torch.int8)
        self._packed = _onednn.qlinear_prepack(quantized, None)
        self._bias = layer.bias.detach()
        self.weights = weight.numel()  # bytes
        in_bfloat16 = feeds_attention and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self._out = torch.bfloat16 if in_bfloat16 else torch.float32

    def forward(self, x: Tensor) -> Tensor:
        return self._product(x, 'none', '')

    def gelu(self, x: Tensor) -> Tensor:
        return self._product(x, 'gelu', 'none')

    def _product(self, x: Tensor, activation: str, kind: str) -> Tensor:
        low, high = (float(each) for each in x.aminmax())
        scale = max(max(high, 0.0) - min(low, 0.0), 1e-12) / 255
        zero = round(-min(low, 0.0) / scale)
        # unsigned: oneDNN has no fast product for signed activations on x86
        steps = x.float().mul(1 / scale).add_(zero).round_().clamp_(0, 255).to(torch.uint8)
        out: Tensor = _onednn.qlinear_pointwise(
            *(steps, scale, zero, self._packed, self._scale, self._zero, self._bias),
            *(1.0, 0, self._out, activation, [], kind),
        )
        return out


def _has_int8(model: SDSTrack) -> bool:
    return _device(model).type == 'cpu' and hasattr(_onednn, 'qlinear_pointwise')


def _fastest(variants: dict[str, SDSTrack]) -> str:
    """By the quickest of a few fused forwards, in turns, so that other work disturbs all alike."""
    best = dict.fromkeys(variants, float('inf'))
    with torch.inference_mode():
        calls = {name: _forward(model) for name, model in variants.items()}
        for turn in range(_ROUNDS + 1):
            for name, call in calls.items():
                begun = time.perf_counter()
                call()
                if turn > 0:  # the first one warms up
                    best[name] = min(best[name], time.perf_counter() - begun)
    return min(best, key=lambda name: best[name])


def _forward(model: SDSTrack) -> Callable[[], float]:
    """One fused forward, waited for."""
    sizes, device = (model.config.template_size, model.config.search_size), _device(model)
    run = partial(model, *(torch.zeros(1, 6, side, side, device=device) for side in sizes))
    return lambda: float(run().score_map[0, 0, 0, 0])


def _device(model: SDSTrack) -> torch.device:
    return next(model.parameters()).device
