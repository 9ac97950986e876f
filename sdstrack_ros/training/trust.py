"""What a set of weights can be trusted with, measured where the truth is known."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ..errors import TrainingError
from ..model.network import SDSTrack
from ..model.precision import at_precision, available_precisions
from ..simulation.pairs import PairSource
from ..simulation.sequence import render_sequence
from ..tracking.tracker import Tracker
from ..types import Box, Image, Modality

SAME_BOXES = 0.98  # least mean IoU with the boxes of float32 in the same search regions
LOST_ACCURACY = 0.01  # most mean IoU with the truth that fewer bits may cost, tracking freely


@torch.no_grad()
def score_limits(
    model: SDSTrack, source: PairSource, batches: int = 8, batch: int = 32
) -> tuple[float, float]:
    """Scores below which an answer is uncertain, and lost, from pairs some of which lack the target.

    lost: nine in ten of the crops without the target lie below it. uncertain: a quarter of the way from
    there to the middle of those with the target: a good box should seldom be doubted, and a fall below what a
    target usually has is noticed without these limits.
    """
    model.eval()
    scores, present = [], []
    for _ in range(batches):
        pair = source.draw(batch)
        scores.append(model(pair.template, pair.search).score_map.flatten(1).amax(1))
        present.append(pair.present)
    score, there = torch.cat(scores), torch.cat(present)
    if there.all() or not there.any():
        raise TrainingError('calibration needs crops with the target and crops without it')
    middle = float(score[there].median())
    lost = min(float(score[~there].quantile(0.9)), middle)
    return lost + 0.25 * (middle - lost), lost


class Video(NamedTuple):
    """frames: RGB and raw X of each moment. truth (T,4): x,y,w,h px, nan where the target is not visible."""

    modality: Modality
    frames: list[tuple[Image, Image]]
    truth: npt.NDArray[np.float64]


def trusted_precisions(
    model: SDSTrack, modality: Modality, seeds: Sequence[int] = range(8), frames: int = 60
) -> tuple[str, ...]:
    """The precisions of fewer bits that change neither boxes nor accuracy, on rendered videos.

    On several, because rounding alone sends a tracker other ways: the accuracy on one video changes by .02.
    Judged on the CPU, wherever `model` is: it has the most of them. What this machine lacks is not trusted.
    """
    model = copy.deepcopy(model).cpu()
    videos = []
    for seed in seeds:
        rendered = render_sequence(modality, frames=frames, width=320, height=240, seed=seed)
        videos.append(Video(modality, list(zip(rendered.rgb, rendered.x, strict=True)), rendered.boxes))
    exact = sum(accuracy(model, video) for video in videos)
    trusted = []
    for precision in available_precisions(torch.device('cpu'))[1:]:
        reduced, _ = at_precision(model, precision)
        same = sum(agreement(model, reduced, video) for video in videos)
        lost = exact - sum(accuracy(reduced, video) for video in videos)
        if same >= SAME_BOXES * len(videos) and lost <= LOST_ACCURACY * len(videos):
            trusted.append(precision)
    return tuple(trusted)


def agreement(one: SDSTrack, other: SDSTrack, video: Video) -> float:
    """Mean IoU of the boxes of two networks that look at the same regions: around the last true box.

    Tracking freely they would not: a difference of a thousandth moves the next region by a pixel, and from
    there on they see different crops.
    """
    pair = [_started(_uncalibrated(each), video) for each in (one, other)]
    shares = []
    for (rgb, x), around in zip(video.frames[1:], video.truth[:-1], strict=True):
        if np.isfinite(around).all():
            for tracker in pair:
                tracker.box = Box.of(around)
            first, second = (tracker.track(rgb, x).box for tracker in pair)
            shares.append(first.iou(second))
    return sum(shares) / len(shares)


def accuracy(model: SDSTrack, video: Video) -> float:
    """Mean IoU with the truth, tracking freely from the first box."""
    tracker, shares = _started(model, video), []
    for (rgb, x), true in zip(video.frames[1:], video.truth[1:], strict=True):
        box = tracker.track(rgb, x).box
        if np.isfinite(true).all():
            shares.append(box.iou(Box.of(true)))
    return sum(shares) / len(shares)


def _started(model: SDSTrack, video: Video) -> Tracker:
    tracker = Tracker(model, video.modality)
    tracker.init(*video.frames[0], Box.of(video.truth[0]))
    return tracker


def _uncalibrated(model: SDSTrack) -> SDSTrack:
    """The same weights in a tracker that takes the network's box as it is."""
    plain = copy.copy(model)
    plain.config = dataclasses.replace(model.config, calibration=None)
    return plain
