"""A moving square on a textured ground, as files in the layouts that evaluation reads."""

import functools

import cv2
import numpy as np
import pytest

from sdstrack_ros.types import Box

WIDTH, HEIGHT, FRAMES = 120, 90, 12


def square_at(i):
    return Box(10.0 + 4 * i, 20.0 + 2 * i, 24.0, 20.0)


def frame_at(i):
    """RGB uint8 (H,W,3) and depth uint16 mm (H,W) of frame i."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(60, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    depth = rng.integers(2900, 3100, (HEIGHT, WIDTH), dtype=np.uint16)
    x, y, w, h = (round(v) for v in square_at(i))
    texture = np.random.default_rng(1).integers(120, 255, (h, w, 3), dtype=np.uint8)
    rgb[y : y + h, x : x + w] = cv2.GaussianBlur(texture, (3, 3), 0)
    depth[y : y + h, x : x + w] = 1500
    return rgb, depth


def write_images(folder, pictures, suffix='.png'):
    folder.mkdir(parents=True)
    for i, picture in enumerate(pictures, 1):
        bgr = picture[..., ::-1] if picture.ndim == 3 else picture
        assert cv2.imwrite(str(folder / f'{i:08d}{suffix}'), np.ascontiguousarray(bgr))


def write_boxes(path, boxes, delimiter=','):
    np.savetxt(path, np.array(boxes, dtype=float), fmt='%.3f', delimiter=delimiter)


def write_folder(root, name='square', modality='depth', frames=FRAMES, boxes=None):
    """Write a sequence in the folder layout below `root`; returns its folder."""
    folder = root / name
    pairs = [frame_at(i) for i in range(frames)]
    write_images(folder / 'rgb', [rgb for rgb, _ in pairs])
    if modality != 'none':
        write_images(folder / 'x', [depth for _, depth in pairs])
    write_boxes(folder / 'groundtruth.txt', boxes or [square_at(i) for i in range(frames)])
    (folder / 'meta.yaml').write_text(f'name: {name}\nmodality: {modality}\nframe_rate: "25 (nominal)"\n')
    return folder


@pytest.fixture
def make_folder(tmp_path):
    """`write_folder` below this test's own folder."""
    return functools.partial(write_folder, tmp_path / 'sequences')


@pytest.fixture(scope='module')
def make_folder_once(tmp_path_factory):
    """`write_folder` below a folder that the tests of a module share."""
    return functools.partial(write_folder, tmp_path_factory.mktemp('sequences'))
