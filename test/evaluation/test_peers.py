"""OpenCV's trackers as contestants."""

import cv2
import numpy as np
import pytest

from sdstrack_ros.errors import SettingError
from sdstrack_ros.evaluation.contestants import parse_peer
from sdstrack_ros.evaluation.missing import Condition
from sdstrack_ros.evaluation.overlap import ious
from sdstrack_ros.evaluation.runner import run_sequence
from sdstrack_ros.evaluation.sequences import open_folder
from sdstrack_ros.types import Mode

needs_contrib = pytest.mark.skipif(not hasattr(cv2, 'TrackerCSRT_create'), reason='OpenCV without contrib')


def run(folder, text, condition='complete'):
    sequence, spec = open_folder(folder), parse_peer(text)
    return run_sequence(sequence, spec.build(sequence.modality), spec.label, Condition(condition))


@needs_contrib
@pytest.mark.parametrize('text', ['csrt', 'kcf', 'csrt@x'])
def test_a_peer_follows_the_square_on_its_stream(make_folder, text):
    result = run(make_folder(), text)
    assert ious(result.boxes, result.truth).mean() > 0.6
    assert set(result.modes[1:]) == {int(Mode.X_ONLY if text.endswith('@x') else Mode.RGB_ONLY)}
    assert result.tracker == ('csrt on X' if text == 'csrt@x' else text)


@needs_contrib
def test_without_its_stream_a_peer_holds_its_last_box(make_folder):
    result = run(make_folder(), 'csrt', 'outage:rgb@0.18-0.3')
    gone = np.flatnonzero(~result.present[:, 0])
    assert len(gone) >= 2
    np.testing.assert_allclose(result.boxes[gone], [result.boxes[gone[0] - 1]] * len(gone))
    assert not result.fresh[gone].any()


def test_a_peer_on_x_needs_x(make_folder):
    sequence = open_folder(make_folder(modality='none'))
    with pytest.raises(SettingError, match='no X stream'):
        parse_peer('csrt@x').build(sequence.modality)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('mosse', "'mosse' is not one of csrt, kcf, nano"),
        ('csrt@ir', "stream 'ir'"),
        ('nano', 'nano=BACKBONE.onnx,NECKHEAD.onnx'),
        ('nano=a.onnx,b.onnx', 'no such file: a.onnx'),
    ],
)
def test_a_peer_that_cannot_be_is_refused(text, message):
    with pytest.raises(SettingError, match=message):
        parse_peer(text)
