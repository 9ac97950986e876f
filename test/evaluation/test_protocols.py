"""The benchmarks' own counting rules, each quirk on a case counted by hand."""

import numpy as np
import pytest

from sdstrack_ros.errors import DatasetError
from sdstrack_ros.evaluation.protocols import gtot, lasher, rgbt234, summarize, visevent

BOX, FAR = [10, 10, 10, 10], [90, 90, 10, 10]


def boxes(*rows):
    return np.array(rows, dtype=np.float64)


def test_lasher_takes_the_first_row_from_the_truth():
    got = summarize('lasher', [lasher(boxes(FAR, BOX), boxes(BOX, BOX))])
    assert got['SR'] == pytest.approx(20 / 21)
    assert got['PR'] == 1.0


def test_lasher_absent_frames_never_succeed_yet_count_as_precise():
    got = summarize('lasher', [lasher(boxes(BOX, FAR), boxes(BOX, [0, 0, 0, 0]))])
    assert got['PR'] == 1.0
    assert got['NPR'] == 1.0
    assert got['SR'] == pytest.approx(20 / 21 / 2)


def test_lasher_repeats_the_last_box_where_the_prediction_has_no_size():
    got = summarize(
        'lasher', [lasher(boxes(BOX, BOX, [0, 0, 0, 0], [5, 5, -1, 3]), boxes(BOX, BOX, BOX, BOX))]
    )
    assert got['SR'] == pytest.approx(20 / 21)


def test_lasher_refuses_a_result_with_missing_rows():
    with pytest.raises(DatasetError, match='1 result rows for 2 frames'):
        lasher(boxes(BOX), boxes(BOX, BOX))


def test_rgbt234_takes_the_better_truth_and_keeps_the_first_prediction():
    visible, infrared = boxes(BOX, BOX), boxes(FAR, FAR)
    got = summarize('rgbt234', [rgbt234(boxes(FAR, [50, 50, 10, 10]), visible, infrared)])
    assert got['MPR'] == 0.5
    assert got['MSR'] == pytest.approx(20 / 21 / 2)


def test_gtot_is_strict_at_five_pixels_and_pools_frames():
    truth = boxes(BOX, BOX)
    near = gtot(boxes([14, 10, 10, 10], [15, 10, 10, 10]), truth, truth)  # 4 px, exactly 5 px
    perfect = gtot(boxes(*[BOX] * 6), boxes(*[BOX] * 6), boxes(*[BOX] * 6))
    assert summarize('gtot', [near])['MPR'] == 0.5
    assert summarize('gtot', [near, perfect])['MPR'] == pytest.approx(7 / 8)
    # trapezoids over 20 thresholds: IoU 1 fails only at 1.0, half a step is lost
    assert summarize('gtot', [perfect])['MSR'] == pytest.approx(1 - 0.025)


def test_visevent_divides_by_the_whole_length():
    present = np.array([True, True, False, False])
    got = summarize('visevent', [visevent(boxes(FAR, BOX, BOX, BOX), boxes(BOX, BOX, BOX, BOX), present)])
    assert got['PR'] == 0.5
    assert got['SR'] == pytest.approx(20 / 21 / 2)


def test_a_benchmark_without_sequences_is_an_error():
    with pytest.raises(DatasetError, match='lasher: no sequence'):
        summarize('lasher', [])
