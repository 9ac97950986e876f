"""Accuracy metrics on cases small enough to count by hand."""

import numpy as np
import pytest

from sdstrack_ros.evaluation.metrics import accuracy, averaged
from sdstrack_ros.evaluation.overlap import center_errors, clipped, ious, normalized_errors

NAN = [np.nan] * 4


def boxes(*rows):
    return np.array(rows, dtype=np.float64)


def test_iou_counted_by_hand():
    truth = boxes([0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 0, 10])
    answer = boxes([0, 0, 10, 10], [5, 0, 10, 10], [10, 0, 10, 10], NAN, [0, 0, 0, 10])
    np.testing.assert_allclose(ious(answer, truth), [1, 50 / 150, 0, 0, 0])


def test_center_error_in_pixels_and_in_true_sizes():
    truth = boxes([0, 0, 10, 20], [0, 0, 10, 20])
    answer = boxes([3, 4, 10, 20], NAN)
    np.testing.assert_allclose(center_errors(answer, truth), [5, np.inf])
    np.testing.assert_allclose(normalized_errors(answer, truth), [np.hypot(0.3, 0.2), np.inf])


def test_clipping_to_the_image_leaves_the_inner_part_only():
    np.testing.assert_allclose(
        clipped(boxes([-5, 5, 20, 20], [200, 5, 4, 4]), 10, 20), [[0, 5, 10, 15], [10, 5, 0, 4]]
    )


def test_success_is_the_mean_over_21_thresholds_and_strict():
    truth = boxes([0, 0, 10, 10], [0, 0, 10, 10])
    answer = boxes([0, 0, 10, 10], [0, 0, 5, 10])  # IoU 1 and 0.5
    got = accuracy(answer, truth)
    # IoU 1 passes 0 .. 0.95 (20 thresholds), IoU 0.5 passes 0 .. 0.45 (10 thresholds)
    assert got.success_auc == pytest.approx((20 + 10) / 2 / 21)
    assert got.mean_iou == pytest.approx(0.75)


def test_precision_includes_exactly_20_pixels():
    truth = boxes([0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10])
    answer = boxes([20, 0, 10, 10], [20.1, 0, 10, 10], NAN)
    assert accuracy(answer, truth).precision_20 == pytest.approx(1 / 3)


def test_normalized_precision_is_taken_at_a_fifth_of_the_size():
    truth = boxes([0, 0, 100, 10], [0, 0, 100, 10])
    answer = boxes([19, 0, 100, 10], [0, 3, 100, 10])
    assert accuracy(answer, truth).normalized_precision == pytest.approx(0.5)


def test_frames_without_a_visible_target_do_not_count_and_missing_answers_do():
    truth = boxes([0, 0, 10, 10], NAN, [0, 0, 10, 10])
    answer = boxes([0, 0, 10, 10], [0, 0, 10, 10], NAN)
    got = accuracy(answer, truth)
    assert got.frames == 2
    assert got.mean_iou == pytest.approx(0.5)
    assert accuracy(answer[1:2], truth[1:2]) is None


def test_the_average_gives_each_sequence_the_same_weight():
    short = accuracy(boxes([0, 0, 10, 10]), boxes([0, 0, 10, 10]))
    long = accuracy(boxes(*[[50, 0, 10, 10]] * 9), boxes(*[[0, 0, 10, 10]] * 9))
    assert averaged([short, long]).mean_iou == pytest.approx(0.5)
    assert averaged([]) is None
