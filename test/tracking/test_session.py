"""What a session answers, with a tracker that does as it is told and times that are made up."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from sdstrack_ros.errors import BoxError, ImageError
from sdstrack_ros.tracking.session import Estimate, SessionSettings, TargetSession
from sdstrack_ros.types import Box, Frame, Image, Mode, Observation, TargetState

MS = 1_000_000
FIRST = Box(10.0, 20.0, 30.0, 40.0)
IMAGE = np.zeros((4, 4), np.uint8)
BOTH = Observation(Frame(1, IMAGE), Frame(1, IMAGE))
RGB_ONLY = Observation(Frame(1, IMAGE), None, 'x: STALE')
NOTHING = Observation(None, None, 'rgb: black; x: all zero')


@dataclass(frozen=True)
class Result:
    box: Box
    score: float
    mode: Mode
    state: TargetState
    held: bool


@dataclass
class ScriptedTracker:
    """Moves by 1 px per frame; says the state it is told and, like the real one, holds its box meanwhile."""

    state: TargetState = TargetState.TRACKING
    holds: bool = True
    blind: bool = False
    error: Exception | None = None
    box: Box = FIRST
    seen: list[tuple[bool, bool]] = field(default_factory=list)

    def init(self, rgb: Image | None, x: Image | None, box: Box) -> None:
        if box.w <= 0:
            raise BoxError('box has no width')
        self.box = box

    def track(self, rgb: Image | None, x: Image | None) -> Result:
        if self.error is not None:
            raise self.error
        self.seen.append((rgb is not None, x is not None))
        if self.state is TargetState.TRACKING:
            self.box = self.box._replace(x=self.box.x + 1)
        mode = Mode.FUSED if x is not None and rgb is not None else Mode.RGB_ONLY
        seen = self.state is TargetState.TRACKING
        return Result(
            self.box, 0.8 if seen else 0.1, mode, self.state, self.blind or (self.holds and not seen)
        )


class Bench:
    """A session with its tracker; `step` takes milliseconds."""

    def __init__(self) -> None:
        self.tracker = ScriptedTracker()
        self.session = TargetSession(self.tracker, SessionSettings(hold_timeout=0.5))

    def started(self) -> Bench:
        self.session.start(BOTH, FIRST)
        self.step(0)
        return self

    def step(self, at_ms: int, observation: Observation | None = BOTH) -> Estimate:
        return self.session.step(observation, at_ms * MS)


def test_without_a_target_every_frame_is_answered_idle() -> None:
    bench = Bench()
    assert bench.step(0) == Estimate(0, TargetState.IDLE, False, None, 0.0, Mode.FUSED)
    assert bench.step(0, None).mode is Mode.BLIND
    assert bench.tracker.seen == []


def test_a_seen_target_is_fresh_and_the_missing_stream_is_none() -> None:
    bench = Bench().started()
    estimate = bench.step(33, RGB_ONLY)
    assert estimate == Estimate(1, TargetState.TRACKING, False, FIRST._replace(x=12.0), 0.8, Mode.RGB_ONLY)
    assert bench.tracker.seen == [(True, True), (True, False)]


@pytest.mark.parametrize('observation', [None, NOTHING])
def test_a_blind_box_is_held_marked_and_withdrawn(observation: Observation | None) -> None:
    bench = Bench().started()
    box = FIRST._replace(x=11.0)
    held = Estimate(1, TargetState.UNCERTAIN, True, box, 0.0, Mode.BLIND)
    assert [bench.step(at, observation) for at in (10, 300, 500)] == [held] * 3
    assert bench.step(501, observation) == Estimate(1, TargetState.LOST, False, None, 0.0, Mode.BLIND)
    assert bench.tracker.seen == [(True, True)]


@pytest.mark.parametrize('state', [TargetState.UNCERTAIN, TargetState.LOST])
def test_an_unseen_target_is_held_marked_and_withdrawn(state: TargetState) -> None:
    bench = Bench().started()
    bench.tracker.state = state
    held = bench.step(400)
    assert (held.state, held.held, held.box) == (state, True, FIRST._replace(x=11.0))
    gone = bench.step(501)
    assert (gone.state, gone.held, gone.box) == (TargetState.LOST, False, None)


def test_the_tracker_may_hold_an_earlier_box_than_its_last_one() -> None:
    bench = Bench().started()
    bench.tracker.state = TargetState.UNCERTAIN
    bench.tracker.box = FIRST
    assert (bench.step(100).box, bench.step(100).held) == (FIRST, True)
    assert bench.step(200, None).box == FIRST
    assert bench.step(501).box is None


def test_a_sensor_that_never_saw_the_target_is_no_sighting() -> None:
    bench = Bench().started()
    bench.tracker.blind = True
    estimate = bench.step(100, RGB_ONLY)
    assert (estimate.state, estimate.held) == (TargetState.UNCERTAIN, True)
    assert bench.step(501, RGB_ONLY).state is TargetState.LOST


def test_blindness_does_not_make_a_lost_target_look_better() -> None:
    bench = Bench().started()
    bench.tracker.state = TargetState.LOST
    bench.step(100)
    assert bench.step(200, None).state is TargetState.LOST


def test_the_hold_starts_anew_with_every_sighting() -> None:
    bench = Bench().started()
    bench.step(400, None)
    bench.step(450)
    assert bench.step(900, None).held


def test_a_target_that_was_gone_takes_two_sightings() -> None:
    bench = Bench().started()
    bench.step(600, None)
    states = [bench.step(at).state for at in (633, 666, 700)]
    assert states == [TargetState.UNCERTAIN, TargetState.TRACKING, TargetState.TRACKING]


def test_a_short_blindness_costs_no_confirmation() -> None:
    bench = Bench().started()
    bench.step(100, None)
    assert bench.step(133).state is TargetState.TRACKING


def test_a_fresh_but_doubted_box_is_not_called_held() -> None:
    bench = Bench().started()
    bench.tracker.state = TargetState.UNCERTAIN
    bench.tracker.holds = False
    bench.tracker.box = FIRST._replace(x=99.0)
    estimate = bench.step(2000)
    assert (estimate.state, estimate.held, estimate.box) == (
        TargetState.UNCERTAIN,
        False,
        FIRST._replace(x=99.0),
    )


def test_a_clock_set_back_does_not_hold_a_box_for_ever() -> None:
    bench = Bench().started()
    bench.step(100_000)
    assert bench.step(10, None).held
    assert bench.step(510, None).held
    assert bench.step(511, None).box is None


def test_a_new_target_has_a_new_id_and_a_refused_one_changes_nothing() -> None:
    bench = Bench().started()
    with pytest.raises(BoxError, match='no width'):
        bench.session.start(BOTH, FIRST._replace(w=0.0))
    assert bench.step(10).target_id == 1
    assert bench.session.start(RGB_ONLY, FIRST) == 2
    assert bench.step(20).target_id == 2
    bench.session.reset()
    assert bench.step(30).state is TargetState.IDLE
    assert bench.session.start(BOTH, FIRST) == 3


def test_a_target_cannot_start_blind() -> None:
    with pytest.raises(ImageError, match='without images'):
        Bench().session.start(NOTHING, FIRST)


@pytest.mark.parametrize('error', [MemoryError('out of memory'), ImageError('another size')])
def test_an_error_of_the_tracker_leaves_the_target_as_it_was(error: Exception) -> None:
    bench = Bench().started()
    bench.tracker.error = error
    with pytest.raises(type(error)):
        bench.step(100)
    assert bench.step(100, None).held
    assert bench.step(501, None).box is None
    bench.tracker.error = None
    assert [bench.step(at).state for at in (533, 566)] == [TargetState.UNCERTAIN, TargetState.TRACKING]


def test_the_position_is_measured_only_in_a_fresh_x_of_a_seen_target() -> None:
    bench = Bench().started()
    bench.session.locate = lambda image, box: (box.x, 0.0, 2.0)
    assert bench.step(10).position == (12.0, 0.0, 2.0)
    assert bench.step(20, RGB_ONLY).position is None
    assert bench.step(30, None).position is None
    bench.tracker.state = TargetState.UNCERTAIN
    assert bench.step(40).position is None
