"""Verdicts on trials made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sdstrack.msg import SensorHealth, TrackedBox, TrackerHealth

from sdstrack_ros.replay.cameras import X_DELAY_NS, CameraMessage
from sdstrack_ros.replay.fault_verdict import Trial, judge
from sdstrack_ros.replay.recorder import HealthHeard, Heard
from sdstrack_ros.simulation.faults import MS, SECOND, faults
from sdstrack_ros.types import Mode

BEGIN = 1000 * SECOND
PERIOD = 50 * MS
START = BEGIN + 1500 * MS
END = START + SECOND
FRAMES = 80
IMAGE = np.zeros((2, 2), np.uint8)
FAULT = faults('depth', START, PERIOD)['x stopped for 1 s']


def stamp(index: int) -> int:
    return BEGIN + index * PERIOD


def box(index: int, mode: int, state: int = TrackedBox.TRACKING, held: bool = False) -> Heard:
    message = TrackedBox(mode=mode, state=state, held=held)
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp(index), SECOND)
    return Heard(stamp(index) + 30 * MS, message)


def health(at_ns: int, x: int) -> HealthHeard:
    return HealthHeard(at_ns, TrackerHealth(rgb=SensorHealth(state=SensorHealth.OK), x=SensorHealth(state=x)))


def struck(index: int) -> bool:
    return START <= stamp(index) + X_DELAY_NS < END


def trial(mode_of: Callable[[int], int] | None = None, told_ns: int = 400 * MS) -> Trial:
    """X stops for a second, and the node does all that is promised."""
    sent = []
    for i in range(FRAMES):
        sent.append((stamp(i), CameraMessage(stamp(i), 'rgb', stamp(i), IMAGE, index=i)))
        if not struck(i):
            late = stamp(i) + X_DELAY_NS
            sent.append((late, CameraMessage(late, 'x', stamp(i), IMAGE, index=i)))
    mode_of = mode_of or (lambda i: TrackedBox.RGB_ONLY if struck(i) else TrackedBox.FUSED)
    return Trial(
        fault=FAULT,
        begin_ns=BEGIN,
        end_ns=stamp(FRAMES),
        back_ns=END,
        period_ns=PERIOD,
        sent=sent,
        boxes=[box(i, mode_of(i)) for i in range(FRAMES)],
        healths=[health(BEGIN, SensorHealth.OK), health(START + told_ns, SensorHealth.STALE)],
        alive=True,
    )


def test_all_promises_kept() -> None:
    verdict = judge(trial())
    assert verdict.broken == ()
    assert (verdict.answered, verdict.fused_after, verdict.false_healthy) == (1.0, 1, 0)
    assert verdict.told_s == pytest.approx(0.4)
    assert verdict.limit_s == pytest.approx(0.61)
    assert verdict.latency_s == pytest.approx(0.03)


def test_a_dead_node() -> None:
    assert judge(replace(trial(), alive=False)).broken == ('the node died',)


def test_missing_answers() -> None:
    whole = trial()
    verdict = judge(replace(whole, boxes=whole.boxes[::2]))
    assert verdict.answered == pytest.approx(0.5, abs=0.02)
    assert any('answered' in each for each in verdict.broken)


def test_health_that_comes_late_or_never() -> None:
    assert 'not within' in judge(trial(told_ns=700 * MS)).broken[0]
    assert judge(replace(trial(), healths=[])).broken == ('health never told',)


def test_fusion_that_comes_late() -> None:
    late = trial(lambda i: TrackedBox.RGB_ONLY if START <= stamp(i) < END + 4 * PERIOD else TrackedBox.FUSED)
    verdict = judge(late)
    assert verdict.fused_after == 5
    assert verdict.broken == ('full fusion after 5 frames',)


def test_a_sure_answer_from_a_sensor_that_is_gone_or_from_none() -> None:
    fused = judge(trial(lambda i: TrackedBox.FUSED))
    assert fused.false_healthy > 3
    blind = trial()
    said = [*blind.boxes, box(40, TrackedBox.BLIND), box(41, TrackedBox.BLIND, held=True)]
    assert judge(replace(blind, boxes=said)).false_healthy == 1


def test_a_mode_that_the_fault_does_not_explain() -> None:
    never_alone = replace(FAULT, modes=frozenset({Mode.FUSED}))
    assert judge(replace(trial(), fault=never_alone)).broken == ('mode RGB_ONLY',)
