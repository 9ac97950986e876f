"""Crops against the published code's, to the last bit, and the small functions beside them."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
import synthetic
import torch

from sdstrack_ros.errors import BoxError
from sdstrack_ros.sensing.appearance import appearance_for
from sdstrack_ros.tracking.crops import (
    MEAN,
    STD,
    checked_box,
    clip,
    crop,
    hann_window,
    normalise,
    normalise_there,
)
from sdstrack_ros.types import Box


def six_channels(kind: str) -> np.ndarray:
    rgb, x = synthetic.sequence(kind, n=1)['frames'][0]
    modality = {'rgbd': 'depth', 'rgbt': 'thermal', 'rgbe': 'event'}[kind]
    return np.concatenate((rgb, appearance_for(modality).to_channels(x)), 2)


@pytest.mark.parametrize('case', range(14))
@pytest.mark.parametrize('size', [128, 256])
def test_crop_parity(golden, case, size):
    expected = golden('preprocess', f'crop{case:02d}_{size}_')
    box = Box.of(synthetic.crop_cases()[case])
    patch, resize = crop(six_channels('rgbd'), box, size / 64, size)
    assert resize == expected['rf']
    assert hashlib.sha256(np.ascontiguousarray(patch).tobytes()).hexdigest() == str(expected['sha'])


def test_converting_the_crop_equals_cropping_the_conversion():
    _, depth = synthetic.sequence('rgbd', n=1)['frames'][0]
    appearance = appearance_for('depth')
    whole = appearance.to_channels(depth)
    for values in synthetic.crop_cases():
        box = Box.of(values)
        early, _ = crop(whole, box, 4.0, 256)
        late, _ = crop(depth, box, 4.0, 256, appearance.prepare(depth).convert)
        np.testing.assert_array_equal(early, late)


def test_crop_outside_the_image_is_black():
    patch, _ = crop(np.full((40, 60, 3), 200, np.uint8), Box(500, 500, 20, 20), 2.0, 32)
    assert patch.shape == (32, 32, 3)
    assert not patch.any()


@pytest.mark.parametrize('values', [(0, 0, 0, 5), (0, 0, -3, 5), (float('nan'), 0, 5, 5)])
def test_crop_refuses_boxes_without_size(values):
    with pytest.raises(BoxError):
        crop(np.zeros((40, 60, 3), np.uint8), Box(*values), 2.0, 32)


def test_normalise():
    rng = np.random.default_rng(0)
    rgb, x = rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    both = normalise(rgb, x).numpy()
    for half, patch in ((slice(0, 3), rgb), (slice(3, 6), x)):
        expected = (patch.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
        np.testing.assert_allclose(both[0, half], expected.transpose(2, 0, 1), atol=1e-6)
    np.testing.assert_array_equal(normalise(rgb, None).numpy()[0, :3], both[0, :3])
    np.testing.assert_array_equal(normalise(None, x).numpy()[0, 3:], both[0, 3:])


def test_hann_window_and_clip_parity(golden):
    expected = golden('preprocess')
    np.testing.assert_allclose(hann_window(16).numpy(), expected['hann16'], atol=1e-7)
    for given, clipped in zip(expected['clip_in'], expected['clip_out'], strict=True):
        assert clip(Box.of(given), 320, 240, 10.0) == pytest.approx(Box.of(clipped))


@pytest.mark.parametrize(
    ('values', 'problem'),
    [
        ((10, 10, 0, 5), 'no size'),
        ((10, 10, 5, -1), 'no size'),
        ((10, float('inf'), 5, 5), 'finite'),
        ((100, 10, 5, 5), 'outside the 60x40'),
        ((10, -30, 5, 20), 'outside the 60x40'),
        ((-1e6, -1e6, 2e6, 2e6), 'twice as large'),
        ((10, 10, 5, 81), 'twice as large'),
    ],
)
def test_checked_box_names_the_problem(values, problem):
    with pytest.raises(BoxError, match=problem):
        checked_box(values, 60, 40)


def test_resize_of_a_slice_equals_that_of_a_copy():
    image = six_channels('rgbe')[..., :3]
    patch, _ = crop(image, Box(120, 90, 40, 40), 2.0, 128)
    np.testing.assert_array_equal(patch, cv2.resize(image[70:150, 100:180].copy(), (128, 128)))


def test_crops_are_normalised_the_same_where_they_lie():
    generator = np.random.default_rng(0)
    rgb, x = generator.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    there = normalise_there(torch.from_numpy(np.stack([rgb, x])))
    torch.testing.assert_close(there, normalise(rgb, x), atol=1e-6, rtol=1e-6)
