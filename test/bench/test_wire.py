"""`sdstrack bench --node`: the real node in a process of its own, and what it is told to run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sdstrack_ros.bench import machine, networks, parts, wire
from sdstrack_ros.bench.commands import bench
from sdstrack_ros.bench.wire import NodeRow, measure_node
from sdstrack_ros.errors import SettingError
from sdstrack_ros.evaluation.robustness import Latency
from sdstrack_ros.model import SDSTrack, SDSTrackConfig
from sdstrack_ros.types import Modality

TINY = SDSTrackConfig(
    dim=48,
    depth=1,
    heads=3,
    template_size=64,
    search_size=128,
    fusion_blocks=(0,),
    head_channels=32,
    elimination_blocks=(),
)


def test_the_times_of_tracker_and_node_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('OMP_NUM_THREADS', '1')  # of the node's process
    torch.manual_seed(0)
    weights = tmp_path / 'tiny.safetensors'
    SDSTrack(TINY).save(weights)
    found = measure_node(Modality.DEPTH, 40, {'device': 'cpu', 'checkpoint': str(weights)})
    assert 0 < found.answered <= found.frames <= 40
    for name, times in found.spans.items():
        assert 0 < times.p50 <= times.p95 <= times.p99, name
    assert found.inference.p50 < found.latency.p50
    assert found.around.p50 < found.latency.p50


def test_the_node_runs_what_was_measured_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SDSTrack(TINY).save(weights := tmp_path / 'tiny.safetensors')
    given: dict[str, object] = {}

    def measured(modality: Modality, frames: int, parameters: dict[str, object]) -> NodeRow:
        given.update(parameters)
        return NodeRow('tiny', 'cpu', frames, frames, *[Latency(0.1, 0.2, 0.3)] * 3)

    monkeypatch.setattr(wire, 'measure_node', measured)
    monkeypatch.setattr(machine, 'SIDES', {'cpu': (64,)})
    monkeypatch.setattr(parts, 'SIZES', ((160, 120),))
    monkeypatch.setattr(networks, 'compiled', lambda network: network)
    bench(
        [str(weights), 'nano'],
        device='cpu',
        precision=['bf16', 'fp32'],
        compile=True,
        threads=1,
        seconds=0.0,
        node=True,
    )
    assert given == {
        'checkpoint': str(weights),
        'device': 'cpu',
        'precision': 'bf16',
        'threads': 1,
        'compile': True,
    }


def test_a_network_that_the_node_cannot_load_is_refused_at_once() -> None:
    with pytest.raises(SettingError, match=r'vit-b.*give --model nano'):
        bench(['vit-b'], device='cpu', node=True)
