"""Records on disk, in the benchmarks' formats, and the numbers made of them."""

import numpy as np
import pytest

from sdstrack_ros.errors import DatasetError
from sdstrack_ros.evaluation.results import SequenceResult, read_benchmark_file, write_benchmark_file
from sdstrack_ros.evaluation.summary import benchmark_numbers, score_groups, score_run
from sdstrack_ros.types import TargetState

BOX, FAR, NONE = [10, 10, 10, 10], [60, 60, 10, 10], [np.nan] * 4


def record(boxes, truth, **changes):
    boxes, truth = np.array(boxes, float), np.array(truth, float)
    count = len(boxes)
    values = {
        'sequence': 'walk',
        'benchmark': 'folder',
        'tracker': 'sdstrack',
        'condition': 'complete',
        'stamps_ns': np.arange(count, dtype=np.int64) * 100,
        'boxes': boxes,
        'scores': np.full(count, 0.5),
        'states': np.full(count, int(TargetState.TRACKING)),
        'modes': np.zeros(count, np.int64),
        'held': np.zeros(count, bool),
        'fresh': np.ones(count, bool),
        'latency': np.full(count, 0.02),
        'present': np.ones((count, 2), bool),
        'truth': truth,
        'judged': np.ones(count, bool),
        'size': (100, 80),
    }
    return SequenceResult(**{**values, **changes})


def test_a_record_survives_the_disk(tmp_path):
    result = record(
        [BOX, NONE], [BOX, BOX], truth_x=np.array([BOX, FAR], float), notes=('cut',), fingerprint='f'
    )
    result.save(tmp_path / 'a' / 'r.npz')
    got = SequenceResult.load(tmp_path / 'a' / 'r.npz')
    np.testing.assert_array_equal(got.boxes, result.boxes)
    np.testing.assert_array_equal(got.truth_x, result.truth_x)
    assert (got.sequence, got.size, got.notes, got.fingerprint) == ('walk', (100, 80), ('cut',), 'f')
    assert [p.name for p in (tmp_path / 'a').iterdir()] == ['r.npz']


@pytest.mark.parametrize('content', [b'', b'PK broken'])
def test_a_damaged_record_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / 'r.npz'
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r'r\.npz'):
        SequenceResult.load(path)


@pytest.mark.parametrize(
    ('benchmark', 'first_line'),
    [
        ('lasher', ' '.join(['1.000000000000000000e+01'] * 4)),
        ('visevent', ','.join(['10.00000000000000'] * 4)),
        ('folder', ','.join(['10.000000'] * 4)),
    ],
)
def test_boxes_are_written_as_the_benchmark_wants_them(tmp_path, benchmark, first_line):
    write_benchmark_file(record([BOX, NONE], [BOX, BOX], benchmark=benchmark), tmp_path)
    lines = (tmp_path / 'walk.txt').read_text().split('\n')
    assert lines[0] == first_line
    boxes, scores = read_benchmark_file(tmp_path, 'walk')
    np.testing.assert_allclose(boxes, [BOX, [0, 0, 0, 0]])
    assert scores is None


def test_depthtrack_gets_a_trajectory_with_confidence(tmp_path):
    write_benchmark_file(record([BOX, FAR, NONE], [BOX] * 3, benchmark='depthtrack'), tmp_path)
    folder = tmp_path / 'walk'
    assert (folder / 'walk_001.txt').read_text().split('\n')[:3] == [
        '1',
        '60.000000,60.000000,10.000000,10.000000',
        '0',
    ]
    assert (folder / 'walk_001_confidence.value').read_text() == '\n0.50000000\n0.50000000\n'
    boxes, scores = read_benchmark_file(tmp_path, 'walk')
    np.testing.assert_allclose(boxes[1], FAR)
    np.testing.assert_allclose(scores, [np.nan, 0.5, 0.5])
    with pytest.raises(DatasetError, match='no result for run'):
        read_benchmark_file(tmp_path, 'run')


def test_a_run_leaves_out_the_given_frame_and_unknown_truth():
    row = score_run(record([FAR, BOX, FAR, BOX], [BOX, BOX, BOX, NONE])).row()
    assert (row['judged_frames'], row['mean_iou'], row['precision_20']) == (2, 0.5, 0.5)
    # one of three frames after the first is TRACKING with no overlap, and so is the one on an absent target
    assert row['false_confident_rate'] == pytest.approx(2 / 3)
    assert row['latency_p50_ms'] == pytest.approx(20)


def test_retention_compares_the_same_sequences():
    complete = [
        score_run(record([BOX, BOX], [BOX, BOX])),
        score_run(record([BOX, FAR], [BOX, BOX], sequence='b')),
    ]
    present = np.array([[1, 1], [1, 0], [1, 1]], bool)
    degraded = score_run(record([BOX, BOX, FAR], [BOX] * 3, condition='x:0.5', present=present))
    rows = {row['condition']: row for row in score_groups([*complete, degraded])}
    assert rows['complete']['mean_iou'] == 0.5
    assert rows['x:0.5']['retention_precision'] == 0.5
    assert (rows['x:0.5']['outages'], rows['x:0.5']['unrecovered']) == (1, 1)


def test_benchmark_numbers_of_records():
    lasher = record([FAR, [10.3, 10.2, 9.8, 10.4], NONE], [BOX, BOX, BOX], benchmark='lasher')
    # row 0 := truth; row 1 rounds to the truth; row 2 repeats it
    assert benchmark_numbers('lasher', [lasher])['SR'] == pytest.approx(20 / 21)
    visevent = record([BOX, BOX], [BOX, BOX], benchmark='visevent', skipped=2)
    assert benchmark_numbers('visevent', [visevent])['PR'] == 0.5  # two of four frames
    rgbt = record([FAR, FAR], [BOX, BOX], benchmark='rgbt234', truth_x=np.array([FAR, FAR], float))
    assert benchmark_numbers('rgbt234', [rgbt])['MPR'] == 1.0
    depth = record([BOX, BOX], [BOX, BOX], benchmark='depthtrack')
    assert benchmark_numbers('depthtrack', [depth]) == pytest.approx({'Pr': 1.0, 'Re': 0.5, 'F': 2 / 3})
    with pytest.raises(DatasetError, match='infrared truth'):
        benchmark_numbers('rgbt234', [record([BOX], [BOX], benchmark='rgbt234')])
