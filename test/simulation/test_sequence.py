"""Videos: the truth agrees with the pictures."""

import numpy as np
import pytest

from sdstrack_ros.errors import SettingError
from sdstrack_ros.simulation import render_sequence


@pytest.mark.parametrize(
    ('modality', 'dtype', 'shape'),
    [('depth', np.uint16, (96, 128)), ('thermal', np.uint8, (96, 128)), ('event', np.uint8, (96, 128, 3))],
)
def test_frames_are_as_sensors_give_them(modality, dtype, shape) -> None:
    sequence = render_sequence(modality, frames=3, width=128, height=96, seed=1)
    assert len(sequence) == 3
    assert sequence.rgb[0].shape == (96, 128, 3)
    assert sequence.rgb[0].dtype == np.uint8
    assert sequence.x[0].shape == shape
    assert sequence.x[0].dtype == dtype
    assert np.array_equal(np.diff(sequence.stamps_ns), [33333333, 33333334])


def test_same_seed_same_video() -> None:
    one, two = (render_sequence(frames=2, width=64, height=48, seed=9) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one.rgb + one.x, two.rgb + two.x, strict=True))
    assert np.array_equal(one.boxes, two.boxes)


def test_target_moves_and_depth_shows_it_at_its_place() -> None:
    sequence = render_sequence('depth', frames=40, width=320, height=240, seed=3, rate=10)
    centers = sequence.boxes[:, :2] + sequence.boxes[:, 2:] / 2
    assert np.ptp(centers, axis=0).max() > 40
    fx, _, cx, _ = sequence.camera
    for i in range(0, 40, 5):
        if not sequence.visible[i]:
            continue
        x, z = sequence.positions[i, 0], sequence.positions[i, 2]
        assert abs(fx * x / z + cx - centers[i, 0]) < 0.2 * sequence.boxes[i, 2]
        left, top, w, h = sequence.boxes[i].round().astype(int)
        patch = sequence.x[i][top : top + h, left : left + w] / 1000
        assert np.mean(np.abs(patch - z) < 0.03 * z) > 0.2, (
            'a good part of the box is at the distance of the target'
        )


def test_impossible_videos_are_refused() -> None:
    with pytest.raises(SettingError, match='0 frames'):
        render_sequence(frames=0)
