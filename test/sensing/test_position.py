"""The target's place in space, whatever else is in its box."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sdstrack_ros.errors import ImageError
from sdstrack_ros.sensing.position import Camera, target_distance, target_position
from sdstrack_ros.types import Box

CAMERA = Camera(fx=500.0, fy=510.0, cx=320.0, cy=240.0)
BOX = Box(400.0, 100.0, 80.0, 60.0)
RNG = np.random.default_rng(0)


def scene(target_mm: float = 2000.0, background_mm: float = 5000.0, noise: float = 0.005) -> np.ndarray:
    """A noisy background with a flat ellipse that fills BOX."""
    depth = np.full((480, 640), background_mm)
    v, u = np.mgrid[:480, :640] + 0.5
    cx, cy = BOX.center
    depth[((u - cx) / (BOX.w / 2)) ** 2 + ((v - cy) / (BOX.h / 2)) ** 2 <= 1] = target_mm
    return (depth * (1 + noise * RNG.standard_normal(depth.shape))).astype(np.uint16)


def test_position_is_in_the_optical_frame() -> None:
    x, y, z = target_position(scene(), BOX, CAMERA)
    assert z == pytest.approx(2.0, rel=0.005)
    assert x == pytest.approx((440 - 320) / 500 * z)
    assert y == pytest.approx((130 - 240) / 510 * z)


def test_metres_give_the_same_position() -> None:
    depth = scene()
    np.testing.assert_allclose(
        target_position((depth / 1000).astype(np.float32), BOX, CAMERA),
        target_position(depth, BOX, CAMERA),
        rtol=1e-3,
    )


def test_noise_averages_out() -> None:
    assert target_distance(scene(noise=0.03), BOX) == pytest.approx(2.0, rel=0.007)


@pytest.mark.parametrize('missing', [0.3, 0.7, 0.95])
def test_holes_do_not_matter(missing: float) -> None:
    depth = scene()
    depth[RNG.random(depth.shape) < missing] = 0
    assert target_distance(depth, BOX) == pytest.approx(2.0, rel=0.01)


def test_background_seen_through_the_target_does_not_matter() -> None:
    depth = scene()
    through = RNG.random(depth.shape) < 0.6  # more background than target: a bicycle, a tree
    depth[through] = 5000
    assert target_distance(depth, BOX) == pytest.approx(2.0, rel=0.01)


def test_thin_thing_in_front_does_not_matter() -> None:
    depth = scene()
    depth[:, 436:444] = 900
    assert target_distance(depth, BOX) == pytest.approx(2.0, rel=0.01)


def test_thing_in_front_of_the_rim_does_not_matter() -> None:
    depth = scene()
    depth[146:160] = 1200  # a table edge over the lower quarter of the box
    depth[100:112] = 1200
    assert target_distance(depth, BOX) == pytest.approx(2.0, rel=0.01)


def test_close_things_to_both_sides_of_the_target_do_not_pull_at_it() -> None:
    depth = scene()
    depth[100:160, 400:424] = 1900
    depth[100:160, 456:480] = 2120
    assert target_distance(depth, BOX) == pytest.approx(2.0, rel=0.01)


def test_close_background_is_kept_apart() -> None:
    depth = scene(background_mm=2400.0)
    assert target_distance(depth, BOX) == pytest.approx(2.0, rel=0.02)


def test_slanted_surface_gives_its_middle() -> None:
    ramp = np.tile(np.linspace(1500, 2500, 80), (60, 1))
    depth = np.zeros((480, 640), np.uint16)
    depth[100:160, 400:480] = ramp
    assert target_distance(depth, BOX) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize('scale', [0.4, 1.0, 7.0])
def test_single_distance_is_exact(scale: float) -> None:
    depth = np.full((480, 640), 1234 * scale).astype(np.uint16)
    assert target_distance(depth, BOX) == int(1234 * scale) / 1000


def test_hole_in_the_middle_falls_back_to_the_whole_box() -> None:
    depth = scene()
    depth[112:148, 418:462] = 0
    assert target_distance(depth, BOX) == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize(
    'box',
    [Box(700, 100, 50, 50), Box(-90, -90, 50, 50), Box(math.nan, 100, 50, 50), Box(10, 10, math.inf, 5)],
)
def test_box_without_pixels_has_no_position(box: Box) -> None:
    assert target_position(scene(), box, CAMERA) is None


def test_empty_depth_has_no_position() -> None:
    assert target_position(np.zeros((480, 640), np.uint16), BOX, CAMERA) is None
    assert target_position(np.full((480, 640), np.nan, np.float32), BOX, CAMERA) is None


def test_what_is_no_depth_image_is_refused() -> None:
    with pytest.raises(ImageError, match='depth image is uint8'):
        target_position(np.zeros((480, 640), np.uint8), BOX, CAMERA)
