"""Every modality becomes three uint8 channels by one contract, and only on RGB's pixel grid."""

from __future__ import annotations

import numpy as np
import pytest

from sdstrack_ros.errors import ImageError, SettingError
from sdstrack_ros.sensing.appearance import appearance_for, registration_problem
from sdstrack_ros.types import Modality

RAW = {
    Modality.DEPTH: np.random.default_rng(0).integers(0, 6000, (30, 40)).astype(np.uint16),
    Modality.THERMAL: np.random.default_rng(1).integers(6000, 9000, (30, 40)).astype(np.uint16),
    Modality.EVENT: np.random.default_rng(2).integers(0, 256, (30, 40, 3)).astype(np.uint8),
}


@pytest.mark.parametrize('modality', Modality)
def test_crop_first_gives_the_same_pixels(modality: Modality) -> None:
    raw = RAW[modality]
    whole = appearance_for(modality).to_channels(raw)
    crop = appearance_for(modality.value).prepare(raw).convert(raw[3:20, 10:33])
    assert whole.shape == (30, 40, 3)
    assert whole.dtype == crop.dtype == np.uint8
    np.testing.assert_array_equal(crop, whole[3:20, 10:33])


def test_event_picture_is_passed_on_and_others_refused() -> None:
    appearance = appearance_for('event')
    np.testing.assert_array_equal(appearance.to_channels(RAW[Modality.EVENT]), RAW[Modality.EVENT])
    with pytest.raises(ImageError, match='event picture is uint16'):
        appearance.prepare(RAW[Modality.DEPTH])


def test_unknown_modality_is_named() -> None:
    with pytest.raises(SettingError, match=r"'sonar'.*depth, thermal, event"):
        appearance_for('sonar')


def test_registered_streams_have_no_problem() -> None:
    assert registration_problem((480, 640, 3), (480, 640), 'camera', 'camera') is None
    assert registration_problem((480, 640, 3), (480, 640), '', 'camera') is None


def test_unregistered_streams_are_told_apart() -> None:
    assert '848x480, RGB is 640x480' in str(registration_problem((480, 640, 3), (480, 848)))
    assert "'depth_frame'" in str(registration_problem((480, 640, 3), (480, 640), 'rgb_frame', 'depth_frame'))
