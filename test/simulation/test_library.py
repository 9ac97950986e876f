"""Textures: the same for the same seed, outlines that hold the whole mask."""

import cv2
import numpy as np
import pytest
import torch

from sdstrack_ros.errors import DatasetError
from sdstrack_ros.simulation.library import outline_of, procedural_library
from sdstrack_ros.simulation.pictures import picture_library


def test_procedural_textures_follow_from_the_seed() -> None:
    one, same, other = (procedural_library(seed, plates=1, sprites=2) for seed in (5, 5, 6))
    assert torch.equal(one.plates, same.plates)
    assert torch.equal(one.sprites, same.sprites)
    assert not torch.equal(one.plates, other.plates)


def test_outline_bounds_the_mask() -> None:
    alpha = torch.zeros(1, 100, 100)
    alpha[0, 20:40, 10:90] = 1.0
    points = outline_of(alpha)[0]
    assert torch.allclose(points.amin(0), torch.tensor([-0.79, -0.59]), atol=1e-4)
    assert torch.allclose(points.amax(0), torch.tensor([0.79, -0.21]), atol=1e-4)


def _picture(path, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 3))


def test_pictures_with_masks_boxes_thermal_and_video(tmp_path) -> None:
    mask = np.zeros((96, 128), np.uint8)
    mask[30:70, 40:90] = 1
    for i in (1, 2):
        _picture(tmp_path / f'walk_0000{i}.jpg', i)
        cv2.imwrite(str(tmp_path / f'walk_0000{i}_mask.png'), mask)
    _picture(tmp_path / 'boxed.jpg', 3)
    (tmp_path / 'boxes.csv').write_text('id,label,x,y,w,h,track\nboxed,car,32,24,64,48,\n')
    _picture(tmp_path / 'pair_rgb.jpg', 4)
    _picture(tmp_path / 'pair_thermal.jpg', 5)

    library = picture_library([tmp_path])

    assert len(library.plates) == len(library.plate_box)
    video = library.plate_clip == library.plate_clip[-1]
    assert int(video.sum()) == 2, 'frames of one video share a clip'
    boxed = library.plate_box[0]
    assert torch.allclose(boxed, torch.tensor([-0.5, -0.5, 0.5, 0.5]))
    assert int(library.plate_thermal.sum()) >= 1
    assert abs(float(library.sprite_aspect[-1]) - 50 / 40) < 1e-6


def test_a_folder_without_pictures_is_named(tmp_path) -> None:
    with pytest.raises(DatasetError, match=str(tmp_path)):
        picture_library([tmp_path])
    with pytest.raises(DatasetError, match='no such folder'):
        picture_library([tmp_path / 'absent'])
