"""How a tracker bears a failing sensor: retention, recovery, false confidence, answers, latency.

Pure functions of per-frame arrays; definitions in each docstring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..types import TargetState
from .overlap import BoolArray, FloatArray, has_box

RECOVERED_IOU = 0.5
FALSE_IOU = 0.1


@dataclass(frozen=True)
class Latency:
    """Percentiles of a time, s."""

    p50: float
    p95: float
    p99: float


def latency(seconds: FloatArray) -> Latency | None:
    """Percentiles over the finite entries; None where there are none."""
    known = seconds[np.isfinite(seconds)]
    if not len(known):
        return None
    return Latency(*(float(v) for v in np.percentile(known, (50, 95, 99))))


def retention(degraded: float, complete: float) -> float:
    """The metric with failing sensors over the metric with complete ones; NaN if the latter is 0."""
    return degraded / complete if complete > 0 else float('nan')


def false_confident_rate(iou: FloatArray, states: npt.NDArray[np.int_], judged: BoolArray) -> float:
    """Share of judged frames that say TRACKING with an IoU under 0.1 (an absent target has IoU 0)."""
    if not judged.any():
        return float('nan')
    wrong = (states == TargetState.TRACKING) & (iou < FALSE_IOU) & judged
    return float(wrong.sum() / judged.sum())


def answer_rate(boxes: FloatArray, fresh: BoolArray) -> float:
    """Share of camera frames answered by a box computed from that frame (not skipped, held or withdrawn)."""
    return float((has_box(boxes) & fresh).mean()) if len(boxes) else float('nan')


def outages(present: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[first, end) frame ranges with one sensor or both missing; present is (T,2) of RGB, X."""
    missing = np.concatenate([[False], ~present.all(axis=1), [False]]).astype(np.int8)
    edges = np.flatnonzero(np.diff(missing))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def recovery_frames(
    iou: FloatArray, present: npt.NDArray[np.bool_], visible: BoolArray, threshold: float = RECOVERED_IOU
) -> list[int | None]:
    """For each outage that ends within the sequence: visible frames from its end until IoU >= threshold.

    0 = the first complete frame is right; None = not before the next outage or the end. Outages after
    which the target is never visible before the next one are left out: nothing could be judged.
    """
    ranges = outages(present)
    starts = [a for a, _ in ranges[1:]] + [len(iou)]
    found: list[int | None] = []
    for (_, end), limit in zip(ranges, starts, strict=True):
        judged = iou[end:limit][visible[end:limit]]
        if not len(judged):
            continue
        good = np.flatnonzero(judged >= threshold)
        found.append(int(good[0]) if len(good) else None)
    return found
