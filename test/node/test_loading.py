from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest
import torch

from sdstrack_ros.node.loading import load_model
from sdstrack_ros.node.settings import NodeSettings


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_network_gets_its_threads_also_where_it_runs(checkpoint) -> None:
    """Which is not where it is loaded, but a thread of its own."""
    found: list[int] = []
    for threads in (3, 2):
        load_model(NodeSettings(checkpoint=str(checkpoint), device='cpu', threads=threads))
        worker = Thread(target=lambda: found.append(torch.get_num_threads()))
        worker.start()
        worker.join()
    assert found == [3, 2]
