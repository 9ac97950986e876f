"""AdamW for everything, or Muon for the matrices and AdamW for the rest."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from ..errors import SettingError

OPTIMIZERS = ('adamw', 'muon')


def make_optimizers(
    groups: list[dict[str, Any]], kind: str, weight_decay: float, device: torch.device
) -> list[Optimizer]:
    """The optimisers that train `groups` (dicts of `params` and `lr`) together, each its own parameters.

    muon: matrices move by their orthogonalised momentum (Jordan et al. 2024), at learning rates that mean the
    same as AdamW's; whatever is no matrix stays with AdamW. SettingError where torch is too old to have it.
    """
    if kind == 'adamw':
        return [_adamw(groups, weight_decay, device)]
    if not hasattr(torch.optim, 'Muon'):
        raise SettingError("optimizer: 'muon' needs torch 2.9 or newer; update torch, or use adamw")
    matrices, others = (_part(groups, matrices=wanted) for wanted in (True, False))
    made: list[Optimizer] = []
    if matrices:
        made.append(
            torch.optim.Muon(
                cast(Any, matrices),
                lr=matrices[0]['lr'],
                weight_decay=weight_decay,
                adjust_lr_fn='match_rms_adamw',
            )
        )
    if others:
        made.append(_adamw(others, weight_decay, device))
    return made


def _adamw(groups: list[dict[str, Any]], weight_decay: float, device: torch.device) -> Optimizer:
    return AdamW(groups, weight_decay=weight_decay, fused=device.type == 'cuda')


def _part(groups: list[dict[str, Any]], matrices: bool) -> list[dict[str, Any]]:
    """The groups with their matrices alone, or with all else; those that have none are left out."""

    def wanted(parameter: Tensor) -> bool:
        return (parameter.ndim == 2) == matrices

    parts = [{**group, 'params': [p for p in group['params'] if wanted(p)]} for group in groups]
    return [part for part in parts if part['params']]
