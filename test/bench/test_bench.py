"""`sdstrack bench` on a network that takes no time: what it counts, what it writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from sdstrack_ros.bench import machine, networks, parts
from sdstrack_ros.bench.commands import bench
from sdstrack_ros.bench.machine import peak_rate
from sdstrack_ros.bench.networks import MODES, Variants, count_flops, measure_networks, named_models
from sdstrack_ros.bench.timing import LEAST_ROUNDS, Times, take_turns
from sdstrack_ros.errors import CheckpointError
from sdstrack_ros.model import SDSTrack, SDSTrackConfig
from sdstrack_ros.types import Modality, Mode

TINY = SDSTrackConfig(
    dim=48,
    depth=2,
    heads=3,
    template_size=64,
    search_size=128,
    fusion_blocks=(1,),
    elimination_blocks=(0,),
    head_channels=32,
)
SIZES = ((160, 120), (320, 240))
CPU = torch.device('cpu')
ALL_SIDES = machine.SIDES


@pytest.fixture(scope='module', autouse=True)
def small_products() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, 'SIDES', {'cpu': (256,)})
        yield


@pytest.fixture(scope='module')
def numbers(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str]:
    folder = tmp_path_factory.mktemp('bench')
    SDSTrack(TINY).save(folder / 'tiny.safetensors')
    app = typer.Typer()
    app.command()(bench)
    written = folder / 'bench.json'
    arguments = ['--model', str(folder / 'tiny.safetensors'), '--seconds', '0', '--json', str(written)]
    arguments += ['--precision', 'fp32', '--precision', 'bf16', '--targets', '1', '--targets', '3']
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, 'SIZES', SIZES)
        got = CliRunner().invoke(app, [*arguments, '--threads', '1'])
    assert got.exit_code == 0, got.output
    return json.loads(written.read_text()), got.output


def test_every_mode_has_its_times_and_its_floor(numbers):
    found = numbers[0]
    rows = {(row['mode'], row['precision'], row['targets']): row for row in found['networks']}
    modes = ('FUSED', 'RGB_ONLY', 'X_ONLY')
    assert set(rows) == {(m, p, t) for m in modes for p in ('fp32', 'bf16') for t in (1, 3)}
    for row in rows.values():
        assert 0 < row['best_ms'] <= row['p50_ms'] <= row['p95_ms'] <= row['p99_ms']
        assert row['runs'] >= LEAST_ROUNDS
        assert row['fps'] == pytest.approx(1e3 * row['targets'] / row['p50_ms'])
        floor = row['gflop'] / found['peak_gflop_per_s'] * 1e3
        assert row['floor_ms'] == pytest.approx(floor)
        assert row['times_floor'] == pytest.approx(row['p50_ms'] / floor)
        assert 0 < row['best_times_floor'] <= row['times_floor']
        exact = rows[row['mode'], 'fp32', row['targets']]
        assert row['times_fp32'] == pytest.approx(exact['p50_ms'] / row['p50_ms'])
        assert row['gflop'] == pytest.approx(row['targets'] * rows[row['mode'], 'fp32', 1]['gflop'])
    fused = rows['FUSED', 'fp32', 1]
    assert rows['RGB_ONLY', 'fp32', 1]['gflop'] < 0.6 * fused['gflop']
    count = sum(p.numel() for p in SDSTrack(TINY).parameters())
    assert fused['weights_mib'] * 2**20 == 4 * count
    assert rows['FUSED', 'bf16', 1]['weights_mib'] * 2**20 == 2 * count


def test_every_part_is_measured_at_both_sizes(numbers):
    found = {(tuple(row['size']), row['part']) for row in numbers[0]['parts']}
    assert len(found) == len(numbers[0]['parts']) == 16
    assert {(size, 'crop and normalise') for size in SIZES} < found
    assert {(size, 'whole tracker') for size in SIZES} < found


def test_what_it_ran_on_is_told(numbers):
    found, printed = numbers
    for fact in ('processor', 'cores', 'PyTorch', 'OpenCV', 'command', 'date'):
        assert found['machine'][fact]
    assert found['networks'][0]['weights'].endswith('tiny.safetensors')
    assert (found['device'], found['node']) == ('cpu', None)
    assert 'tiny.safetensors X_ONLY bf16 x 3' in printed
    assert '320x240' in printed


def test_the_published_network_costs_what_is_known_of_it():
    counts = count_flops(SDSTrackConfig())
    assert 110e9 < counts[Mode.FUSED] < 115.1e9
    assert all(counts[mode] < 0.45 * counts[Mode.FUSED] for mode in MODES[1:])


def test_a_product_of_known_size_is_counted_in_full():
    """Also in the layers that oneDNN computes: the floor would be too low without them."""
    layers = 2 * (TINY.dim * 3 + TINY.dim + 2 * TINY.dim * 4) * TINY.dim * (16 + 64)
    assert count_flops(TINY)[Mode.RGB_ONLY] > layers


def test_the_peak_is_no_slower_than_a_product_timed_here():
    peak = peak_rate(CPU, 0.0)
    a = torch.randn(256, 256)
    best = take_turns({'product': lambda: a @ a}, 0.0)['product'].best
    assert peak > 0.1 * 2 * 256**3 / (best * 1e-3)


def test_variants_take_turns():
    calls: list[str] = []
    times = take_turns({'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')}, 0.0)
    measured = calls[-2 * LEAST_ROUNDS :]
    assert measured == ['a', 'b'] * LEAST_ROUNDS
    assert times['a'].runs == times['b'].runs == LEAST_ROUNDS


def test_percentiles_are_milliseconds():
    times = Times.of([0.001 * each for each in range(1, 102)])
    assert (times.p50, times.p95, times.p99, times.best) == pytest.approx((51, 96, 100, 1))


@pytest.mark.parametrize('output', ['file/bench.json', 'folder'])
def test_a_file_that_cannot_be_is_found_out_before_any_work(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / 'file').touch()
    (tmp_path / 'folder').mkdir()
    monkeypatch.setattr('sdstrack_ros.bench.commands.named_models', lambda *_: pytest.fail('work was begun'))
    app = typer.Typer()
    app.command()(bench)
    refused = CliRunner().invoke(app, ['--json', str(tmp_path / output)])
    assert refused.exit_code != 0
    assert output.split('/')[0] in str(refused.exception) + refused.output


def test_a_model_that_is_none_is_named():
    with pytest.raises(CheckpointError, match='vit-l'):
        named_models(['vit-l'], Modality.DEPTH, CPU)


def test_files_of_one_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for folder in ('a', 'b'):
        SDSTrack(TINY).save(tmp_path / folder / 'model.safetensors')
    SDSTrack(TINY).save(tmp_path / 'a' / 'other.safetensors')
    names = ['a/model.safetensors', 'b/model.safetensors', 'a/other.safetensors', './a/other.safetensors']
    models = named_models(names, Modality.DEPTH, CPU)
    rows = measure_networks(models, Variants(), CPU, 1e9, 0.0)
    assert list(dict.fromkeys((row.model, row.weights) for row in rows)) == [
        ('a/model.safetensors', 'a/model.safetensors'),
        ('b/model.safetensors', 'b/model.safetensors'),
        ('other.safetensors', 'a/other.safetensors'),
    ]


def test_many_graphs_of_one_network_are_compiled(monkeypatch: pytest.MonkeyPatch):
    """More than the eight that torch allows a piece of code; without an actual compiler."""
    backend = partial(torch.compile, backend='eager', fullgraph=True, dynamic=False)
    monkeypatch.setattr(networks, 'compiled', backend)
    model = networks.NamedModel('tiny', '', SDSTrack(TINY).eval())
    rows = measure_networks([model], Variants(('fp32',), (1, 2, 3), compile=True), CPU, 1e9, 0.0)
    assert len(rows) == 9


def test_products_that_keep_a_large_gpu_busy():
    assert max(ALL_SIDES['cuda']) >= 8192
