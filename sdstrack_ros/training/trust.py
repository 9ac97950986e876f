"""What a set of weights can be trusted with, measured where the truth is known."""

from __future__ import annotations

import torch

from ..errors import TrainingError
from ..model.network import SDSTrack
from ..model.precision import PRECISIONS, at_precision
from ..simulation.pairs import PairSource
from ..simulation.sequence import SimulatedSequence, render_sequence
from ..tracking.tracker import Tracker
from ..types import Box, Modality

SAME_BOXES = 0.98  # least mean IoU with the boxes of float32


@torch.no_grad()
def score_limits(
    model: SDSTrack, source: PairSource, batches: int = 8, batch: int = 32
) -> tuple[float, float]:
    """Scores below which an answer is uncertain, and lost, from pairs some of which lack the target.

    lost: nine in ten of the crops without the target lie below it. uncertain: half way from there to the
    middle of those with the target, since a good box should seldom be doubted.
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
    return 0.5 * (lost + middle), lost


def trusted_precisions(
    model: SDSTrack, modality: Modality, seeds: tuple[int, ...] = (0, 1), frames: int = 60
) -> tuple[str, ...]:
    """The precisions of fewer bits whose boxes, tracking freely, are those of float32 on rendered videos."""
    shares: dict[str, list[float]] = {}
    for seed in seeds:
        sequence = render_sequence(modality, frames=frames, width=320, height=240, seed=seed)
        exact = _boxes(model, sequence)
        for precision in PRECISIONS[1:]:
            boxes = _boxes(at_precision(model, precision)[0], sequence)
            shares.setdefault(precision, []).extend(a.iou(b) for a, b in zip(exact, boxes, strict=True))
    return tuple(name for name, values in shares.items() if sum(values) / len(values) >= SAME_BOXES)


def _boxes(model: SDSTrack, sequence: SimulatedSequence) -> list[Box]:
    tracker = Tracker(model, sequence.modality)
    tracker.init(sequence.rgb[0], sequence.x[0], Box.of(sequence.boxes[0]))
    return [tracker.track(rgb, x).box for rgb, x in zip(sequence.rgb[1:], sequence.x[1:], strict=True)]
