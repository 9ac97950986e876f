"""Sensor states, reasons and the mode, from made-up arrivals."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import pytest

from sdstrack_ros.errors import SettingError
from sdstrack_ros.sensing.health import (
    HealthMonitor,
    HealthSettings,
    Level,
    SensorMonitor,
    SensorReport,
    SensorSettings,
    XSensorSettings,
)
from sdstrack_ros.types import Frame, Mode, Observation, SensorState

MS = 1_000_000
PERIOD = 33 * MS
START = 1_000_000 * MS
FRAME = Frame(1, np.zeros((2, 2), np.uint8))
OK, SLOW, STALE, INVALID = SensorState.OK, SensorState.SLOW, SensorState.STALE, SensorState.INVALID


def at(index: float) -> int:
    return START + round(index * PERIOD)


def monitor_of(
    frames: Iterable[float] = (), settings: SensorSettings | None = None, delay: int = 5 * MS
) -> SensorMonitor:
    monitor = SensorMonitor(settings or SensorSettings(), START)
    for index in frames:
        monitor.on_frame(at(index), at(index) + delay)
    return monitor


def test_a_steady_sensor_is_ok() -> None:
    report = monitor_of(range(100)).state(at(100))
    assert (report.state, report.level, report.reason, report.arriving) == (OK, Level.OK, '', True)
    assert report.rate == pytest.approx(30.3, abs=0.1)
    assert report.age == pytest.approx(0.028)


def test_silence_is_told_after_one_timeout_and_not_before() -> None:
    monitor = monitor_of(range(10))
    last = at(9) + 5 * MS
    assert monitor.state(last + 300 * MS).state is not STALE
    report = monitor.state(last + 300 * MS + 1)
    assert (report.state, report.level, report.arriving) == (STALE, Level.ERROR, False)
    assert report.reason == 'nothing for 0.3 s: the sensor is silent'


def test_losing_x_is_a_warning_and_takes_longer() -> None:
    monitor = monitor_of(range(10), XSensorSettings())
    assert monitor.state(at(9) + 400 * MS).state is not STALE
    assert monitor.state(at(9) + 510 * MS).level is Level.WARN


def test_one_frame_after_silence_changes_nothing_two_do() -> None:
    monitor = monitor_of(range(10))
    monitor.on_frame(at(30), at(30))
    report = monitor.state(at(30))
    assert (report.state, report.arriving) == (STALE, True)
    monitor.on_frame(at(31), at(31))
    assert monitor.state(at(31)).state is OK


def test_nothing_received_becomes_an_error_after_the_start_up() -> None:
    monitor = monitor_of()
    assert monitor.state(START + 1000 * MS).level is Level.WARN
    report = monitor.state(START + 5001 * MS)
    assert (report.state, report.level, report.age) == (SensorState.NOT_RECEIVED, Level.ERROR, -1.0)
    monitor.on_frame(at(200), at(200))
    assert monitor.state(at(200)).state is OK


@pytest.mark.parametrize(
    ('publishers', 'qos', 'expected'),
    [
        (0, '', 'no publisher'),
        (0, 'RELIABILITY', 'another RELIABILITY QoS'),
        (1, '', '1 publisher(s), but no frames'),
        (None, '', 'the sensor is silent'),
    ],
)
def test_a_silent_topic_says_whose_fault_it_is(publishers: int | None, qos: str, expected: str) -> None:
    for frames in ([], range(10)):
        monitor = monitor_of(frames)
        monitor.on_link(publishers, qos)
        assert expected in monitor.state(START + 10_000 * MS).reason


def test_a_publisher_that_has_gone_is_told_sooner() -> None:
    monitor = monitor_of(range(10))
    monitor.on_link(0)
    assert monitor.state(at(9) + 60 * MS).state is OK
    assert monitor.state(at(9) + 95 * MS).state is STALE


def test_one_bad_frame_changes_nothing_two_do() -> None:
    monitor = monitor_of(range(10))
    monitor.on_frame(at(10), at(10), 'black')
    assert monitor.state(at(10)).state is OK
    monitor.on_frame(at(11), at(11), 'black')
    report = monitor.state(at(11))
    assert (report.state, report.level, report.reason, report.arriving) == (
        INVALID,
        Level.ERROR,
        'black',
        True,
    )
    monitor.on_frame(at(12), at(12))
    assert monitor.state(at(12)).state is INVALID
    monitor.on_frame(at(13), at(13))
    assert monitor.state(at(13)).state is OK


def test_a_sensor_whose_frames_are_often_unusable_is_not_called_well() -> None:
    monitor = monitor_of(range(10))
    for index in range(10, 40):
        monitor.on_frame(at(index), at(index), 'cut off' if index % 2 else None)
    report = monitor.state(at(39))
    assert (report.state, report.level) == (OK, Level.WARN)
    assert report.reason.endswith('0% of the frames cannot be used: cut off')
    for index in range(40, 60):
        monitor.on_frame(at(index), at(index))
    assert monitor.state(at(59)).level is Level.OK


def test_gaps_of_a_sensor_without_a_steady_rate_are_no_loss() -> None:
    monitor = SensorMonitor(SensorSettings(), START, periodic=False)
    now = START
    for index in range(60):
        now += (1 if index % 3 else 12) * MS
        monitor.on_frame(now, now)
    assert monitor.state(now).loss == 0.0
    monitor.on_link(1, lost=30)
    monitor.on_frame(now + MS, now + MS)
    assert monitor.state(now + MS).loss > 0.2


def test_zero_stamps_are_invalid_and_not_worth_waiting_for() -> None:
    monitor = monitor_of(range(10))
    for index in range(10, 25):
        monitor.on_frame(0, at(index))
    report = monitor.state(at(24))
    assert (report.state, report.arriving) == (INVALID, False)
    assert 'stamp is zero' in report.reason


def test_frames_sent_twice_are_no_harm_but_a_stamp_that_stands_still_is() -> None:
    monitor = monitor_of()
    for index in range(10):
        monitor.on_frame(at(index), at(index))
        monitor.on_frame(at(index), at(index) + MS)
    assert monitor.state(at(9) + 2 * MS).state is OK
    for index in range(30, 32):  # nor do they hinder the return from a silence
        monitor.on_frame(at(index), at(index))
        monitor.on_frame(at(index), at(index) + MS)
    assert monitor.state(at(31) + 2 * MS).state is OK
    monitor = monitor_of(range(10))
    for index in range(10, 25):
        monitor.on_frame(at(9), at(index))
    report = monitor.state(at(24))
    assert (report.state, report.arriving) == (INVALID, False)
    assert 'stands still' in report.reason


def test_a_low_rate_is_slow_within_one_timeout_and_has_hysteresis() -> None:
    settings = SensorSettings(min_rate=20.0)
    monitor = monitor_of(range(20), settings)
    for index in range(20, 30, 2):  # 15 Hz
        monitor.on_frame(at(index + 1), at(index + 1))
    report = monitor.state(at(29))
    assert (report.state, report.level, report.usable) == (SLOW, Level.WARN, True)

    def settle(monitor: SensorMonitor, rate: float) -> SensorState:
        for now in (at(31) + round(index * 1e9 / rate) for index in range(40)):
            monitor.on_frame(now, now)
            state = monitor.state(now).state
        return state

    assert settle(monitor, 21.0) is SLOW  # above the floor, within the hysteresis
    assert settle(monitor_of(range(20), settings), 21.0) is OK
    assert settle(monitor, 30.0) is OK


def test_one_missing_frame_is_not_slow() -> None:
    frames = [index for index in range(30) if index != 20]
    monitor = monitor_of([], SensorSettings(min_rate=20.0))
    states = set()
    for index in frames:
        monitor.on_frame(at(index), at(index))
        states.add(monitor.state(at(index + 0.9)).state)
    assert states == {OK}


def test_loss_on_the_way_is_told_apart_from_a_slow_sensor() -> None:
    lossy = monitor_of([0, 1, 2, 5, 6, 8, 9, 10, 13, 14], SensorSettings(min_rate=25.0))
    report = lossy.state(at(14))
    assert report.loss == pytest.approx(0.35, abs=0.1)
    assert 'lost on the way' in report.reason
    slow = monitor_of(range(0, 40, 3), SensorSettings(min_rate=25.0)).state(at(39))
    assert (slow.state, slow.loss) == (SLOW, 0.0)
    assert 'below 25 Hz' in slow.reason


def test_jitter_of_the_stamps_is_no_loss() -> None:
    chance = random.Random(1)
    monitor = monitor_of()
    told = 0
    for index in range(300):
        monitor.on_frame(at(index) + round(chance.gauss(0, 8 * MS)), at(index) + 30 * MS)
        told += 'lost' in monitor.state(at(index) + 30 * MS).reason
    assert told <= 10


def test_bursts_are_no_loss() -> None:
    monitor = monitor_of()
    for index in range(0, 60, 2):
        for now in (at(index), at(index) + 8 * MS):
            monitor.on_frame(now, now)
            assert monitor.state(now).loss == 0.0


@pytest.mark.parametrize('share', [0.3, 0.5])
def test_loss_is_told_of_frames_with_jitter_too(share: float) -> None:
    chance = random.Random(1)
    monitor = monitor_of()
    losses = []
    for index in range(600):
        if chance.random() >= share:
            monitor.on_frame(at(index) + round(chance.gauss(0, MS)), at(index) + 30 * MS)
            losses.append(monitor.state(at(index) + 30 * MS).loss)
    assert sum(loss > 0.2 for loss in losses) > len(losses) // 2


def test_loss_that_the_middleware_reports_counts() -> None:
    monitor = monitor_of(range(10))
    monitor.on_link(1, lost=0)
    for index in range(10, 20):
        monitor.on_link(1, lost=index - 9)
        monitor.on_frame(at(index), at(index))
    report = monitor.state(at(20))
    assert (report.state, report.level) == (OK, Level.WARN)
    assert report.loss > 0.3


@pytest.mark.parametrize(
    ('delay', 'expected'),
    [
        (100 * MS, ''),
        (400 * MS, 'frames arrive 0.40 s after their stamp'),
        (-500 * MS, 'ahead of the clock'),
        (10**15, ''),
    ],
)
def test_late_frames_and_wrong_clocks_are_told(delay: int, expected: str) -> None:
    report = monitor_of(range(20), delay=delay).state(at(19) + delay)
    assert report.state is OK
    assert expected in report.reason
    assert bool(report.reason) == bool(expected)


def test_a_clock_set_back_is_no_silence() -> None:
    monitor = monitor_of(range(1000, 1020))
    for index in range(5):
        monitor.on_frame(at(index), at(index))
        assert monitor.state(at(index)).state is OK
    assert monitor.state(at(20)).state is STALE


def test_after_a_clock_set_back_frames_are_expected_as_before() -> None:
    monitor = monitor_of(range(1000, 1020))
    assert monitor.state(at(0)).arriving
    assert monitor.state(at(9)).arriving
    assert not monitor.state(at(10)).arriving
    silent = monitor_of(range(1000, 1020))
    assert silent.state(at(1040)).state is STALE
    assert not silent.state(at(0)).arriving


class Bench:
    """A health monitor whose sensors deliver together or alone."""

    def __init__(self) -> None:
        self.health = HealthMonitor(HealthSettings(), START)

    def play(
        self, frames: Iterable[int], rgb: bool = True, x: bool = True, paired: bool = True
    ) -> list[Mode]:
        modes = []
        for index in frames:
            if rgb:
                self.health.rgb.on_frame(at(index), at(index))
            if x:
                self.health.x.on_frame(at(index), at(index))
            if rgb or x:
                joined = x and (paired or not rgb)
                why = '' if rgb and joined else 'x: too far'
                self.health.on_observation(
                    Observation(FRAME if rgb else None, FRAME if joined else None, why)
                )
            modes.append(self.health.report(at(index)).mode)
        return modes

    def level(self, index: int) -> Level:
        return self.health.report(at(index)).level


def test_the_mode_follows_the_sensors_and_fusion_is_back_within_three_frames() -> None:
    bench = Bench()
    assert bench.play(range(10))[-1] is Mode.FUSED
    assert bench.level(10) is Level.OK
    without_x = bench.play(range(10, 60), x=False)
    assert without_x.index(Mode.RGB_ONLY) * PERIOD <= 500 * MS + PERIOD
    assert bench.level(60) is Level.WARN
    assert bench.health.report(at(59)).message.startswith('RGB only; x STALE: nothing for')
    assert bench.play(range(60, 63))[-1] is Mode.FUSED
    without_rgb = bench.play(range(70, 120), rgb=False)
    assert Mode.X_ONLY in without_rgb[: 300 // 33 + 1]
    assert bench.level(120) is Level.ERROR
    assert bench.play(range(120, 123))[-1] is Mode.FUSED
    assert bench.play(range(123, 150), rgb=False, x=False)[-1] is Mode.BLIND
    assert bench.level(150) is Level.ERROR


def test_two_healthy_sensors_that_do_not_pair_are_not_called_fused() -> None:
    bench = Bench()
    bench.play(range(10))
    assert bench.play(range(10, 14), paired=False) == [Mode.FUSED] * 4
    assert bench.play(range(14, 20), paired=False)[-1] is Mode.RGB_ONLY
    report = bench.health.report(at(20))
    assert (report.level, report.message) == (Level.WARN, 'RGB only; x: too far')
    assert bench.play([20]) == [Mode.RGB_ONLY]
    assert bench.play([21]) == [Mode.FUSED]


@pytest.mark.parametrize('every', [2, 3])
def test_a_slower_sensor_that_pairs_whenever_it_can_is_fused(every: int) -> None:
    bench = Bench()
    bench.play(range(10), paired=False)
    for index in range(10, 30):
        mode = bench.play([index], paired=index % every == 0)[0]
    assert mode is Mode.FUSED
    assert bench.health.report(at(29)).message == 'RGB and X'


def test_a_sensor_a_sixth_as_fast_that_pairs_whenever_it_can_is_fused() -> None:
    bench = Bench()
    modes = [bench.play([index], x=index % 6 == 0)[0] for index in range(60)]
    assert set(modes[20:]) == {Mode.FUSED}


def test_pairs_now_and_then_of_equal_sensors_are_not_called_fused() -> None:
    bench = Bench()
    bench.play(range(10), paired=False)
    for index in range(10, 100):
        mode = bench.play([index], paired=index % 5 == 0)[0]
        assert mode is Mode.RGB_ONLY
        # The answer of this moment may be a pair, which has no reason.
        assert bench.health.report(at(index)).message == 'RGB only; x: too far'


def test_before_the_first_frame_the_tracker_is_blind() -> None:
    report = HealthMonitor(HealthSettings(), START).report(START)
    assert (report.level, report.mode) == (Level.WARN, Mode.BLIND)


def test_reports_come_in_any_order_of_calls() -> None:
    report = SensorMonitor(SensorSettings(), START).state(START - 5)
    assert isinstance(report, SensorReport)
    assert report.age == -1.0


def test_a_setting_out_of_range_is_named() -> None:
    with pytest.raises(SettingError, match='timeout'):
        XSensorSettings(timeout=0.0)


def test_simulated_time_that_begins_late_is_no_silence() -> None:
    monitor = SensorMonitor(SensorSettings(), 0)
    assert monitor.state(0).state is SensorState.NOT_RECEIVED
    report = monitor.state(START)
    assert (report.level, report.arriving) == (Level.WARN, True)


def test_a_mode_that_is_not_fused_always_says_why() -> None:
    """Also where both sensors have come, but one pair alone."""
    health = HealthMonitor(HealthSettings(), START)
    health.rgb.on_frame(at(0), at(0))
    assert health.report(at(0)).mode is Mode.RGB_ONLY
    health.x.on_frame(at(0), at(0))
    health.on_observation(Observation(FRAME, FRAME, ''))
    report = health.report(at(0))
    assert report.message == 'RGB only; both sensors are there, their first pairs are to come'
