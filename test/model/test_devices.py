from __future__ import annotations

import pytest
import torch

from sdstrack_ros.errors import SettingError
from sdstrack_ros.model.devices import choose_device


@pytest.mark.parametrize(('devices', 'found'), [(0, 'cpu'), (2, 'cuda')])
def test_auto_is_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch, devices: int, found: str):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: devices > 0)
    assert choose_device('auto') == torch.device(found)


@pytest.mark.parametrize(
    ('wanted', 'message'),
    [('gpu', 'is none'), ('', 'is none'), ('mps', 'is not supported'), ('cuda:2', '2 CUDA devices')],
)
def test_a_device_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, wanted: str, message: str):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    assert choose_device('cuda:1') == torch.device('cuda:1')
    with pytest.raises(SettingError, match=f"device: '{wanted}' .*{message}"):
        choose_device(wanted)
