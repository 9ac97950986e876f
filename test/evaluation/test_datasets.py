"""The published layouts, each from a few tiny images."""

import cv2
import numpy as np
import pytest

from sdstrack_ros.errors import DatasetError
from sdstrack_ros.evaluation.datasets import find_sequences, open_sequence
from sdstrack_ros.types import Modality

GREY = np.full((6, 8), 100, np.uint8)
RGB = np.dstack([GREY, GREY, GREY])
BOX, ABSENT = [1, 1, 4, 3], [0, 0, 0, 0]


def make(folder, images, boxes, delimiter=',', suffix='.png'):
    """images: (folder name, picture, number of copies); boxes: {file name: rows}."""
    for name, picture, count in images:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            cv2.imwrite(str(folder / name / f'{i:06d}{suffix}'), picture)
    for name, rows in boxes.items():
        np.savetxt(folder / name, np.array(rows, float), fmt='%g', delimiter=delimiter)
    return folder


def test_depthtrack_and_vot_rgbd(tmp_path):
    depth = np.full((6, 8), 2000, np.uint16)
    folder = make(
        tmp_path / 'toy01', [('color', RGB, 2), ('depth', depth, 2)], {'groundtruth.txt': [BOX, [np.nan] * 4]}
    )
    got = open_sequence(folder)
    assert (got.benchmark, got.modality) == ('depthtrack', Modality.DEPTH)
    assert next(iter(got.frames)).x.image.dtype == np.uint16
    (folder / 'sequence').write_text('fps=30\n')
    assert open_sequence(folder).benchmark == 'votrgbd'


def rgbt(tmp_path, rows=2, images=2):
    truth = [BOX] * (rows - 1) + [ABSENT]
    return make(
        tmp_path / 'walk',
        [('visible', RGB, images), ('infrared', RGB, images)],
        {'visible.txt': truth, 'infrared.txt': [[2, 1, 4, 3]] * rows},
    )


def test_lasher_and_rgbt234_look_alike_and_must_be_told(tmp_path):
    folder = rgbt(tmp_path)
    with pytest.raises(DatasetError, match='lasher or rgbt234: say which with --benchmark'):
        open_sequence(folder)
    got = open_sequence(folder, 'rgbt234')
    assert (got.benchmark, got.modality) == ('rgbt234', Modality.THERMAL)
    np.testing.assert_allclose(got.truth_x[0], [2, 1, 4, 3])
    assert got.truth.boxes[1].tolist() == ABSENT  # zero size is left to the benchmark's rule


def test_the_name_of_the_data_set_in_the_path_tells_them_apart(tmp_path):
    rgbt(tmp_path / 'LasHeR')
    assert [s.benchmark for s in find_sequences(tmp_path)] == ['lasher']


def test_images_beyond_the_truth_are_not_used_but_none_may_lack(tmp_path):
    assert len(open_sequence(rgbt(tmp_path / 'a', rows=2, images=3), 'lasher').stamps_ns) == 2
    with pytest.raises(DatasetError, match='2 RGB images, 2 X images, 3 truth rows'):
        open_sequence(rgbt(tmp_path / 'b', rows=3, images=2), 'lasher')


def test_gtot_turns_corners_into_boxes(tmp_path):
    corners = {'groundTruth_v.txt': [[5, 4, 1, 1]] * 2, 'groundTruth_i.txt': [[1, 1, 6, 4]] * 2}
    folder = make(tmp_path / 'Tunnel', [('v', RGB, 2), ('i', GREY, 2)], corners, delimiter=' ')
    got = open_sequence(folder)
    np.testing.assert_allclose(got.truth.boxes[0], [1, 1, 4, 3])
    np.testing.assert_allclose(got.truth_x[0], [1, 1, 5, 3])


def test_visevent_leaves_out_leading_frames_without_target(tmp_path):
    folder = make(
        tmp_path / 'ball',
        [('vis_imgs', RGB, 4), ('event_imgs', RGB, 4)],
        {'groundtruth.txt': [ABSENT, BOX, BOX, BOX], 'absent_label.txt': [0, 1, 0, 1]},
        suffix='.bmp',
    )
    got = open_sequence(folder)
    assert (got.skipped, len(list(got.frames))) == (1, 3)
    assert np.isnan(got.truth.boxes[1]).all()  # labelled absent, though it has a box
    assert '1 leading frame' in got.notes[0]
    (folder / 'absent_label.txt').write_text('1\n')
    with pytest.raises(DatasetError, match='1 labels for 4 truth rows'):
        open_sequence(folder)


def test_a_folder_of_nothing_known_names_the_layouts(tmp_path):
    with pytest.raises(DatasetError, match='depthtrack, votrgbd, lasher'):
        find_sequences(tmp_path)
    with pytest.raises(DatasetError, match='no such folder'):
        find_sequences(tmp_path / 'missing')


def test_a_benchmark_that_does_not_fit_the_folder_is_refused(tmp_path):
    with pytest.raises(DatasetError, match='not like depthtrack'):
        open_sequence(rgbt(tmp_path), 'depthtrack')
    with pytest.raises(DatasetError, match="'otb' is not one of"):
        open_sequence(rgbt(tmp_path / 'again'), 'otb')
