"""A network that trains in no time, and data sets of a few small images in their published layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sdstrack_ros.model import SDSTrackConfig


@pytest.fixture(scope='session')
def tiny() -> SDSTrackConfig:
    return SDSTrackConfig(
        dim=32,
        depth=4,
        heads=2,
        template_size=32,
        search_size=64,
        fusion_blocks=(1, 3),
        elimination_blocks=(1, 2),
        head_channels=16,
    )


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads only get into each other's way in a network of this size."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def write_sequence(tmp_path: Path) -> Callable[..., Path]:
    """write_sequence('lasher', 'car', boxes): one sequence in tmp_path/<benchmark>; its folder.

    The target is a bright square in both streams, elsewhere is noise.
    """

    def write(benchmark: str, name: str, boxes: np.ndarray, labels: str | None = None) -> Path:
        rgb_folder, x_folder, truth, suffixes = {
            'depthtrack': ('color', 'depth', 'groundtruth.txt', ('.jpg', '.png')),
            'lasher': ('visible', 'infrared', 'visible.txt', ('.jpg', '.jpg')),
            'visevent': ('vis_imgs', 'event_imgs', 'groundtruth.txt', ('.bmp', '.bmp')),
        }[benchmark]
        folder = tmp_path / benchmark / name
        (folder / rgb_folder).mkdir(parents=True)
        (folder / x_folder).mkdir()
        random = np.random.default_rng(len(boxes))
        for i, box in enumerate(boxes):
            rgb = random.integers(0, 80, (48, 64, 3), dtype=np.uint8)
            x = rgb
            if benchmark == 'depthtrack':
                x = random.integers(2000, 3000, (48, 64), dtype=np.uint16)
            if np.isfinite(box).all():
                left, top, w, h = (int(v) for v in box)
                rgb[top : top + h, left : left + w] = 250
                x[top : top + h, left : left + w] = 250
            cv2.imwrite(str(folder / rgb_folder / f'{i + 1:08d}{suffixes[0]}'), rgb)
            cv2.imwrite(str(folder / x_folder / f'{i + 1:08d}{suffixes[1]}'), x)
        np.savetxt(folder / truth, boxes, fmt='%g', delimiter=',')
        if benchmark == 'lasher':
            np.savetxt(folder / 'infrared.txt', boxes, fmt='%g', delimiter=',')
        if labels is not None:
            (folder / 'absent_label.txt').write_text('\n'.join(labels) + '\n')
        return folder

    return write


@pytest.fixture
def moving_boxes() -> np.ndarray:
    """24 boxes of 14x12 px that wander."""
    steps = np.arange(24)
    return np.stack([5 + steps, 8 + steps // 2, np.full(24, 14), np.full(24, 12)], axis=1).astype(float)
