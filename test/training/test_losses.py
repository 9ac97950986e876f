"""Losses of one path against the published code and against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sdstrack_ros.model.network import TrackerOutput
from sdstrack_ros.training.losses import box_loss, focal_loss, gaussian_heatmap, generalized_iou


def output_of(score: torch.Tensor, size: torch.Tensor, offset: torch.Tensor) -> TrackerOutput:
    return TrackerOutput(score, size, offset, torch.empty(0), (), ())


def test_heat_maps_are_the_published_ones(golden):
    data = golden('training')
    for boxes, heat in (
        (data['search_anno'][0], data['heatmap']),
        (data['heatmap_edge_in'][0], data['heatmap_edge']),
    ):
        np.testing.assert_array_equal(gaussian_heatmap(torch.from_numpy(boxes), 16).numpy(), heat)


def test_giou_of_known_boxes():
    truth = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(3, 4)
    predicted = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.5, 0.0, 1.0, 1.0], [2.0, 0.0, 3.0, 1.0]])
    giou, iou = generalized_iou(predicted, truth)
    torch.testing.assert_close(iou, torch.tensor([1.0, 0.5, 0.0]))
    torch.testing.assert_close(giou, torch.tensor([1.0, 0.5, -1 / 3]))  # the hull is 3, a third of it empty


def test_focal_loss_is_per_positive_cell_and_finite_without_any():
    heat = torch.zeros(1, 4, 4)
    score = torch.full((1, 4, 4), 0.5)
    nothing = -16 * np.log(0.5) * 0.25
    assert focal_loss(score, heat).item() == pytest.approx(nothing, rel=1e-5)
    heat[0, 1, 1] = heat[0, 2, 2] = 1
    assert focal_loss(score, heat).item() == pytest.approx(nothing / 2, rel=1e-5)


def test_perfect_maps_have_no_box_loss():
    boxes = torch.tensor([[0.25, 0.375, 0.25, 0.25]])  # centre .375, .5 is the corner of cell (3, 4) of 8
    score = torch.full((1, 1, 8, 8), 1e-4)
    score[0, 0, 4, 3] = 1 - 1e-4
    output = output_of(score, torch.full((1, 2, 8, 8), 0.25), torch.zeros(1, 2, 8, 8))
    terms = box_loss(output, boxes)
    assert terms.giou.item() == pytest.approx(0, abs=1e-6)
    assert terms.l1.item() == pytest.approx(0, abs=1e-6)
    assert terms.iou.item() == pytest.approx(1)
    assert terms.total.item() < 1e-2


def test_an_absent_target_asks_for_a_low_score_only():
    torch.manual_seed(0)
    maps = [torch.rand(2, c, 8, 8) * 0.8 + 0.1 for c in (1, 2, 2)]
    for each in maps:
        each.requires_grad_()
    boxes = torch.tensor([[0.2, 0.2, 0.3, 0.3], [torch.nan] * 4])
    terms = box_loss(output_of(*maps), boxes, torch.tensor([True, False]))
    alone = box_loss(output_of(*(each[:1] for each in maps)), boxes[:1])
    for name in ('giou', 'l1', 'iou'):
        torch.testing.assert_close(getattr(terms, name), getattr(alone, name))
    terms.total.backward()
    score, size, offset = (each.grad for each in maps)
    assert (score[1] > 0).all(), 'every score of the absent target should sink'
    assert not size[1].any()
    assert not offset[1].any()


def test_boxes_that_reach_out_of_the_crop_count_as_clamped():
    boxes = torch.tensor([[0.75, 0.25, 0.5, 0.5]])
    score = torch.full((1, 1, 4, 4), 0.1)
    score[0, 0, 2, 3] = 0.9
    size = torch.tensor([0.25, 0.5]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    offset = torch.tensor([0.5, 0.0]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    assert box_loss(output_of(score, size, offset), boxes).l1.item() == pytest.approx(0, abs=1e-6)


def test_boxes_learn_about_the_true_centre_wherever_the_peak_is():
    """The centre .5, .5 of cell (4, 4) of 8; the peak is in a corner."""
    torch.manual_seed(0)
    score, size, offset = (torch.rand(1, c, 8, 8) * 0.5 + 0.1 for c in (1, 2, 2))
    score[0, 0, 0, 0] = 0.9
    size.requires_grad_()
    box = torch.tensor([[0.375, 0.4, 0.25, 0.2]])
    box_loss(output_of(score, size, offset), box, cells='centre').total.backward()
    taught = size.grad.abs().sum(1)[0] > 0
    about = torch.zeros(8, 8, dtype=torch.bool)
    about[3:6, 3:6] = True
    assert torch.equal(taught, about)


def test_the_central_cell_counts_most():
    """Cells whose boxes are perfect but for one: the loss is its share of 1 + 4/2 + 4/4."""
    box = torch.tensor([[0.375, 0.375, 0.25, 0.25]])
    size = torch.full((1, 2, 8, 8), 0.25)
    places = torch.arange(8.0)
    perfect = torch.stack((4 - places.expand(8, 8), 4 - places[:, None].expand(8, 8)))[None]
    score = torch.full((1, 1, 8, 8), 0.1)
    assert box_loss(output_of(score, size, perfect), box, cells='centre').l1.item() == pytest.approx(
        0, abs=1e-6
    )
    for (row, column), share in (((4, 4), 1 / 4), ((4, 5), 1 / 8), ((3, 5), 1 / 16), ((4, 6), 0)):
        wrong = perfect.clone()
        wrong[0, 0, row, column] += 0.8  # a tenth of the crop to the right
        l1 = box_loss(output_of(score, size, wrong), box, cells='centre').l1.item()
        assert l1 == pytest.approx(share * 0.05, abs=1e-6), (row, column)
