from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest
import torch
from torch.torch_version import TorchVersion

from sdstrack_ros.errors import SettingError
from sdstrack_ros.model import load_default
from sdstrack_ros.node.loading import LoadedModel, check_compile, load_model, warm_up
from sdstrack_ros.node.settings import NodeSettings
from sdstrack_ros.types import Mode


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


def test_every_mode_is_warmed_up_as_frames_will_be() -> None:
    """Three times each: a CUDA graph is warmed up, recorded, replayed."""
    network, seen = load_default('depth'), []
    masks = 'token_masks'
    network.register_forward_pre_hook(
        lambda _, __, given: seen.append((given['mode'], given[masks] is not None)), with_kwargs=True
    )
    warm_up(LoadedModel(network, 'nano', 'cpu'), NodeSettings(missing='auto', compile=True))
    assert {seen.count((mode, False)) >= 3 for mode in (Mode.FUSED, Mode.RGB_ONLY, Mode.X_ONLY)} == {True}
    seen.clear()
    warm_up(LoadedModel(network, 'nano', 'cpu'), NodeSettings(missing='zero'))
    assert set(seen) == {(Mode.FUSED, True)}


def test_graphs_that_would_fail_in_a_thread_are_refused(monkeypatch) -> None:
    for version, fits in (('2.9.1+cu128', False), ('2.13.0', True), ('2.14.1', True)):
        monkeypatch.setattr(torch, '__version__', TorchVersion(version))
        check_compile(torch.device('cpu'))
        if fits:
            check_compile(torch.device('cuda'))
        else:
            with pytest.raises(SettingError, match=r'2\.13'):
                check_compile(torch.device('cuda'))
