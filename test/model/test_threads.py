from __future__ import annotations

import pytest

from sdstrack_ros.model import threads


@pytest.mark.parametrize(
    ('wanted', 'cores', 'torch_default', 'found'),
    [
        (0, 1, 1, 1),
        (0, 2, 2, 1),
        (0, 8, 8, 7),
        (0, 16, 8, 8),  # two logical cores in each physical one: there is room as it is
        (0, 8, 2, 2),  # OMP_NUM_THREADS
        (3, 2, 2, 3),
    ],
)
def test_a_core_is_left_free_unless_a_number_is_asked_for(monkeypatch, wanted, cores, torch_default, found):
    monkeypatch.setattr(threads, 'available_cores', lambda: cores)
    monkeypatch.setattr(threads, '_TORCH_DEFAULT', torch_default)
    assert threads.live_threads(wanted) == found
