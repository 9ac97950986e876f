"""What is learnt of a stream's timing, from made-up stamps and arrivals."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from sdstrack_ros.sensing.timing import STEPS, StreamTiming

MS = 1_000_000
PERIOD = 33 * MS
START = 1_000_000 * MS


def stamp(index: float) -> int:
    return START + round(index * PERIOD)


def timing_of(stamps: Iterable[int], tolerance: float = 0.25) -> StreamTiming:
    timing = StreamTiming(tolerance)
    for each in stamps:
        timing.add(each, each + 5 * MS)
    return timing


def jittered(sigma: float, number: int = 2 * STEPS, lost: float = 0.0) -> list[int]:
    chance = random.Random(1)
    frames = [stamp(index) + round(chance.gauss(0, sigma)) for index in range(number)]
    return [frame for frame in frames if chance.random() >= lost]


def test_a_steady_stream_foretells_its_frames() -> None:
    timing = timing_of(stamp(index) for index in range(10))
    assert (timing.period, timing.spread, timing.newest) == (PERIOD, 0, stamp(9))
    assert [timing.due(stamp(near)) for near in (0, 9.2, 10.4, 10.6, 12)] == [
        stamp(index) for index in (10, 10, 10, 11, 12)
    ]


def test_nothing_is_foretold_before_the_second_frame() -> None:
    for frames in ([], [stamp(0)]):
        timing = timing_of(frames)
        assert (timing.period, timing.due(stamp(1))) == (0, None)


def test_jitter_and_lost_frames_leave_the_period_as_it_is() -> None:
    for sigma, lost in ((2 * MS, 0.0), (0.0, 0.5), (MS, 0.3)):
        timing = timing_of(jittered(sigma, 200, lost))
        assert timing.period == pytest.approx(PERIOD, abs=MS)
    assert timing_of(jittered(2 * MS)).is_steady
    assert not timing_of(jittered(8 * MS)).is_steady


def test_a_few_strays_do_not_end_steadiness_but_the_newest_step_has_to_fit() -> None:
    stray = stamp(STEPS - 0.5)
    timing = timing_of([*map(stamp, range(STEPS)), stray])
    assert timing.due(stamp(STEPS)) is None
    for index in (STEPS, STEPS + 1):
        timing.add(stamp(index), stamp(index))
    assert timing.due(stamp(STEPS + 2)) == stamp(STEPS + 2)


def test_bursts_are_no_period() -> None:
    frames = [stamp(2 * index) + within for index in range(STEPS) for within in (0, 8 * MS)]
    assert all(timing_of(frames[:number]).due(stamp(100)) is None for number in range(3, len(frames)))


def test_frames_sent_twice_are_no_period_either() -> None:
    frames = [stamp(index) + twice for index in range(STEPS) for twice in ((0, MS) if index % 2 else (0,))]
    assert not timing_of(frames).is_steady


def test_another_period_is_not_foretold_wrongly_for_long() -> None:
    timing = timing_of(stamp(2 * index) for index in range(STEPS))
    last = 2 * (STEPS - 1)
    timing.add(stamp(last + 1), stamp(last + 1))
    assert timing.due(stamp(last + 2)) is None


def test_delay_is_that_of_late_frames_not_that_of_lost_ones() -> None:
    timing = StreamTiming(0.25)
    for index in (0, 1, 2, 5, 6):
        timing.add(stamp(index), stamp(index) + 5 * MS)
    assert timing.delay == 0
    timing.add(stamp(7), stamp(7) + 50 * MS)
    assert timing.delay == 45 * MS


def test_a_stamp_far_back_or_three_in_order_are_of_another_clock() -> None:
    timing = timing_of(stamp(index) for index in range(20))
    assert timing.is_set_back(stamp(1), jump=500 * MS)
    timing = timing_of(stamp(index) for index in range(20))
    assert [timing.is_set_back(stamp(index), jump=500 * MS) for index in (19, 12, 12, 13, 14)] == [
        False,
        False,
        False,
        False,
        True,
    ]
