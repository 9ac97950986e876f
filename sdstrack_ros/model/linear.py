"""The linear layer, with the faster of the two matrix products that torch has on a CPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# What torch.compile emits for frozen linear layers; on AMD the BLAS behind F.linear reaches half its rate.
_onednn: Any = getattr(torch.ops.mkldnn, '_linear_pointwise', None)


@cache
def has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 by itself. Where not, oneDNN refuses it, and torch is slow."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


class Linear(nn.Linear):
    """As nn.Linear. On a CPU, and only where no gradient is wanted, oneDNN does the work."""

    def forward(self, x: Tensor) -> Tensor:
        if self._by_onednn(x):
            out: Tensor = _onednn(x, self.weight, self.bias, 'none', [], '')
            return out
        return super().forward(x)

    def gelu(self, x: Tensor) -> Tensor:
        """The layer and the exact (erf) GELU after it."""
        if self._by_onednn(x):
            out: Tensor = _onednn(x, self.weight, self.bias, 'gelu', [], 'none')
            return out
        return F.gelu(super().forward(x))

    def _by_onednn(self, x: Tensor) -> bool:
        return (
            _onednn is not None
            and not torch.compiler.is_compiling()
            and x.device.type == 'cpu'
            and x.dtype == self.weight.dtype
            and (x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and has_bfloat16()))
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled('cpu')
        )
