"""What passes between data, objective and loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """Pairs to learn from, on the device that trains.

    template (B,6,t,t) and search (B,6,s,s): normalised float32, channels 0-2 RGB, 3-5 X.
    box (B,4): the target in the search crop, x, y, w, h in crop units.
    present (B,) bool: where False there is no target to find and `box` means nothing; None: all are there.
    """

    template: Tensor
    search: Tensor
    box: Tensor
    present: Tensor | None = None


class Loss(NamedTuple):
    """What an objective gives: the scalar to minimise and detached scalars for the log."""

    total: Tensor
    terms: Mapping[str, Tensor]


# the endless batches from this step on, on the device that trains
BatchSource = Callable[[int], Iterator[TrainingBatch]]

# network (called as SDSTrack is), batch, epoch counted from 1
Objective = Callable[[nn.Module, TrainingBatch, int], Loss]
