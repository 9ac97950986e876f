"""How the network does after an epoch on pairs that it does not learn from, as in the published training."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import torch
import torch.distributed as dist
from torch import nn

from .batch import BatchSource, Objective


@dataclass(frozen=True)
class Validation:
    """The objective's terms, averaged over the first `steps` batches: the same pairs and masks each time.

    Under torch.distributed every process looks at its own share. No random draw of the training is changed.
    """

    batches: BatchSource
    objective: Objective
    steps: int
    seed: int = 0

    @torch.no_grad()
    def __call__(self, network: nn.Module, epoch: int) -> dict[str, float]:
        """`loss` and the terms after this epoch; the network is as before, also in its training mode."""
        device = next(network.parameters()).device
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        learning = network.training
        network.eval()
        with torch.random.fork_rng([device] if device.type == 'cuda' else []):
            torch.manual_seed(self.seed + rank)
            losses = [self.objective(network, batch, epoch) for batch in islice(self.batches(0), self.steps)]
        network.train(learning)
        rows = [{'loss': each.total, **each.terms} for each in losses]
        sums = torch.stack([torch.stack([row[name].float() for row in rows]).sum() for name in rows[0]])
        if dist.is_initialized():
            dist.all_reduce(sums)
        return dict(zip(rows[0], (sums / (len(rows) * world)).tolist(), strict=True))
