"""Precision, recall and F-score of DepthTrack and the VOT long-term challenges.

Source: Lukezic et al., 'Now you see me', as in vot-toolkit (analysis/longterm.py): thresholds are taken from
the confidences of all sequences together, so the calibration of the score matters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DatasetError
from .overlap import FloatArray, clipped, has_box, ious

RESOLUTION = 100


@dataclass(frozen=True, eq=False)
class ConfidentTrack:
    """One sequence: boxes and truth (T,4), truth NaN = absent; confidence (T,); image width, height px."""

    name: str
    boxes: FloatArray
    confidence: FloatArray
    truth: FloatArray
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class LongTermScore:
    """Precision, recall and F at the threshold with the largest F, and the whole curves."""

    precision: float
    recall: float
    f_score: float
    threshold: float
    precision_curve: FloatArray
    recall_curve: FloatArray


def confidence_thresholds(confidences: FloatArray, resolution: int = RESOLUTION) -> FloatArray:
    """(`resolution`,) thresholds, descending: infinity, evenly spaced ranks of the scores, -infinity."""
    ranked = np.sort(confidences[~np.isnan(confidences)])[::-1]
    inner = resolution - 2
    if len(ranked) > inner:
        step = len(ranked) // inner
        ranked = ranked[np.round(np.linspace(step, len(ranked) - step, inner)).astype(int)]
    return np.concatenate([[math.inf], ranked, [-math.inf]])


def long_term_score(tracks: Sequence[ConfidentTrack]) -> LongTermScore:
    """Pr, Re and F over sequences, each with the same weight.

    Overlaps are bounded to the image and 0 on absent frames. At a threshold that no frame passes,
    precision is 1 and recall 0.
    """
    for track in tracks:
        if not has_box(track.truth).any():
            raise DatasetError(f'{track.name}: the target is visible in no frame, recall is undefined')
    thresholds = confidence_thresholds(np.concatenate([t.confidence for t in tracks]))
    curves = np.array([_curves(track, thresholds) for track in tracks])
    precision, recall = curves.mean(axis=0)
    both = precision + recall
    f_score = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)
    best = int(f_score.argmax())
    return LongTermScore(
        precision=float(precision[best]),
        recall=float(recall[best]),
        f_score=float(f_score[best]),
        threshold=float(thresholds[best]),
        precision_curve=precision,
        recall_curve=recall,
    )


def _curves(track: ConfidentTrack, thresholds: FloatArray) -> FloatArray:
    """(2,N) precision and recall of one sequence."""
    visible = has_box(track.truth)
    overlap = ious(clipped(track.boxes, *track.size), clipped(track.truth, *track.size)) * visible
    passed = track.confidence[None] >= thresholds[:, None]
    count, total = passed.sum(axis=1), (passed * overlap[None]).sum(axis=1)
    precision = np.divide(total, count, out=np.ones(len(thresholds)), where=count > 0)
    return np.array([precision, total / visible.sum()])
