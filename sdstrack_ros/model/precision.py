"""The network in fewer bits, where that is faster and the boxes stay what they were.

    model, precision = at_precision(load_default('depth'), 'auto')

fp32 is exact. bf16 keeps weights and activations in bfloat16. int8 multiplies the linear layers in 8 bits
(weights scaled per output channel, activations per call) and leaves the rest in float32, but attention in
bfloat16 where the processor has it; it is for CPUs, and pays where the layers are wide.

auto takes the fastest on this machine of those that the weights' calibration names: whether boxes survive
fewer bits depends on the weights, and can be measured only with them. A CPU without bfloat16 of its own
computes it all the same, but far slower than float32: auto does not even try it there.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, SettingError
from .config import PRECISIONS
from .linear import Linear, has_bfloat16
from .network import SDSTrack

_ROUNDS = 5
# What torch.compile emits for quantised linear layers.
_onednn: Any = torch.ops.onednn


def at_precision(model: SDSTrack, precision: str, *, compilable: bool = False) -> tuple[SDSTrack, str]:
    """`model` in `precision` (one of PRECISIONS, or auto), and what auto came to. `model` is left as it is.

    compilable: `compiled` is to follow, which int8 does not bear: its scales are read on the host.
    Raises SettingError where there is no such precision, or none on this device.
    """
    if precision != 'auto':
        return _reduced(model, precision, compilable), precision
    calibration, device = model.config.calibration, _device(model)
    variants = {'fp32': _reduced(model, 'fp32', compilable)}
    for each in calibration.precisions if calibration is not None else ():
        slow = each == 'bf16' and device.type == 'cpu' and not has_bfloat16()
        if not slow and _obstacle(each, device, compilable) is None:
            variants[each] = _reduced(model, each, compilable)
    fastest = _fastest(variants) if len(variants) > 1 else 'fp32'
    return variants[fastest], fastest


def available_precisions(device: torch.device) -> tuple[str, ...]:
    """Those that a network on this device can be had in."""
    return tuple(each for each in PRECISIONS if _obstacle(each, device, compilable=False) is None)


def compiled(model: SDSTrack) -> SDSTrack:
    """`model` as torch.compile makes it: one graph for each mode, on CUDA replayed as a CUDA graph.

    What the network puts out is overwritten by the next call. The first call in each mode takes long.
    """
    return cast(SDSTrack, torch.compile(model, mode='reduce-overhead', fullgraph=True, dynamic=False))


def _obstacle(precision: str, device: torch.device, compilable: bool) -> str | None:
    """Why there is no such precision here."""
    if precision not in PRECISIONS:
        return f'{precision!r} is none; use auto, {", ".join(PRECISIONS)}'
    if precision == 'int8' and compilable:
        return "'int8' cannot be compiled; use bf16 or fp32, or do without compile"
    has_int8 = torch.backends.mkldnn.is_available() and hasattr(_onednn, 'qlinear_pointwise')
    if precision == 'int8' and not (device.type == 'cpu' and has_int8):
        return "'int8' needs a CPU whose torch has oneDNN; use bf16 or fp32"
    return None


def _reduced(model: SDSTrack, precision: str, compilable: bool) -> SDSTrack:
    obstacle = _obstacle(precision, _device(model), compilable)
    if obstacle is not None:
        raise SettingError(f'precision: {obstacle}')
    if precision == 'fp32':
        torch.backends.cudnn.allow_tf32 = False  # by default, convolutions on CUDA drop 13 bits
        return model
    reduced = copy.deepcopy(model)
    if precision == 'bf16':
        return reduced.bfloat16()
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
        self._out = torch.bfloat16 if feeds_attention and has_bfloat16() else torch.float32
        self._steps = 127 if _saturates() else 255

    def forward(self, x: Tensor) -> Tensor:
        return self._product(x, 'none', '')

    def gelu(self, x: Tensor) -> Tensor:
        return self._product(x, 'gelu', 'none')

    def _save_to_state_dict(self, *_: Any) -> None:
        raise CheckpointError('a network in int8 cannot be saved; save the one that it was made from')

    def _product(self, x: Tensor, activation: str, kind: str) -> Tensor:
        low, high = (float(each) for each in x.aminmax())
        scale = max(max(high, 0.0) - min(low, 0.0), 1e-12) / self._steps
        zero = round(-min(low, 0.0) / scale)
        # unsigned: oneDNN has no fast product for signed activations on x86
        steps = x.float().mul(1 / scale).add_(zero).round_().clamp_(0, self._steps).to(torch.uint8)
        out: Tensor = _onednn.qlinear_pointwise(
            *(steps, scale, zero, self._packed, self._scale, self._zero, self._bias),
            *(1.0, 0, self._out, activation, [], kind),
        )
        return out


@cache
def _saturates() -> bool:
    """Whether two products of 8 bits are added in 16, as on x86 before VNNI: 255 * 127 * 2 does not fit."""
    width = 64
    weights = _onednn.qlinear_prepack(torch.full((width, width), 127, dtype=torch.int8), None)
    one, none = torch.ones(width), torch.zeros(width, dtype=torch.int64)
    out = _onednn.qlinear_pointwise(
        *(torch.full((1, width), 255, dtype=torch.uint8), 1.0, 0, weights, one, none, None),
        *(1.0, 0, torch.float32, 'none', [], ''),
    )
    return bool((out < 255 * 127 * width).any())


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
