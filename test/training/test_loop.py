"""The loop: what it learns, when it stops, what it writes, and that a resumed run is the same run."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from torch import nn

from sdstrack_ros.errors import SettingError, TrainingError
from sdstrack_ros.model import SDSTrack, adapter_parameter_groups
from sdstrack_ros.model.checkpoint import read_checkpoint
from sdstrack_ros.training.batch import Loss, TrainingBatch
from sdstrack_ros.training.distillation import DistillationSettings, SelfDistillation
from sdstrack_ros.training.loop import TrainSettings, train

pytestmark = pytest.mark.usefixtures('one_thread')


def batches(step: int) -> Iterator[TrainingBatch]:
    for number in count(step):
        random = torch.Generator().manual_seed(number)
        template, search = (torch.randn(2, 6, size, size, generator=random) for size in (32, 64))
        yield TrainingBatch(template, search, torch.tensor([[0.3, 0.3, 0.4, 0.2]] * 2))


def run(tiny, out: Path, resume: bool = False, **settings) -> SDSTrack:
    torch.manual_seed(3)
    model = SDSTrack(tiny)
    model.freeze_foundation()
    every_option = DistillationSettings(align_tokens=True, sensor_dropout=0.3, single_sensor=0.3)
    train(
        model,
        adapter_parameter_groups(model, 1e-2),
        batches,
        SelfDistillation(tiny, every_option),
        TrainSettings(**settings),
        out,
        SDSTrack.save,
        resume=resume,
    )
    return model


def rows(out: Path) -> list[dict[str, str]]:
    with (out / 'log.csv').open(newline='') as file:
        return list(csv.DictReader(file))


def assert_same(one: nn.Module, other: nn.Module) -> None:
    theirs = other.state_dict()
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0, msg=name)


@pytest.mark.parametrize(('ema_decay', 'optimizer'), [(0.0, 'adamw'), (0.8, 'adamw'), (0.0, 'muon')])
def test_a_resumed_run_equals_an_uninterrupted_one(tiny, tmp_path, ema_decay, optimizer):
    common = {'warmup_steps': 2, 'checkpoint_every': 2, 'log_every': 1}
    common |= {'ema_decay': ema_decay, 'optimizer': optimizer}
    whole = run(tiny, tmp_path / 'whole', steps=5, **common)
    run(tiny, tmp_path / 'parts', steps=3, **common)
    resumed = run(tiny, tmp_path / 'parts', resume=True, steps=5, **common)
    assert_same(whole, resumed)
    state = resumed.state_dict()
    for name, value in read_checkpoint(tmp_path / 'parts' / 'model.safetensors').tensors.items():
        assert torch.equal(value, state[name]), name
    assert [row['step'] for row in rows(tmp_path / 'parts')] == ['1', '2', '3', '4', '5']
    assert [row['loss'] for row in rows(tmp_path / 'parts')] == [
        row['loss'] for row in rows(tmp_path / 'whole')
    ]


def test_only_the_trained_part_changes(tiny, tmp_path):
    torch.manual_seed(3)
    before = SDSTrack(tiny).state_dict()
    after = run(tiny, tmp_path, steps=2, log_every=1).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert 'backbone.patch_embed_multimodal.proj.weight' in changed
    assert 'backbone.norm.weight' in changed
    assert all('Adapter' in n or 'multimodal' in n or n.startswith('backbone.norm.') for n in changed)


class Line(nn.Module):
    """One number to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.ones(1))


def towards_zero(network: nn.Module, batch: TrainingBatch, epoch: int) -> Loss:
    return Loss((network.value**2).sum(), {'epoch_seen': torch.tensor(float(epoch))})


def train_line(out: Path, objective=towards_zero, clock=None, validate=None, **settings) -> Line:
    model = Line()
    groups = [{'params': list(model.parameters()), 'lr': 0.1}]
    more = {} if clock is None else {'clock': clock}
    settings = TrainSettings(weight_decay=0.0, clip=0.0, **settings)
    train(model, groups, batches, objective, settings, out, _save_line, validate=validate, **more)
    return model


def _save_line(model: nn.Module, path: Path) -> None:
    torch.save(model.state_dict(), path)


def test_it_learns(tmp_path):
    model = train_line(tmp_path, steps=30, log_every=5, steps_per_epoch=10)
    assert abs(model.value.item()) < 0.3
    losses = [float(row['loss']) for row in rows(tmp_path)]
    assert losses[-1] < 0.1 * losses[0]
    assert [row['epoch'] for row in rows(tmp_path)] == ['1', '1', '2', '2', '3', '3']
    assert [float(row['epoch_seen']) for row in rows(tmp_path)] == [1, 1, 2, 2, 3, 3]


