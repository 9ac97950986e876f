"""The box losses of one path: GIoU and L1 of the decoded box, focal loss of the score map.

As in OSTrack and SDSTrack (CVPR 2024, section 3.4). Everything is batched torch without a
look at any value from the host, so that a training step never waits for the device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..model.network import TrackerOutput, decode

HEATMAP_OVERLAP = 0.7  # a corner moved by the radius keeps at least this IoU (CornerNet)
FOCAL_ALPHA, FOCAL_BETA = 2, 4
GIOU_WEIGHT, L1_WEIGHT, FOCAL_WEIGHT = 2.0, 5.0, 1.0
CELLS = ('peak', 'centre')


class BoxTerms(NamedTuple):
    """Terms of one path, scalar tensors, means over the samples; `iou` is for the log only."""

    giou: Tensor
    l1: Tensor
    focal: Tensor
    iou: Tensor

    @property
    def total(self) -> Tensor:
        """2 GIoU + 5 L1 + focal."""
        return GIOU_WEIGHT * self.giou + L1_WEIGHT * self.l1 + FOCAL_WEIGHT * self.focal


def xywh_to_xyxy(boxes: Tensor) -> Tensor:
    """(...,4) top left and size -> two corners."""
    return torch.cat((boxes[..., :2], boxes[..., :2] + boxes[..., 2:]), dim=-1)


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """(...,4) centre and size -> two corners."""
    half = 0.5 * boxes[..., 2:]
    return torch.cat((boxes[..., :2] - half, boxes[..., :2] + half), dim=-1)


def generalized_iou(predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """GIoU and IoU, each (N,), of corner boxes (N,4); the predicted ones must have some area."""
    low, high = torch.maximum(predicted[:, :2], truth[:, :2]), torch.minimum(predicted[:, 2:], truth[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas = (predicted[:, 2:] - predicted[:, :2]).prod(dim=1) + (truth[:, 2:] - truth[:, :2]).prod(dim=1)
    union = areas - shared
    low, high = torch.minimum(predicted[:, :2], truth[:, :2]), torch.maximum(predicted[:, 2:], truth[:, 2:])
    hull = (high - low).clamp(min=0).prod(dim=1)
    iou = shared / union
    return iou - (hull - union) / hull, iou


def gaussian_radius(width: Tensor, height: Tensor, overlap: float = HEATMAP_OVERLAP) -> Tensor:
    """Radius (N,) in cells within which the peak may move, for boxes of (N,) cells.

    This is CornerNet's first formula, which halves all three roots; every published tracker of
    this family was trained with it, although the roots of the last two should be divided by 2a.
    """
    total, area = height + width, width * height
    first = (total + torch.sqrt(total**2 - 4 * area * (1 - overlap) / (1 + overlap))) / 2
    second = (2 * total + torch.sqrt((2 * total) ** 2 - 16 * (1 - overlap) * area)) / 2
    b = -2 * overlap * total
    third = (b + torch.sqrt(b**2 - 16 * overlap * (overlap - 1) * area)) / 2
    return torch.minimum(torch.minimum(first, second), third)


def gaussian_heatmap(boxes: Tensor, grid: int) -> Tensor:
    """The wanted score map (B,grid,grid) of boxes (B,4), xywh normalised to the search crop.

    A Gaussian of peak 1 at the rounded centre, cut off outside its radius; a centre outside the
    grid leaves only what of it reaches in.
    """
    cells = boxes * grid
    center = (cells[:, :2] + cells[:, 2:] / 2).round()
    radius = gaussian_radius(cells[:, 2], cells[:, 3]).clamp(min=0).trunc()[:, None, None]
    ticks = torch.arange(grid, device=boxes.device, dtype=boxes.dtype)
    dx = ticks[None, None, :] - center[:, 0, None, None]
    dy = ticks[None, :, None] - center[:, 1, None, None]
    sigma = (2 * radius + 1) / 6
    heat = torch.exp(-(dx**2 + dy**2) / (2 * sigma**2))
    return heat * ((dx.abs() <= radius) & (dy.abs() <= radius))


def focal_loss(score: Tensor, heat: Tensor) -> Tensor:
    """Focal loss of score maps (B,g,g) in (0,1) against heat maps, per positive cell (CenterNet)."""
    positive = heat.eq(1).to(score.dtype)
    score = score.clamp(min=1e-12)
    hit = torch.log(score) * (1 - score) ** FOCAL_ALPHA * positive
    miss = torch.log(1 - score) * score**FOCAL_ALPHA * (1 - heat) ** FOCAL_BETA * (1 - positive)
    return -(hit.sum() + miss.sum()) / positive.sum().clamp(min=1)


def box_loss(
    output: TrackerOutput, boxes: Tensor, present: Tensor | None = None, cells: str = 'peak'
) -> BoxTerms:
    """Loss terms of a network's output against the true boxes (B,4), xywh normalised to the search crop.

    cells, whose boxes learn. 'peak', as published: the one where the predicted score is highest, so the size
    and offset maps learn where they will be read. 'centre': those in and about the true centre, so that a
    peak on the wrong thing teaches nothing wrong, which counts while peaks are often wrong. Where a target is
    not `present` (B,), the score has to be low everywhere and no box is asked for. Computed in float32 under
    autocast too.
    """
    score, size, offset = output.score_map.float(), output.size_map.float(), output.offset_map.float()
    seen = torch.ones_like(boxes[:, 0]) if present is None else present.to(boxes.dtype)
    boxes = torch.where(seen[:, None] > 0, boxes, 0.25)
    heat = gaussian_heatmap(boxes, score.shape[-1]) * seen[:, None, None]
    truth = xywh_to_xyxy(boxes).clamp(0, 1)
    peak = cxcywh_to_xyxy(decode(score, size, offset)[0].flatten(0, 1))
    giou, iou = generalized_iou(peak, truth)
    predicted, wanted, weight = peak, truth, seen
    if cells == 'centre':
        every = cxcywh_to_xyxy(boxes_of_cells(size, offset))
        predicted, wanted = every.flatten(0, 2), truth[:, None, None].expand_as(every).flatten(0, 2)
        weight = (_about_centre(boxes, score.shape[-1]) * seen[:, None, None]).flatten()
        giou, _ = generalized_iou(predicted, wanted)
    share = weight / weight.sum().clamp(min=1)
    return BoxTerms(
        giou=((1 - giou) * share).sum(),
        l1=((predicted - wanted).abs().mean(dim=1) * share).sum(),
        focal=focal_loss(score.squeeze(1), heat),
        iou=(iou.detach() * seen).sum() / seen.sum().clamp(min=1),
    )


def boxes_of_cells(size: Tensor, offset: Tensor) -> Tensor:
    """The box that each cell stands for, (B,g,g,4) cx,cy,w,h in search crops, from maps (B,2,g,g)."""
    grid = size.shape[-1]
    ticks = torch.arange(grid, device=size.device, dtype=size.dtype)
    cx, cy = (ticks + offset[:, 0]) / grid, (ticks[:, None] + offset[:, 1]) / grid
    return torch.stack((cx, cy, size[:, 0], size[:, 1]), dim=-1)


def _about_centre(boxes: Tensor, grid: int) -> Tensor:
    """(B,g,g): 1 in the cell of the centre, 1/2 beside it, 1/4 across its corners, 0 elsewhere."""
    center = ((boxes[:, :2] + boxes[:, 2:] / 2) * grid).round()
    ticks = torch.arange(grid, device=boxes.device, dtype=boxes.dtype)
    dx = (ticks - center[:, 0, None]).abs()[:, None, :]
    dy = (ticks - center[:, 1, None]).abs()[:, :, None]
    return 0.5 ** (dx + dy) * ((dx <= 1) & (dy <= 1))
