"""A sensor that sends images but sees nothing is found out; one that sees little is left in peace."""

from __future__ import annotations

import numpy as np
import pytest

from sdstrack_ros.sensing.content import ContentCheck, ContentSettings

RNG = np.random.default_rng(0)
SIZE = (120, 160)


def healthy(kind: str) -> np.ndarray:
    if kind == 'depth':
        return RNG.integers(0, 6000, SIZE).astype(np.uint16)
    if kind == 'thermal':
        return RNG.integers(120, 124, SIZE).astype(np.uint8)  # nearly uniform: a cold wall
    return RNG.integers(0, 256, (*SIZE, 3)).astype(np.uint8)


@pytest.mark.parametrize('kind', ['rgb', 'depth', 'thermal', 'event'])
def test_healthy_frames_pass(kind: str) -> None:
    check = ContentCheck(kind)
    assert [check.problem(healthy(kind)) for _ in range(30)] == [None] * 30


def with_hot_pixels(image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image[::40, ::40] = 255 if image.max() < 128 else 0
    return image


@pytest.mark.parametrize(
    ('kind', 'image', 'reason'),
    [
        ('rgb', RNG.integers(0, 7, (*SIZE, 3)).astype(np.uint8), 'black'),
        ('rgb', with_hot_pixels(np.zeros((480, 640, 3), np.uint8)), 'black'),
        ('rgb', np.full((*SIZE, 3), 255, np.uint8), 'saturated'),
        ('rgb', np.zeros(SIZE, np.uint8), 'wrong encoding: uint8 (120, 160)'),
        ('rgb', np.zeros((*SIZE, 4), np.uint8), 'wrong encoding: 4 channels'),
        ('depth', np.zeros(SIZE, np.uint16), 'no valid depth: all zero'),
        ('depth', np.full(SIZE, np.nan, np.float32), 'no valid depth: NaN'),
        ('depth', np.full(SIZE, np.inf, np.float32), 'no valid depth: infinite or negative'),
        ('depth', np.full(SIZE, 65535, np.uint16), 'saturated'),
        ('depth', np.zeros(SIZE, np.uint8), 'wrong encoding: uint8 (120, 160)'),
        ('thermal', np.zeros(SIZE, np.uint8), 'black'),
        ('thermal', np.full(SIZE, 65535, np.uint16), 'saturated'),
        ('event', np.zeros((*SIZE, 3), np.uint8), 'black'),
        ('rgb', np.zeros((0, 0, 3), np.uint8), 'wrong encoding: uint8 (0, 0, 3)'),
    ],
)
def test_blind_sensor_is_named(kind: str, image: np.ndarray, reason: str) -> None:
    assert ContentCheck(kind).problem(image) == reason


def test_depth_with_a_single_measurement_is_not_empty() -> None:
    depth = np.zeros((480, 640), np.uint16)
    depth[101, 203] = 900  # between the sampled pixels
    assert ContentCheck('depth').problem(depth) is None


def test_depth_of_which_half_is_nan_is_normal() -> None:
    depth = np.full(SIZE, 2.0, np.float32)
    depth[:, ::2] = np.nan
    assert ContentCheck('depth').problem(depth) is None


@pytest.mark.parametrize('kind', ['rgb', 'depth', 'thermal'])
def test_frozen_only_after_many_equal_frames(kind: str) -> None:
    check = ContentCheck(kind, ContentSettings(frozen_frames=5))
    frame = healthy(kind)
    found = [check.problem(frame.copy()) for _ in range(7)]
    assert found[:5] == [None] * 5
    assert found[5:] == ['frozen: the same frame 6 times', 'frozen: the same frame 7 times']
    assert check.problem(healthy(kind)) is None


def test_frozen_depth_with_nan_is_found() -> None:
    check = ContentCheck('depth', ContentSettings(frozen_frames=2))
    depth = RNG.random(SIZE).astype(np.float32)
    depth[::3] = np.nan
    assert [check.problem(depth.copy()) is None for _ in range(3)] == [True, True, False]


def test_one_changing_pixel_is_not_frozen() -> None:
    check = ContentCheck('rgb', ContentSettings(frozen_frames=2))
    frame = np.full((480, 640, 3), 90, np.uint8)
    for step in range(6):
        frame = frame.copy()
        frame[101, 203 + step] = 200  # between the sampled pixels
        assert check.problem(frame) is None


def test_event_camera_at_rest_is_neither_saturated_nor_frozen() -> None:
    check = ContentCheck('event', ContentSettings(frozen_frames=2))
    at_rest = np.full((*SIZE, 3), 255, np.uint8)
    assert [check.problem(at_rest.copy()) for _ in range(10)] == [None] * 10


def test_frozen_check_can_be_switched_off() -> None:
    check = ContentCheck('rgb', ContentSettings(frozen_frames=0))
    frame = healthy('rgb')
    assert [check.problem(frame) for _ in range(30)] == [None] * 30


def test_change_of_size_is_a_problem_until_reset() -> None:
    check = ContentCheck('rgb')
    check.problem(healthy('rgb'))
    smaller = healthy('rgb')[:60, :80]
    assert check.problem(smaller) == 'size changed from 160x120 to 80x60; reset the tracker to go on with it'
    assert check.problem(healthy('rgb')) is None
    check.reset()
    assert check.problem(smaller) is None
