"""Weights that answer in milliseconds, for nodes in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sdstrack_ros.model import SDSTrack, SDSTrackConfig

TINY = SDSTrackConfig(
    dim=48,
    depth=2,
    heads=3,
    template_size=64,
    search_size=128,
    fusion_blocks=(1,),
    elimination_blocks=(),
    head_channels=32,
)


@pytest.fixture(scope='session', autouse=True)
def one_thread() -> Iterator[None]:
    """Here and in the node's process."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('OMP_NUM_THREADS', '1')
        yield


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'tiny.safetensors'
    SDSTrack(TINY).save(path)
    return path