def test_time_ends_a_run_and_anneals_it(tmp_path):
    seconds = count(0, 2)  # every look at the clock comes 2 s later
    train_line(tmp_path, minutes=1.0, schedule='cosine', log_every=1, clock=lambda: float(next(seconds)))
    logged = rows(tmp_path)
    rates = [float(row['lr']) for row in logged]
    assert rates[0] == pytest.approx(0.1)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.005
    assert float(logged[-1]['seconds']) == pytest.approx(60, abs=6)
    assert (tmp_path / 'model.safetensors').exists()


def test_warm_up_rises_to_the_full_rate(tmp_path):
    train_line(tmp_path, steps=4, warmup_steps=2, log_every=1)
    assert [float(row['lr']) for row in rows(tmp_path)] == pytest.approx([0.05, 0.1, 0.1, 0.1])


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_term(tmp_path):
    def broken(network: nn.Module, batch: TrainingBatch, epoch: int) -> Loss:
        loss = (network.value * float('nan')).sum()
        return Loss(loss, {'fine_giou': loss.detach(), 'fine_l1': torch.tensor(1.0)})

    with pytest.raises(TrainingError, match=r'fine_giou.*lower the learning rate'):
        train_line(tmp_path, objective=broken, steps=5, log_every=1)
    assert not (tmp_path / 'model.safetensors').exists()


def test_what_is_not_finite_never_replaces_the_last_good_checkpoint(tmp_path):
    """A gradient without a bound spoils the weights although its own loss is finite."""

    def breaks_later(network: nn.Module, batch: TrainingBatch, epoch: int) -> Loss:
        loss = (network.value**2).sum()
        if epoch > 1:
            loss = loss + (network.value - network.value).sqrt().sum()  # 0, with an infinite slope
        return Loss(loss, {})

    with pytest.raises(TrainingError, match='gradient_norm'):
        train_line(
            tmp_path, objective=breaks_later, steps=9, steps_per_epoch=4, checkpoint_every=2, log_every=50
        )
    with (tmp_path / 'model.safetensors').open('rb') as file:
        assert torch.isfinite(torch.load(file)['value']).all()
    assert torch.load(tmp_path / 'state.pt')['step'] == 4


def test_a_new_run_leaves_nothing_of_an_earlier_one_to_resume(tmp_path):
    train_line(tmp_path, steps=3)

    def broken(network: nn.Module, batch: TrainingBatch, epoch: int) -> Loss:
        return Loss((network.value * float('nan')).sum(), {})

    with pytest.raises(TrainingError):
        train_line(tmp_path, objective=broken, steps=3)
    assert not (tmp_path / 'state.pt').exists()


def test_epochs_of_another_length_cannot_be_resumed(tiny, tmp_path):
    run(tiny, tmp_path, steps=1, steps_per_epoch=4)
    with pytest.raises(TrainingError, match=r'had 4 steps, and would now have 2'):
        run(tiny, tmp_path, resume=True, steps=2, steps_per_epoch=2)


def test_validation_judges_what_ships_and_is_no_time_of_the_training(tmp_path):
    seconds = count(0, 2)  # every look at the clock comes 2 s later

    def validate(network: nn.Module, epoch: int) -> dict[str, float]:
        for _ in range(50):
            next(seconds)
        return {'loss': network.value.item()}

    model = train_line(
        tmp_path,
        steps=4,
        steps_per_epoch=2,
        log_every=1,
        ema_decay=0.5,
        clock=lambda: float(next(seconds)),
        validate=validate,
    )
    with (tmp_path / 'validation.csv').open(newline='') as file:
        judged = list(csv.DictReader(file))
    assert [row['step'] for row in judged] == ['2', '4']
    assert float(judged[-1]['loss']) == pytest.approx(model.value.item())
    assert float(rows(tmp_path)[-1]['seconds']) < 50  # less than the first validation took


def test_a_damaged_or_foreign_state_is_named(tiny, tmp_path):
    train_line(tmp_path, steps=1)
    with pytest.raises(TrainingError, match=r'state\.pt.*another network'):
        run(tiny, tmp_path, resume=True, steps=2)
    (tmp_path / 'state.pt').write_bytes(b'no state')
    with pytest.raises(TrainingError, match=r'state\.pt'):
        run(tiny, tmp_path, resume=True, steps=2)


def test_a_run_without_end_is_refused():
    with pytest.raises(SettingError, match='steps, minutes'):
        TrainSettings()
