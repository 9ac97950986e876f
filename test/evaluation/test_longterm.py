"""Pr, Re and F of DepthTrack, counted by hand."""

import math

import numpy as np
import pytest

from sdstrack_ros.errors import DatasetError
from sdstrack_ros.evaluation.longterm import ConfidentTrack, confidence_thresholds, long_term_score

BOX, FAR, NAN = [0, 0, 10, 10], [50, 50, 10, 10], [np.nan] * 4


def track(boxes, confidence, truth, size=(100, 100)):
    return ConfidentTrack(
        's', np.array(boxes, float), np.array(confidence, float), np.array(truth, float), size
    )


def test_thresholds_of_few_scores_are_the_scores_between_infinities():
    np.testing.assert_allclose(confidence_thresholds(np.array([0.2, 0.9])), [math.inf, 0.9, 0.2, -math.inf])


def test_thresholds_of_many_scores_are_98_evenly_spaced_ranks():
    got = confidence_thresholds(np.arange(980.0))
    assert len(got) == 100
    # 980 // 98 = 10: ranks 10 .. 970 from the top
    assert got[1] == 979 - 10
    assert got[-2] == 979 - 970


def test_an_unsure_wrong_answer_is_left_out_at_the_best_threshold():
    one = track([BOX, BOX, FAR], [0.9, 0.8, 0.1], [BOX, BOX, BOX])
    got = long_term_score([one])
    # at 0.8: precision (1+1)/2, recall 2/3, F = 0.8 ; with all three: 2/3, 2/3
    assert got.precision == pytest.approx(1.0)
    assert got.recall == pytest.approx(2 / 3)
    assert got.f_score == pytest.approx(0.8)
    assert got.threshold == pytest.approx(0.8)


def test_a_sure_answer_on_an_absent_frame_costs_precision_not_recall():
    got = long_term_score([track([BOX, BOX], [0.9, 0.9], [BOX, NAN])])
    assert (got.precision, got.recall) == (pytest.approx(0.5), pytest.approx(1.0))


def test_precision_is_one_where_no_frame_passes():
    got = long_term_score([track([BOX], [0.5], [BOX])])
    assert got.precision_curve[0] == 1.0
    assert got.recall_curve[0] == 0.0


def test_overlap_is_bounded_to_the_image():
    # outside the 8 px wide image the boxes differ, inside they are equal
    got = long_term_score([track([[0, 0, 20, 10]], [0.5], [[0, 0, 10, 10]], size=(8, 20))])
    assert got.recall == pytest.approx(1.0)


def test_sequences_weigh_the_same_and_share_thresholds():
    good = track([BOX] * 3, [0.9] * 3, [BOX] * 3)
    bad = track([FAR], [0.9], [BOX])
    got = long_term_score([good, bad])
    assert (got.precision, got.recall) == (pytest.approx(0.5), pytest.approx(0.5))


def test_a_target_that_is_never_visible_is_an_error():
    with pytest.raises(DatasetError, match='visible in no frame'):
        long_term_score([track([BOX], [0.9], [NAN])])
