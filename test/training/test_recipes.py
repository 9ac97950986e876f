"""The published recipes, and the command from a folder of images to weights that load."""

from __future__ import annotations

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import typer

from sdstrack_ros.errors import DatasetError, SettingError
from sdstrack_ros.model import SDSTrack
from sdstrack_ros.training.commands import train
from sdstrack_ros.training.loader import PairDataset
from sdstrack_ros.training.recipes import RECIPES, keep_rate_schedule

pytestmark = pytest.mark.usefixtures('one_thread')


def test_keep_rates_are_the_published_ones(golden):
    table = golden('training')['keep_rate_table']
    np.testing.assert_allclose(keep_rate_schedule(50, 0.7), table, atol=1e-12)
    assert keep_rate_schedule(RECIPES['depthtrack'].epochs, 0.7)[-1] == pytest.approx(0.767, abs=1e-3)
    assert keep_rate_schedule(15, 0.7, until=12)[11:] == pytest.approx([0.7] * 4)


def test_recipes_are_the_published_ones():
    numbers = {name: (r.epochs, r.lr, r.batch, r.samples_per_epoch) for name, r in RECIPES.items()}
    assert numbers == {
        'depthtrack': (15, 5e-5, 16, 60_000),
        'lasher': (40, 1e-4, 16, 60_000),
        'visevent': (50, 1e-4, 16, 60_000),
    }


@pytest.fixture
def arguments(tiny, tmp_path, write_sequence, moving_boxes) -> list[str]:
    """A training of two short epochs on two sequences, from a tiny foundation."""
    for name in ('a', 'b'):
        write_sequence('depthtrack', name, moving_boxes)
    torch.manual_seed(0)
    SDSTrack(tiny).save(tmp_path / 'foundation.safetensors', 'foundation')
    return [
        *('depthtrack', '--root', str(tmp_path / 'depthtrack')),
        *('--foundation', str(tmp_path / 'foundation.safetensors'), '--out', str(tmp_path / 'out')),
        *('--epochs', '2', '--samples-per-epoch', '8', '--batch', '2', '--workers', '0', '--device', 'cpu'),
    ]


def run(arguments: list[str]) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(train)
    app(arguments, standalone_mode=False)


def test_the_command_trains_and_resumes_to_weights_that_load(arguments, tiny, tmp_path):
    foundation = SDSTrack.from_foundation(tmp_path / 'foundation.safetensors').state_dict()
    run([*arguments, '--epochs', '1', '--align-tokens', '--sensor-dropout', '0.3'])
    run([*arguments, '--resume'])
    with (tmp_path / 'out' / 'log.csv').open(newline='') as file:
        assert [(row['step'], row['epoch']) for row in csv.DictReader(file)] == [('4', '1'), ('8', '2')]
    model = SDSTrack.from_checkpoint(tmp_path / 'out' / 'model.safetensors')
    assert model.config == tiny
    state = model.state_dict()
    assert torch.equal(
        state['backbone.blocks.0.attn.qkv.weight'], foundation['backbone.blocks.0.attn.qkv.weight']
    )
    assert not torch.equal(state['backbone.norm.weight'], foundation['backbone.norm.weight'])


def test_sequences_to_judge_by_are_not_learnt_from(arguments, tmp_path, monkeypatch):
    (tmp_path / 'judges.txt').write_text('b\n')
    learnt_from: set[str] = set()
    make = PairDataset.__init__

    def note(self, sequences, augmentation, seed):
        if augmentation.mirror:  # of the training only
            learnt_from.update(each.folder.name for each in sequences)
        make(self, sequences, augmentation, seed)

    monkeypatch.setattr(PairDataset, '__init__', note)
    run([*arguments, '--validation', str(tmp_path / 'judges.txt'), '--validation-pairs', '3'])
    assert learnt_from == {'a'}
    with (tmp_path / 'out' / 'validation.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(row['step'], row['epoch']) for row in rows] == [('4', '1'), ('8', '2')]
    assert all(float(row['loss']) > 0 and 0 <= float(row['masked_iou']) <= 1 for row in rows)


def test_two_processes_share_an_epoch(arguments, tmp_path):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    judges = tmp_path / 'judges.txt'
    judges.write_text('b\n')
    arguments += ['--validation-pairs', '4']
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    done = subprocess.run(
        [*command, '-m', 'sdstrack_ros.cli', 'train', *arguments, '--validation', str(judges)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with (tmp_path / 'out' / 'log.csv').open(newline='') as file:
        last = list(csv.DictReader(file))[-1]
    assert (last['step'], last['epoch']) == ('4', '2')  # 8 pairs an epoch, 2 on each of 2 processes
    assert (tmp_path / 'out' / 'validation.csv').read_text().count('\n') == 3
    SDSTrack.from_checkpoint(tmp_path / 'out' / 'model.safetensors')


def test_mistakes_are_named(arguments, tmp_path):
    with pytest.raises(SettingError, match=r"'lasot' is not one of depthtrack"):
        run(['lasot', *arguments[1:]])
    with pytest.raises(DatasetError, match=r'names\.txt'):
        run([*arguments, '--sequences', str(tmp_path / 'names.txt')])
    (tmp_path / 'names.txt').write_text('a\nb/\n')
    both = ['--sequences', str(tmp_path / 'names.txt'), '--validation', str(tmp_path / 'names.txt')]
    with pytest.raises(DatasetError, match='a, b of it stand in'):
        run([*arguments, *both])
    for names, words in (
        ('', 'lists no sequence'),
        ('x/a', 'is a path'),
        ('a\nb', 'holds every sequence out'),
    ):
        (tmp_path / 'judges.txt').write_text(names)
        with pytest.raises(DatasetError, match=words):
            run([*arguments, '--validation', str(tmp_path / 'judges.txt')])
    with pytest.raises(SettingError, match='epochs: 0 is below'):
        run([*arguments, '--epochs', '0'])
    with pytest.raises(SettingError, match='device'):
        run([*arguments, '--device', 'tpu'])
