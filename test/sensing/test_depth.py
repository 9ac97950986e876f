"""Depth colours equal the reference's, for whole frames and for crops."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sdstrack_ros.errors import ImageError
from sdstrack_ros.sensing.depth import DepthAppearance, to_millimetres

GOLDENS = np.load(Path(__file__).parents[1] / 'parity' / 'preprocess.npz')
SIX_CHANNELS = 2  # which of a frame's hashes: RGB, X, both


@pytest.mark.parametrize('case', synthetic.depth_cases())
def test_equals_the_reference(case: str) -> None:
    depth = synthetic.depth_cases()[case]
    np.testing.assert_array_equal(DepthAppearance().to_channels(depth), GOLDENS[f'depth_{case}'])


def test_six_channel_frame_equals_the_reference() -> None:
    rgb, depth = synthetic.sequence('rgbd')['frames'][0]
    six = np.concatenate([rgb, DepthAppearance().to_channels(depth)], axis=2)
    assert hashlib.sha256(six.tobytes()).hexdigest() == GOLDENS['frame0_rgbd_sha'][SIX_CHANNELS]


def colors_by_definition(depth: np.ndarray) -> np.ndarray:
    """Spec 4.1 pixel by pixel, with the whole-frame routines."""
    farthest = min(3 * np.median(depth), 10000)
    clipped = depth.copy()
    clipped[clipped > farthest] = int(farthest)
    stretched = cv2.normalize(clipped, None, 0, 255, cv2.NORM_MINMAX)
    return cv2.applyColorMap(stretched.astype(np.uint8), cv2.COLORMAP_JET)


depth_images = npst.arrays(
    np.uint16,
    npst.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.one_of(st.integers(0, 65535), st.integers(0, 30), st.just(0)),
)


@given(depth_images)
def test_equals_the_definition(depth: np.ndarray) -> None:
    np.testing.assert_array_equal(DepthAppearance().to_channels(depth), colors_by_definition(depth))


@given(depth_images)
def test_converting_a_crop_equals_cropping_the_conversion(depth: np.ndarray) -> None:
    prepared = DepthAppearance().prepare(depth)
    crop = np.s_[: (depth.shape[0] + 1) // 2, : (depth.shape[1] + 1) // 2]
    np.testing.assert_array_equal(prepared.convert(depth[crop]), prepared.convert(depth)[crop])


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_metres_look_like_millimetres(dtype: type) -> None:
    millimetres = synthetic.depth_cases()['outliers']
    metres = (millimetres / 1000).astype(dtype)
    np.testing.assert_array_equal(
        DepthAppearance().to_channels(metres), DepthAppearance().to_channels(millimetres)
    )


def test_what_is_no_measurement_becomes_zero() -> None:
    metres = np.array([[np.nan, np.inf, -np.inf, -0.5], [0.0, 1.2344, 65.535, 1000.0]], np.float32)
    np.testing.assert_array_equal(to_millimetres(metres), [[0, 0, 0, 0], [0, 1234, 65535, 65535]])


@pytest.mark.parametrize(
    ('image', 'named'),
    [
        (np.zeros((4, 4, 3), np.uint16), '(4, 4, 3)'),
        (np.zeros((4, 4), np.uint8), 'uint8'),
        (np.zeros((4, 4), np.int32), 'int32'),
        (np.zeros((0, 4), np.uint16), '(0, 4)'),
    ],
)
def test_what_is_no_depth_image_is_refused_by_name(image: np.ndarray, named: str) -> None:
    with pytest.raises(ImageError, match='depth image') as error:
        DepthAppearance().prepare(image)
    assert named in str(error.value)
