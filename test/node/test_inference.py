"""Targets and answers, with sessions that do what the test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from sdstrack_ros.errors import BoxError
from sdstrack_ros.node.history import History
from sdstrack_ros.node.inference import Inference
from sdstrack_ros.tracking.session import Estimate
from sdstrack_ros.types import Box, Frame, Mode, Observation, TargetState

PATIENCE_S = 5.0
BOX = Box(1, 1, 4, 4)


def observation(stamp_ns: int) -> Observation:
    return Observation(rgb=Frame(stamp_ns, np.zeros((8, 8, 3), np.uint8)), x=None)


class FakeSession:
    def __init__(self, on_step: Callable[[Observation], None]) -> None:
        self.target_id = 0
        self.steps: list[int] = []
        self._on_step = on_step

    def start(self, first: Observation, box: Box) -> int:
        if box.w > 100:
            raise BoxError('too large')
        self.started_ns = first.lead.stamp_ns
        self.target_id += 1
        return self.target_id

    def step(self, seen: Observation, now_ns: int) -> Estimate:
        if seen.mode is not Mode.BLIND:
            self.steps.append(seen.lead.stamp_ns)
        self._on_step(seen)
        held = seen.mode is Mode.BLIND
        return Estimate(self.target_id, TargetState.TRACKING, held, BOX, 1.0, seen.mode)


class Bench:
    """Inference with fake sessions, and all that it says."""

    def __init__(self, catch_up: int = 10) -> None:
        self.sessions: list[FakeSession] = []
        self.answers: list[tuple[int, Estimate]] = []
        self.times_ns: list[int] = []
        self.complaints: list[str] = []
        self.refusals: list[str] = []
        self.on_step: Callable[[Observation], None] = lambda seen: None
        self.inference = Inference(
            self._session,
            History(1.0, 0.02),
            catch_up,
            lambda: 0,
            self._answer,
            self.complaints.append,
            self.refusals.append,
        )

    def _session(self) -> FakeSession:
        self.sessions.append(FakeSession(lambda seen: self.on_step(seen)))
        return self.sessions[-1]

    def _answer(self, seen: Observation, estimate: Estimate, inference_ns: int) -> None:
        self.times_ns.append(inference_ns)
        stamp = -1 if seen.mode is Mode.BLIND else seen.lead.stamp_ns
        self.answers.append((stamp, estimate))

    def see(self, *stamps_ns: int) -> None:
        for stamp_ns in stamps_ns:
            self.inference.submit(observation(stamp_ns))
            assert self.inference.wait_idle(PATIENCE_S)


@pytest.fixture
def bench():
    made: list[Bench] = []

    def make(**options) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield make
    for each in made:
        each.inference.stop()


def ms(*values: int) -> list[int]:
    return [value * 1_000_000 for value in values]


def test_every_observation_is_answered_once_and_idle_before_a_target(bench) -> None:
    b = bench()
    b.see(*ms(33, 66))
    assert b.inference.set_target(BOX, 0) == (1, 'started')
    b.see(*ms(100))
    assert [(stamp, e.state) for stamp, e in b.answers] == list(
        zip(ms(33, 66, 100), [TargetState.IDLE, TargetState.IDLE, TargetState.TRACKING], strict=True)
    )


def test_the_time_of_the_tracker_comes_with_the_answer(bench) -> None:
    b = bench()
    b.see(*ms(33))
    b.inference.set_target(BOX, 0)
    b.on_step = lambda seen: time.sleep(0.05)
    b.see(*ms(66))
    assert b.times_ns[0] < ms(50)[0] <= b.times_ns[1]


def test_a_new_target_invalidates_what_is_in_work(bench) -> None:
    b = bench()
    b.see(*ms(33))
    b.inference.set_target(BOX, 0)
    in_work, go_on = threading.Event(), threading.Event()

    def hold(seen: Observation) -> None:
        in_work.set()
        assert go_on.wait(PATIENCE_S)

    b.on_step = hold
    b.inference.submit(observation(ms(66)[0]))
    assert in_work.wait(PATIENCE_S)
    assert b.inference.set_target(BOX, 0)[0] == 2
    b.on_step = lambda seen: None
    go_on.set()
    assert b.inference.wait_idle(PATIENCE_S)
    ids = [e.target_id for _, e in b.answers]
    assert ids == [0, 2]  # the frame in work is answered once, for the new target


def test_a_stamped_box_starts_in_the_past_and_catches_up_thinned(bench) -> None:
    b = bench(catch_up=3)
    b.see(*ms(*range(100, 1000, 100)))
    b.inference.set_target(BOX, ms(200)[0])
    b.see(*ms(1000))
    (session,) = b.sessions
    assert session.started_ns == ms(200)[0]
    # Three of 300 ... 1000, evenly; the present one in any case.
    assert session.steps[-1] == ms(1000)[0]
    assert session.steps == sorted(set(session.steps))
    assert 3 <= len(session.steps) <= 4
    assert [stamp for stamp, _ in b.answers] == ms(*range(100, 1001, 100))


def test_a_box_ahead_of_its_frame_waits_for_it(bench) -> None:
    b = bench()
    assert b.inference.set_target(BOX, ms(66)[0]) == (1, 'waits for its frame')
    b.see(*ms(33))
    assert b.answers[-1][1].state is TargetState.IDLE
    b.see(*ms(66))
    assert b.answers[-1][1].target_id == 1


def test_the_answer_to_the_frame_of_the_box_is_the_box(bench) -> None:
    b = bench()
    given = Box(2, 2, 3, 3)
    b.inference.set_target(given, ms(66)[0])
    b.see(*ms(66, 100))
    assert [(e.box, e.state) for _, e in b.answers] == [
        (given, TargetState.TRACKING),
        (BOX, TargetState.TRACKING),
    ]
    assert b.sessions[0].steps == ms(100)


def test_a_waiting_box_whose_frame_is_lost_starts_on_the_next(bench) -> None:
    b = bench()
    b.see(*ms(33))
    b.inference.set_target(BOX, ms(66)[0])
    b.see(*ms(100, 133))
    assert b.sessions[0].started_ns == ms(100)[0]
    assert [e.target_id for _, e in b.answers] == [0, 1, 1]


def test_a_waiting_box_is_refused_where_the_frames_pause_for_too_long(bench) -> None:
    b = bench()
    b.see(*ms(33))
    b.inference.set_target(BOX, ms(66)[0])
    b.see(*ms(5000))
    assert ['target 1 could not start' in each for each in b.refusals] == [True]
    assert b.answers[-1][1].state is TargetState.IDLE


def test_what_was_promised_to_a_waiting_box_is_given_to_no_other(bench) -> None:
    b = bench()
    promised = b.inference.set_target(BOX, ms(66)[0])[0]
    later = b.inference.set_target(BOX, ms(100)[0])[0]
    assert (promised, later) == (1, 2)
    b.see(*ms(66, 100))
    assert [e.target_id for _, e in b.answers] == [0, 2]
    assert b.inference.set_target(BOX, 0)[0] == 3


def test_a_waiting_box_that_cannot_start_is_refused(bench) -> None:
    b = bench()
    b.inference.set_target(Box(0, 0, 200, 200), 0)
    b.see(*ms(33))
    assert ['too large' in each for each in b.refusals] == [True]
    assert b.answers[-1][1].state is TargetState.IDLE


def test_a_box_for_a_frame_that_is_gone_is_refused(bench) -> None:
    b = bench()
    b.see(*ms(1000, 3000))
    with pytest.raises(BoxError, match='history'):
        b.inference.set_target(BOX, ms(1000)[0])


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (MemoryError(), 'out of memory'),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 'out of memory'),
        (BoxError('of another size'), 'of another size'),
        (KeyError('bug'), 'KeyError'),
    ],
)
def test_an_error_is_answered_lost_reported_and_over_with_the_next_frame(bench, error, words: str) -> None:
    b = bench()
    b.see(*ms(33))
    b.inference.set_target(BOX, 0)

    def fail(seen: Observation) -> None:
        raise error

    b.on_step = fail
    b.see(*ms(66))
    assert (b.answers[-1][1].state, b.answers[-1][1].box) == (TargetState.LOST, None)
    assert words in b.inference.problem
    assert words in b.complaints[0]
    b.on_step = lambda seen: None
    b.see(*ms(100))
    assert b.inference.problem == ''
    assert b.answers[-1][1].box == BOX


def test_the_problem_of_a_target_goes_with_it(bench) -> None:
    b = bench()
    b.see(*ms(33))
    b.inference.set_target(BOX, 0)

    def fail(seen: Observation) -> None:
        raise BoxError('of another size')

    b.on_step = fail
    b.see(*ms(66))
    assert b.inference.problem
    b.inference.reset()
    b.see(*ms(100))
    assert b.inference.problem == ''


def test_blind_is_told_once(bench) -> None:
    b = bench()
    b.see(*ms(33))
    b.inference.set_target(BOX, 0)
    b.see(*ms(66))
    for _ in range(3):
        b.inference.submit_blind()
        assert b.inference.wait_idle(PATIENCE_S)
    assert [stamp for stamp, _ in b.answers] == [*ms(33, 66), -1]
    assert b.answers[-1][1].held


def test_a_clock_that_starts_over_does_not_stop_the_target(bench) -> None:
    b = bench()
    b.see(*ms(5000))
    b.inference.set_target(BOX, 0)
    b.see(*ms(5033, 10, 43))
    assert [e.target_id for _, e in b.answers] == [0, 1, 1, 1]


def test_reset_drops_the_target_and_ids_go_on(bench) -> None:
    b = bench()
    b.see(*ms(33))
    b.inference.set_target(BOX, 0)
    b.inference.reset()
    b.see(*ms(66))
    assert b.answers[-1][1].state is TargetState.IDLE
    assert b.inference.set_target(BOX, 0)[0] == 2


def test_a_box_of_another_clock_is_refused_with_the_difference(bench) -> None:
    b = bench()
    b.see(*ms(33))
    with pytest.raises(BoxError, match=r'999\.967 s ahead .* give the stamp 0'):
        b.inference.set_target(BOX, ms(1_000_000)[0])
    assert b.inference.set_target(BOX, ms(4000)[0])[1] == 'waits for its frame'


def test_a_box_that_came_before_all_frames_and_is_of_another_clock_is_told(bench) -> None:
    b = bench()
    b.inference.set_target(BOX, ms(1_000_000)[0])
    b.see(*ms(33, 66))
    assert ['different clocks' in each for each in b.refusals] == [True]
    assert b.answers[-1][1].state is TargetState.IDLE
