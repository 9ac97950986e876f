"""`sdstrack bench --node`: the real node in a process of its own, with a network that takes no time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sdstrack_ros.bench.wire import measure_node
from sdstrack_ros.model import SDSTrack, SDSTrackConfig
from sdstrack_ros.types import Modality


def test_the_times_of_tracker_and_node_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('OMP_NUM_THREADS', '1')  # of the node's process
    torch.manual_seed(0)
    weights = tmp_path / 'tiny.safetensors'
    config = SDSTrackConfig(
        dim=48,
        depth=1,
        heads=3,
        template_size=64,
        search_size=128,
        fusion_blocks=(0,),
        head_channels=32,
        elimination_blocks=(),
    )
    SDSTrack(config).save(weights)
    found = measure_node(Modality.DEPTH, 40, {'device': 'cpu', 'checkpoint': str(weights)})
    assert 0 < found.answered <= found.frames <= 40
    for name, times in found.spans.items():
        assert 0 < times.p50 <= times.p95 <= times.p99, name
    assert found.inference.p50 < found.latency.p50
    assert found.around.p50 < found.latency.p50
