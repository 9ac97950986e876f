"""One pass of a tracker: what it is shown, what is recorded, what real time skips."""

import dataclasses

import numpy as np
import pytest

from sdstrack_ros.errors import DatasetError
from sdstrack_ros.evaluation.contestants import Answer
from sdstrack_ros.evaluation.missing import Condition
from sdstrack_ros.evaluation.robustness import answer_rate
from sdstrack_ros.evaluation.runner import run_sequence
from sdstrack_ros.evaluation.sequences import EvaluationSequence
from sdstrack_ros.evaluation.truth import StampedTruth
from sdstrack_ros.types import Box, Frame, Modality, Mode, Observation, TargetState

IMAGE = np.zeros((20, 30, 3), np.uint8)
COUNT, PERIOD = 10, 100_000_000
STAMPS = np.arange(1, COUNT + 1, dtype=np.int64) * PERIOD
COMPLETE = Condition('complete')


class Echo:
    """Remembers what it saw, and answers with a box that tells the frame's stamp."""

    def __init__(self):
        self.seen = []

    def start(self, observation, box):
        self.seen.append((observation, box))

    def step(self, observation, now_ns):
        self.seen.append((observation, now_ns))
        if observation is None:
            return Answer(None, 0.0, TargetState.LOST, Mode.BLIND, held=False)
        return Answer(Box(now_ns / PERIOD, 1, 5, 5), 0.5, TargetState.TRACKING, observation.mode, held=False)


def sequence(rows=range(COUNT), hidden=()):
    boxes = np.array([[i + 1, 1, 5, 5] if i not in hidden else [np.nan] * 4 for i in rows], float)
    frames = [Observation(Frame(int(s), IMAGE), Frame(int(s), IMAGE[..., 0])) for s in STAMPS]
    truth = StampedTruth(STAMPS[list(rows)], boxes)
    return EvaluationSequence('s', 'bag', Modality.DEPTH, frames, STAMPS, truth)


def test_every_frame_is_answered_and_compared_with_its_truth():
    result = run_sequence(sequence(), Echo(), 'echo', COMPLETE)
    np.testing.assert_allclose(result.boxes, result.truth)
    assert result.fresh.all()
    assert result.judged.all()
    assert result.size == (30, 20)


def test_the_target_is_set_on_the_first_visible_frame_and_unknown_frames_are_not_judged():
    tracker = Echo()
    result = run_sequence(sequence(rows=[1, 2, 3, 4, 7], hidden=[1, 4]), tracker, 'echo', COMPLETE)
    assert tracker.seen[0][1] == Box(3, 1, 5, 5)
    assert (result.skipped, len(result)) == (2, 8)
    assert np.flatnonzero(result.judged).tolist() == [0, 1, 2, 5]
    assert np.flatnonzero(np.isfinite(result.truth[:, 0])).tolist() == [0, 1, 5]


def test_a_condition_takes_streams_away_from_the_tracker():
    tracker = Echo()
    result = run_sequence(sequence(), tracker, 'echo', Condition('outage:rgb@0.2-0.4,both@0.7-0.8'))
    modes = [seen.mode if seen is not None else None for seen, _ in tracker.seen]
    expected = [Mode.FUSED] * 2 + [Mode.X_ONLY] * 2 + [Mode.FUSED] * 3 + [None] + [Mode.FUSED] * 2
    assert modes == expected
    assert result.present[7].tolist() == [False, False]
    assert np.isnan(result.boxes[7]).all()
    assert not result.fresh[7]


def test_camera_frames_that_neither_sensor_made_usable_count_as_unanswered():
    whole = sequence()
    gaps = dataclasses.replace(whole, frames=[f for i, f in enumerate(whole.frames) if i not in (4, 5, 9)])
    tracker = Echo()
    result = run_sequence(gaps, tracker, 'echo', COMPLETE)
    assert result.stamps_ns.tolist() == STAMPS.tolist()
    assert np.flatnonzero(np.isnan(result.boxes[:, 0])).tolist() == [4, 5, 9]
    assert result.judged.all()
    assert [now for seen, now in tracker.seen if seen is None] == STAMPS[[4, 5, 9]].tolist()
    assert answer_rate(result.boxes, result.fresh) == 0.7


def test_in_real_time_frames_that_come_while_busy_repeat_the_last_box():
    ticks = iter(np.repeat(np.arange(0, 100, 0.5), 1))  # each call of the clock is half a second later

    def clock():
        return next(ticks)

    tracker = Echo()
    result = run_sequence(sequence(), tracker, 'echo', COMPLETE, realtime=5.0, clock=clock)
    # a frame every 0.2 s, 0.5 s of work each: frames 1, 4, 7 are processed (frame 0 sets the target)
    processed = np.flatnonzero(np.isfinite(result.latency)).tolist()
    assert processed == [0, 1, 4, 7]
    np.testing.assert_allclose(result.boxes[2:4], [result.boxes[1]] * 2)
    assert result.fresh.tolist() == [i in processed for i in range(COUNT)]


def test_a_sequence_whose_truth_never_meets_a_frame_is_an_error():
    late = sequence()
    off = StampedTruth(late.truth.stamps_ns + 1, late.truth.boxes)
    with pytest.raises(DatasetError, match='s: no frame has a true box'):
        run_sequence(
            EvaluationSequence('s', 'bag', Modality.DEPTH, late.frames, STAMPS, off), Echo(), 'echo', COMPLETE
        )
