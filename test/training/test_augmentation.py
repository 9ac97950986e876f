"""Geometry and statistics of training pairs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sdstrack_ros.sensing.appearance import appearance_for
from sdstrack_ros.tracking.crops import crop, normalise
from sdstrack_ros.training.augmentation import (
    NO_JITTER,
    SEARCH_JITTER,
    Augmentation,
    LabelledFrame,
    box_in_crop,
    jittered,
    mirrored,
)
from sdstrack_ros.types import Box

BOX = Box(30.0, 20.0, 20.0, 16.0)


@pytest.fixture
def frame() -> LabelledFrame:
    """A black frame whose target is white in RGB, and red in the event picture."""
    rgb, x = np.zeros((80, 100, 3), np.uint8), np.zeros((80, 100, 3), np.uint8)
    rgb[20:36, 30:50] = 255
    x[20:36, 30:50, 0] = 255
    return LabelledFrame(rgb, x, BOX)


def bright_box(image: np.ndarray) -> np.ndarray:
    """x, y, w, h of what is bright in channel 0, in image sides."""
    bright = image[0] > 0.0
    xs, ys = np.flatnonzero(bright.any(0)), np.flatnonzero(bright.any(1))
    edges = np.array([xs[0], ys[0], xs[-1] + 1 - xs[0], ys[-1] + 1 - ys[0]])
    return edges / image.shape[1]


def test_without_randomness_a_pair_is_what_the_tracker_would_crop(tiny, frame):
    plain = Augmentation(tiny, search_jitter=NO_JITTER, mirror=0.0, brightness=0.0)
    sample = plain.pair(frame, frame, appearance_for('event'), np.random.default_rng(0))
    for got, factor, size in ((sample.template, 2.0, 32), (sample.search, 4.0, 64)):
        rgb, _ = crop(frame.rgb, BOX, factor, size)
        x, _ = crop(frame.x, BOX, factor, size)
        np.testing.assert_allclose(got, normalise(rgb, x)[0].numpy(), atol=1e-6)


def test_the_box_stays_on_the_target_through_jitter_and_mirroring(tiny, frame):
    """The published mirroring and cropping are each a pixel off; the frame is large enough for that."""
    large = LabelledFrame(
        *(np.kron(image, np.ones((4, 4, 1), np.uint8)) for image in frame[:2]), Box(*(4 * v for v in BOX))
    )
    config = dataclasses.replace(tiny, template_size=128, search_size=256)
    random = np.random.default_rng(0)
    seen = []
    for _ in range(40):
        sample = Augmentation(config).pair(large, large, appearance_for('event'), random)
        x, y, w, h = sample.box
        if x < 0.05 or y < 0.05 or x + w > 0.95 or y + h > 0.95:
            continue
        np.testing.assert_allclose(sample.box, bright_box(sample.search), atol=0.02)
        seen.append(sample.box)
    assert len(seen) > 20
    assert np.std(seen, axis=0).min() > 0.02


def test_the_middle_of_the_crop_is_between_its_pixels_as_published():
    np.testing.assert_allclose(box_in_crop(BOX, BOX, 1.0, 128), [53.5 / 128, 55.5 / 128, 20 / 128, 16 / 128])


def test_mirroring_moves_the_box_as_published(frame):
    turned = mirrored(frame)
    assert turned.box == Box(100 - 1 - 50, 20, 20, 16)
    assert turned.rgb[20:36, 50:70].min() == 255
    assert turned.rgb.sum() == frame.rgb.sum()


def test_jitter_has_the_published_spread():
    random = np.random.default_rng(0)
    boxes = np.array([jittered(BOX, SEARCH_JITTER, random) for _ in range(4000)])
    scale = np.log(boxes[:, 2:] / (BOX.w, BOX.h))
    assert scale.mean(0) == pytest.approx([0, 0], abs=0.02)
    assert scale.std(0) == pytest.approx([0.25, 0.25], abs=0.01)
    shift = boxes[:, :2] + boxes[:, 2:] / 2 - BOX.center
    share = shift / np.sqrt(boxes[:, 2] * boxes[:, 3])[:, None]
    assert np.abs(share).max() == pytest.approx(1.5, abs=0.01)
    assert share.std(0) == pytest.approx(np.full(2, 3 / np.sqrt(12)), abs=0.02)
    assert jittered(BOX, NO_JITTER, random) == pytest.approx(BOX)


def test_brightness_is_one_factor_for_all_channels_and_clamped(tiny, frame):
    grey = LabelledFrame(np.full_like(frame.rgb, 120), np.full_like(frame.x, 240), BOX)
    random = np.random.default_rng(0)
    bright = Augmentation(tiny, search_jitter=NO_JITTER)
    std, mean = np.array([0.229, 0.224, 0.225] * 2), np.array([0.485, 0.456, 0.406] * 2)
    factors = []
    for _ in range(60):
        sample = bright.pair(grey, grey, appearance_for('event'), random)
        levels = sample.template[:, 16, 16] * std + mean
        factor = levels[0] * 255 / 120
        np.testing.assert_allclose(levels[:3], 120 / 255 * factor, atol=1e-5)
        np.testing.assert_allclose(levels[3:], min(1.0, 240 / 255 * factor), atol=1e-5)
        factors.append(factor)
    assert 0.8 <= min(factors) < 0.85
    assert 1.15 < max(factors) <= 1.2


def test_a_box_too_small_to_crop_gives_no_pair(tiny, frame):
    nothing = frame._replace(box=Box(10, 10, 0, 5))
    assert Augmentation(tiny).pair(frame, nothing, appearance_for('event'), np.random.default_rng(0)) is None
