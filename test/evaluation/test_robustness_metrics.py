"""Robustness metrics on hand-made timelines."""

import math

import numpy as np
import pytest

from sdstrack_ros.evaluation.robustness import (
    answer_rate,
    false_confident_rate,
    latency,
    outages,
    recovery_frames,
    retention,
)
from sdstrack_ros.types import TargetState


def mask(text):
    """'+' both sensors, 'r' RGB missing, 'x' X missing, '-' both missing."""
    return np.array([{'+': (1, 1), 'r': (0, 1), 'x': (1, 0), '-': (0, 0)}[c] for c in text], dtype=bool)


def test_outages_are_ranges_of_incomplete_frames():
    assert outages(mask('+rx-++x')) == [(1, 4), (6, 7)]
    assert outages(mask('+++')) == []


def test_recovery_counts_visible_frames_after_each_outage():
    present = mask('+xx+++x+++')
    iou = np.array([1, 0, 0, 0.1, 0.2, 0.9, 0, 0.6, 0.6, 0.6])
    seen = np.ones(10, bool)
    assert recovery_frames(iou, present, seen) == [2, 0]
    seen[3] = False  # nothing to judge there
    assert recovery_frames(iou, present, seen) == [1, 0]


def test_recovery_is_none_if_it_never_comes_and_left_out_at_the_end():
    assert recovery_frames(np.zeros(5), mask('+x+++'), np.ones(5, bool)) == [None]
    assert recovery_frames(np.zeros(3), mask('+xx'), np.ones(3, bool)) == []


def test_false_confidence_needs_the_state_tracking():
    states = np.array([TargetState.TRACKING, TargetState.LOST, TargetState.TRACKING, TargetState.TRACKING])
    iou = np.array([0.0, 0.0, 0.8, 0.0])
    judged = np.array([True, True, True, False])
    assert false_confident_rate(iou, states, judged) == pytest.approx(1 / 3)
    assert math.isnan(false_confident_rate(iou, states, np.zeros(4, bool)))


def test_answers_must_be_boxes_from_that_frame():
    boxes = np.array([[0, 0, 5, 5], [0, 0, 5, 5], [np.nan] * 4, [0, 0, 5, 5]])
    assert answer_rate(boxes, np.array([True, False, True, True])) == 0.5


def test_latency_ignores_frames_that_were_not_measured():
    got = latency(np.array([np.nan, *np.arange(101.0)]))
    assert (got.p50, got.p95, got.p99) == (50, 95, 99)
    assert latency(np.array([np.nan])) is None


def test_retention_is_a_ratio():
    assert retention(0.3, 0.6) == 0.5
    assert math.isnan(retention(0.3, 0.0))
