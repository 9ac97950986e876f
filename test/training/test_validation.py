from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from sdstrack_ros.training.batch import Loss, TrainingBatch
from sdstrack_ros.training.validation import Validation


def batches(step: int) -> Iterator[TrainingBatch]:
    """Whose template is the number of the batch."""
    while True:
        number = torch.full((2, 1), float(step))
        yield TrainingBatch(number, number, number)
        step += 1


def objective(network: nn.Module, batch: TrainingBatch, epoch: int) -> Loss:
    assert not network.training
    answer = network(batch.template).mean()
    assert not answer.requires_grad
    return Loss(answer, {'epoch': torch.tensor(epoch), 'noise': torch.rand(())})


@pytest.fixture
def network() -> nn.Module:
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 3.0)
    nn.init.zeros_(layer.bias)
    return layer


def test_it_averages_over_the_same_batches_and_draws_each_time(network):
    validation = Validation(batches, objective, steps=4, seed=1)
    found = [validation(network, epoch) for epoch in (1, 2)]
    assert found[0]['loss'] == pytest.approx(3.0 * (0 + 1 + 2 + 3) / 4)
    assert [each['epoch'] for each in found] == [1, 2]
    assert found[0]['noise'] == found[1]['noise']


def test_it_leaves_the_training_as_it_was(network):
    """A run with validation learns the same as one without."""
    before = torch.get_rng_state()
    Validation(batches, objective, steps=2)(network, 1)
    assert torch.equal(torch.get_rng_state(), before)
    assert network.training
    network.eval()
    Validation(batches, objective, steps=2)(network, 1)
    assert not network.training
