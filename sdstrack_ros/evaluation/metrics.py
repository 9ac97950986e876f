"""Accuracy of one sequence, as every tracking paper since OTB reports it.

Arrays are over frames; the first frame, which is given to the tracker, is the caller's to leave out or in.
Only frames whose target is visible and annotated count, the answer 'no box' there counts as a miss.
Benchmarks that count otherwise have their own rules in protocols.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .overlap import FloatArray, center_errors, has_box, ious, normalized_errors

SUCCESS_THRESHOLDS = np.linspace(0.0, 1.0, 21)
PRECISION_THRESHOLDS = np.arange(51.0)  # px
NORMALIZED_THRESHOLDS = np.linspace(0.0, 0.5, 51)
PRECISION_AT = 20  # px, the index as well
NORMALIZED_AT = 20  # index of 0.2


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Curves over the thresholds above, and their usual summaries; frames counts the judged frames."""

    frames: int
    mean_iou: float
    success: FloatArray  # (21,) share of frames with IoU > threshold
    precision: FloatArray  # (51,) share of frames with centre error <= threshold px
    normalized: FloatArray  # (51,)

    @property
    def success_auc(self) -> float:
        """Area under the success plot as the mean over its 21 thresholds (Wu et al., OTB-2015)."""
        return float(self.success.mean())

    @property
    def precision_20(self) -> float:
        """Share of frames whose centre is within 20 px (Wu et al., OTB-2013)."""
        return float(self.precision[PRECISION_AT])

    @property
    def normalized_precision(self) -> float:
        """Share of frames whose centre is within 0.2 true box sizes (LaSOT and LasHeR toolkits)."""
        return float(self.normalized[NORMALIZED_AT])


def accuracy(boxes: FloatArray, truth: FloatArray) -> Accuracy | None:
    """Accuracy of boxes (T,4) against truth (T,4), NaN = not visible; None without a visible frame."""
    seen = has_box(truth)
    if not seen.any():
        return None
    answer, target = boxes[seen], truth[seen]
    overlap = ious(answer, target)
    return Accuracy(
        frames=int(seen.sum()),
        mean_iou=float(overlap.mean()),
        success=share_above(overlap, SUCCESS_THRESHOLDS),
        precision=share_within(center_errors(answer, target), PRECISION_THRESHOLDS),
        normalized=share_within(normalized_errors(answer, target), NORMALIZED_THRESHOLDS),
    )


def share_above(values: FloatArray, thresholds: FloatArray, total: int | None = None) -> FloatArray:
    """For each threshold the share of values above it; `total` replaces the number of values."""
    return np.asarray((values[None] > thresholds[:, None]).sum(axis=1) / (total or len(values)))


def share_within(values: FloatArray, thresholds: FloatArray, total: int | None = None) -> FloatArray:
    """For each threshold the share of values at or below it; `total` replaces the number of values."""
    return np.asarray((values[None] <= thresholds[:, None]).sum(axis=1) / (total or len(values)))


def averaged(parts: list[Accuracy]) -> Accuracy | None:
    """The mean over sequences, each with the same weight; None of no sequences."""
    if not parts:
        return None
    return Accuracy(
        frames=sum(p.frames for p in parts),
        mean_iou=float(np.mean([p.mean_iou for p in parts])),
        success=np.mean([p.success for p in parts], axis=0),
        precision=np.mean([p.precision for p in parts], axis=0),
        normalized=np.mean([p.normalized for p in parts], axis=0),
    )
