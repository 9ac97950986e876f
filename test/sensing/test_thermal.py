"""16-bit thermal keeps its look over time; 8-bit is left as it is."""

from __future__ import annotations

import numpy as np
import pytest

from sdstrack_ros.errors import ImageError, SettingError
from sdstrack_ros.sensing.thermal import ThermalAppearance, ThermalSettings


def scene(low: int = 7000, high: int = 8000, hot: int | None = None) -> np.ndarray:
    """A ramp of counts, with a hot thing in a corner where asked for."""
    counts = np.linspace(low, high, 60 * 80).reshape(60, 80).astype(np.uint16)
    if hot is not None:
        counts[:20, :20] = hot
    return counts


def test_8_bit_is_replicated_and_colour_passed_on() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    colour = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    np.testing.assert_array_equal(ThermalAppearance().to_channels(grey), np.stack([grey] * 3, axis=2))
    np.testing.assert_array_equal(ThermalAppearance().to_channels(colour), colour)


def test_16_bit_fills_the_range() -> None:
    picture = ThermalAppearance().to_channels(scene())
    assert picture.shape == (60, 80, 3)
    assert picture.dtype == np.uint8
    assert picture.min() == 0
    assert picture.max() == 255
    assert abs(float(picture.mean()) - 127.5) < 2


def test_converting_a_crop_equals_cropping_the_conversion() -> None:
    counts = scene()
    prepared = ThermalAppearance().prepare(counts)
    np.testing.assert_array_equal(
        prepared.convert(counts[5:30, 10:60]), prepared.convert(counts)[5:30, 10:60]
    )


def test_a_hot_thing_entering_changes_the_rest_little() -> None:
    appearance = ThermalAppearance()
    before = appearance.to_channels(scene())
    after = appearance.to_channels(scene(hot=9500))
    moved = np.abs(after.astype(int) - before)[30:]
    assert moved.max() <= 15  # a stretch of its own would move it by 100 and more
    assert np.abs(ThermalAppearance().to_channels(scene(hot=9500)).astype(int) - before)[30:].max() > 100


def test_follows_a_scene_that_drifts() -> None:
    appearance = ThermalAppearance()
    for step in range(300):
        picture = appearance.to_channels(scene(7000 + 5 * step, 8000 + 5 * step))
    assert 100 < float(np.median(picture)) < 180


def test_shutter_leaves_the_limits_alone() -> None:
    appearance = ThermalAppearance()
    before = appearance.to_channels(scene())
    for _ in range(10):
        appearance.prepare(np.full((60, 80), 9000, np.uint16))
    np.testing.assert_array_equal(appearance.to_channels(scene()), before)


def test_lasting_jump_is_taken_over() -> None:
    settings = ThermalSettings(jump_frames=5)
    appearance = ThermalAppearance(settings)
    appearance.prepare(scene())
    pictures = [appearance.to_channels(scene(20000, 21000)) for _ in range(6)]
    assert pictures[4].min() == 255
    assert abs(float(pictures[5].mean()) - 127.5) < 2


def test_noise_is_not_stretched() -> None:
    noise = np.random.default_rng(0).integers(7000, 7006, (60, 80)).astype(np.uint16)
    picture = ThermalAppearance().to_channels(noise)
    assert int(picture.max()) - int(picture.min()) < 40


def test_reset_forgets() -> None:
    appearance = ThermalAppearance()
    appearance.prepare(scene())
    appearance.reset()
    np.testing.assert_array_equal(
        appearance.to_channels(scene(20000, 21000)), ThermalAppearance().to_channels(scene(20000, 21000))
    )


@pytest.mark.parametrize('image', [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8)])
def test_what_is_no_thermal_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ImageError, match='thermal image'):
        ThermalAppearance().prepare(image)


def test_settings_are_checked() -> None:
    with pytest.raises(SettingError, match='smoothing_frames'):
        ThermalSettings(smoothing_frames=0.5)
