"""Sequences from folders: frames, truth, and what is refused."""

import re

import numpy as np
import pytest

from sdstrack_ros.errors import DatasetError
from sdstrack_ros.evaluation.sequences import open_folder, read_boxes
from sdstrack_ros.types import Modality, Mode


def test_a_folder_gives_frames_with_stamps_and_truth(make_folder):
    sequence = open_folder(make_folder())
    frames = list(sequence.frames)
    assert (sequence.modality, len(frames), round(sequence.rate)) == (Modality.DEPTH, 12, 25)
    assert frames[3].rgb.image.shape == (90, 120, 3)
    assert frames[3].rgb.image[27, 23].tolist() != frames[3].rgb.image[27, 23, ::-1].tolist()
    assert frames[3].x.image.dtype == np.uint16
    assert [f.lead.stamp_ns for f in frames] == sequence.stamps_ns.tolist()
    np.testing.assert_allclose(sequence.truth.boxes[3], [22, 26, 24, 20])


def test_rgb_alone_has_no_x(make_folder):
    sequence = open_folder(make_folder(modality='none'))
    assert sequence.modality is None
    assert next(iter(sequence.frames)).mode is Mode.RGB_ONLY


def test_true_times_are_used(make_folder):
    folder = make_folder(frames=3)
    (folder / 'frame_timestamps_us.txt').write_text('500\n20500\n60500\n')
    assert np.diff(open_folder(folder).stamps_ns).tolist() == [20_000_000, 40_000_000]


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (
            lambda f: (f / 'groundtruth.txt').write_text('1,2,3,4\n'),
            '12 RGB images, 12 X images, 1 truth rows',
        ),
        (lambda f: (f / 'x' / '00000001.png').unlink(), '11 X images'),
        (lambda f: (f / 'meta.yaml').write_text('modality: radar\n'), "modality 'radar'"),
        (lambda f: (f / 'meta.yaml').write_text('[1'), 'not valid YAML'),
        (lambda f: (f / 'meta.yaml').unlink(), r'meta\.yaml: cannot be read'),
        (
            lambda f: (f / 'groundtruth.txt').write_text('nan,nan,nan,nan\n' + '1,1,5,5\n' * 11),
            'no true box to start',
        ),
        (lambda f: [p.unlink() for p in (f / 'rgb').iterdir()], 'no image files'),
    ],
)
def test_what_does_not_fit_together_is_an_error_that_says_where(make_folder, spoil, message):
    folder = make_folder()
    spoil(folder)
    with pytest.raises(DatasetError, match=message) as caught:
        open_folder(folder)
    assert str(folder) in str(caught.value)


def test_an_unreadable_image_is_named(make_folder):
    folder = make_folder()
    (folder / 'rgb' / '00000002.png').write_bytes(b'no image')
    with pytest.raises(DatasetError, match=r'00000002\.png'):
        list(open_folder(folder).frames)


def test_colour_is_no_depth(make_folder):
    folder = make_folder()
    (folder / 'x' / '00000001.png').write_bytes((folder / 'rgb' / '00000001.png').read_bytes())
    with pytest.raises(DatasetError, match='one channel'):
        next(iter(open_folder(folder).frames))


def test_boxes_are_read_with_any_separator_polygons_enclosed_nan_kept(tmp_path):
    path = tmp_path / 'boxes.txt'
    path.write_text('1,2,3,4\n1 2 3 4\n1\t2\t3\t4\nnan,nan,nan,nan\n0,0,4,1,5,5,1,4\n\n')
    got = read_boxes(path)
    np.testing.assert_allclose(got[:3], [[1, 2, 3, 4]] * 3)
    assert np.isnan(got[3]).all()
    np.testing.assert_allclose(got[4], [0, 0, 5, 5])


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('1,2,3\n', 'line 1: 3 numbers'),
        ('1,2,3,4\na,b,c,d\n', "line 2: 'a,b,c,d'"),
        ('1,2,0,4\n', r'row 1: \[1.0, 2.0, 0.0, 4.0\] has no area'),
        ('', 'holds no boxes'),
    ],
)
def test_bad_rows_are_errors_with_their_line(tmp_path, text, message):
    path = tmp_path / 'boxes.txt'
    path.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        read_boxes(path)
    assert re.escape(str(path)) in re.escape(str(caught.value))
