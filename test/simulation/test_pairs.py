"""Training pairs: the box is where the target was painted, in every modality; seeds rule."""

from dataclasses import replace

import pytest
import torch

from sdstrack_ros.simulation.library import procedural_library
from sdstrack_ros.simulation.pairs import PairSettings, PairSource
from sdstrack_ros.simulation.render import render, view_points
from sdstrack_ros.simulation.scene import random_pair
from sdstrack_ros.simulation.sensors import Draw
from sdstrack_ros.types import Modality

SMALL = PairSettings(template_size=32, search_size=64)


@pytest.fixture(scope='module')
def library():
    return procedural_library(1, plates=3, sprites=6)


@pytest.mark.parametrize('modality', [None, *Modality])
def test_shapes_ranges_and_seed(library, modality) -> None:
    first, same, other = (PairSource(library, modality, SMALL, seed).draw(6) for seed in (3, 3, 4))
    assert first.template.shape == (6, 6, 32, 32)
    assert first.search.shape == (6, 6, 64, 64)
    assert first.box.shape == (6, 4)
    assert first.present.dtype == torch.bool
    for one, two in zip(first, same, strict=True):
        assert torch.equal(one, two)
    assert not torch.equal(first.search, other.search)
    assert torch.isfinite(first.search).all()
    assert first.search.abs().max() < 3
    if modality is not None:
        assert first.search[:, 3:].std() > 0


def test_the_box_bounds_what_the_target_changes(library) -> None:
    """Render with and without the target: only the inside of its box may differ, and it reaches its sides."""
    pair = random_pair(library, Draw(torch.Generator().manual_seed(0), 8), distractors=0, occluders=0)
    scene, box = pair.scenes[1], pair.boxes[1]
    without = replace(scene, layers=(replace(scene.layers[0], heat_opacity=torch.zeros(8)),))
    center, half = 0.5 * (box[:, :2] + box[:, 2:]), (box[:, 2:] - box[:, :2])
    points = view_points(center, half, (128, 128))
    changed = (render(library, scene, points).depth != render(library, without, points).depth)[:, 0]
    for i in range(8):
        rows, columns = torch.nonzero(changed[i].any(1))[:, 0], torch.nonzero(changed[i].any(0))[:, 0]
        ends = torch.tensor([columns[0], rows[0], columns[-1], rows[-1]]) / 128
        assert torch.allclose(ends, torch.tensor([0.25, 0.25, 0.75, 0.75]), atol=0.05), i


def test_absent_targets_are_outside_the_crop(library) -> None:
    source = PairSource(library, None, replace(SMALL, absent=1.0), 0)
    pair = source.draw(32)
    assert not pair.present.any()
    center = pair.box[:, :2] + 0.5 * pair.box[:, 2:]
    assert ((center < 0) | (center > 1)).any(1).all()


def test_present_targets_have_their_centre_in_the_crop(library) -> None:
    pair = PairSource(library, None, replace(SMALL, absent=0.0), 0).draw(64)
    center = pair.box[:, :2] + 0.5 * pair.box[:, 2:]
    assert ((center > 0) & (center < 1)).all(1)[pair.present].all()
    assert pair.present.float().mean() > 0.8


def test_strange_colours_replace_the_picture_of_a_share(library) -> None:
    plain = PairSource(library, None, SMALL, 0).draw(9)
    strange = PairSource(library, None, replace(SMALL, strange_colours=0.34), 0).draw(9)
    assert plain.search.shape == strange.search.shape
    heat = strange.search[7, :3] * torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    heat += torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    assert torch.allclose(heat[0], heat[1], atol=1e-4), 'heat is grey'
