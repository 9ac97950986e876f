from __future__ import annotations

import numpy as np

from sdstrack_ros.node.history import History
from sdstrack_ros.types import Frame, Observation

MS = 1_000_000


def observation(ms: int) -> Observation:
    return Observation(rgb=Frame(ms * MS, np.zeros((2, 2, 3), np.uint8)), x=None)


def filled(*moments: int) -> History:
    history = History(length_s=1.0, tolerance_s=0.02)
    for ms in moments:
        history.add(observation(ms))
    return history


def stamps(observations: list[Observation]) -> list[int]:
    return [o.lead.stamp_ns // MS for o in observations]


def test_the_frame_of_a_stamp_is_found_within_the_tolerance() -> None:
    history = filled(0, 33, 67, 100)
    assert history.at(67 * MS).lead.stamp_ns == 67 * MS
    assert history.at(60 * MS).lead.stamp_ns == 67 * MS
    assert history.at(125 * MS) is None


def test_old_frames_leave() -> None:
    history = filled(*range(0, 3001, 100))
    assert history.oldest.lead.stamp_ns == 2000 * MS
    assert history.newest.lead.stamp_ns == 3000 * MS
    assert history.at(0) is None
    assert history.covers(2000 * MS)
    assert not history.covers(1900 * MS)


def test_catching_up_is_thinned_evenly_and_ends_at_the_newest() -> None:
    history = filled(*range(0, 1000, 100))
    assert stamps(history.after(500 * MS, at_most=10)) == [600, 700, 800, 900]
    assert stamps(history.after(0, at_most=3)) == [300, 600, 900]
    assert history.after(900 * MS, at_most=3) == []


def test_a_clock_that_jumps_back_starts_anew() -> None:
    history = filled(5000, 5033, 10)
    assert stamps(history.after(0, at_most=10)) == [10]
    assert history.at(5033 * MS) is None


def test_empty() -> None:
    history = filled()
    assert history.newest is None
    assert history.oldest is None
    assert not history.covers(0)
    assert history.at(0) is None
