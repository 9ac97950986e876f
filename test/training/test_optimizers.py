"""Which optimiser trains what."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sdstrack_ros.errors import SettingError
from sdstrack_ros.training.optimizers import make_optimizers

CPU = torch.device('cpu')


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 2), nn.Linear(4, 6), nn.LayerNorm(6))


def test_muon_trains_the_matrices_and_adamw_the_rest(network):
    fast, slow = list(network[:2].parameters()), list(network[2].parameters())
    groups = [{'params': fast, 'lr': 1e-2}, {'params': slow, 'lr': 1e-3}]
    muon, adamw = make_optimizers(groups, 'muon', 0.1, CPU)
    assert [p.shape for group in muon.param_groups for p in group['params']] == [(6, 4)]
    trained = [p for each in (muon, adamw) for group in each.param_groups for p in group['params']]
    assert len(trained) == len(set(map(id, trained))) == len(fast + slow)
    assert [group['lr'] for group in adamw.param_groups] == [1e-2, 1e-3]
    assert {group['weight_decay'] for each in (muon, adamw) for group in each.param_groups} == {0.1}


def test_muon_moves_a_matrix_as_far_in_every_direction(network):
    """However unlike the singular values of the gradient are, those of the step are alike."""
    layer = network[1]
    (muon, _) = make_optimizers([{'params': list(network.parameters()), 'lr': 0.1}], 'muon', 0.0, CPU)
    before = layer.weight.detach().clone()
    layer.weight.grad = torch.zeros(6, 4)
    layer.weight.grad[:4] = torch.diag(torch.tensor([1.0, 0.5, 0.2, 0.1]))
    muon.step()
    lengths = torch.linalg.svdvals(layer.weight.detach() - before)
    assert lengths.min() > 0.5 * lengths.max()


def test_one_optimiser_is_enough_where_all_are_matrices_or_none_is(network):
    (only,) = make_optimizers([{'params': [network[1].weight], 'lr': 0.1}], 'muon', 0.0, CPU)
    assert isinstance(only, torch.optim.Muon)
    (only,) = make_optimizers([{'params': list(network.parameters()), 'lr': 0.1}], 'adamw', 0.0, CPU)
    assert isinstance(only, torch.optim.AdamW)


def test_an_old_torch_is_told(network, monkeypatch):
    monkeypatch.delattr(torch.optim, 'Muon')
    with pytest.raises(SettingError, match=r"'muon' needs torch 2\.9"):
        make_optimizers([{'params': list(network.parameters()), 'lr': 0.1}], 'muon', 0.0, CPU)
