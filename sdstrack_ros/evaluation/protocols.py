"""How each RGB-X benchmark counts, quirks included, so that numbers compare with published ones.

Each function takes one sequence: boxes (T,4) and truth (T,4), pixels, and returns a `Tally`; `summarize`
turns the tallies of a benchmark's sequences into its two or three numbers. Row 0 is the given box.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DatasetError
from .metrics import (
    NORMALIZED_AT,
    NORMALIZED_THRESHOLDS,
    PRECISION_AT,
    PRECISION_THRESHOLDS,
    SUCCESS_THRESHOLDS,
    share_above,
    share_within,
)
from .overlap import BoolArray, FloatArray, center_errors, has_box, ious, normalized_errors

GTOT_THRESHOLDS = np.linspace(0.0, 25.0, 51)  # px
GTOT_AT = 10  # index of 5 px


@dataclass(frozen=True, eq=False)
class Tally:
    """Curves of one sequence, as shares of `frames`."""

    frames: int
    success: FloatArray
    precision: FloatArray
    normalized: FloatArray | None = None


def lasher(boxes: FloatArray, truth: FloatArray) -> Tally:
    """LasHeR PR, SR, NPR as the `rgbt` toolkit counts.

    Predictions without size repeat the one before. Frames whose truth has a value <= 0 get error and
    overlap -1: never a success, always within the precision threshold, and in the denominator.
    """
    filled = _repeat_empty(_given_first(boxes, truth))
    void = ~(truth > 0).all(axis=1)
    overlap = np.where(void, -1.0, ious(filled, truth))
    return Tally(
        len(truth),
        share_above(overlap, SUCCESS_THRESHOLDS),
        share_within(np.where(void, -1.0, center_errors(filled, truth)), PRECISION_THRESHOLDS),
        share_within(np.where(void, -1.0, normalized_errors(filled, truth)), NORMALIZED_THRESHOLDS),
    )


def rgbt234(boxes: FloatArray, visible: FloatArray, infrared: FloatArray) -> Tally:
    """RGBT234 MPR, MSR: per frame the better of the two truths; no first-frame or absent treatment.

    Source: Li et al., 'RGB-T object tracking: benchmark and baseline', section 4.
    """
    overlap, error = _best_of_two(boxes, visible, infrared)
    return Tally(
        len(boxes),
        share_above(overlap, SUCCESS_THRESHOLDS),
        share_within(error, PRECISION_THRESHOLDS),
    )


def gtot(boxes: FloatArray, visible: FloatArray, infrared: FloatArray) -> Tally:
    """GTOT MPR at 5 px (strictly below) and MSR, as the `rgbt` toolkit counts: frames pooled at the end."""
    overlap, error = _best_of_two(boxes, visible, infrared)
    return Tally(
        len(boxes),
        share_above(overlap, SUCCESS_THRESHOLDS),
        np.asarray((error[None] < GTOT_THRESHOLDS[:, None]).mean(axis=1)),
    )


def visevent(boxes: FloatArray, truth: FloatArray, present: BoolArray) -> Tally:
    """VisEvent PR, SR: absent frames do not count as hits, yet the whole length is the denominator."""
    given = _given_first(boxes, truth)[present]
    target = truth[present]
    return Tally(
        len(truth),
        share_above(ious(given, target), SUCCESS_THRESHOLDS, total=len(truth)),
        share_within(center_errors(given, target), PRECISION_THRESHOLDS, total=len(truth)),
    )


def summarize(benchmark: str, tallies: Sequence[Tally]) -> dict[str, float]:
    """The benchmark's own numbers over its sequences, by their usual names."""
    if not tallies:
        raise DatasetError(f'{benchmark}: no sequence to score')
    if benchmark == 'gtot':
        weights = np.array([t.frames for t in tallies], dtype=np.float64)
        success = np.average([t.success for t in tallies], axis=0, weights=weights)
        precision = np.average([t.precision for t in tallies], axis=0, weights=weights)
        return {
            'MPR': float(precision[GTOT_AT]),
            'MSR': float(0.5 * (success[1:] + success[:-1]).sum() * 0.05),
        }
    success = np.mean([t.success for t in tallies], axis=0)
    precision = np.mean([t.precision for t in tallies], axis=0)
    prefix = 'M' if benchmark == 'rgbt234' else ''
    numbers = {f'{prefix}PR': float(precision[PRECISION_AT]), f'{prefix}SR': float(success.mean())}
    normalized = [t.normalized for t in tallies if t.normalized is not None]
    if normalized:
        numbers['NPR'] = float(np.mean(normalized, axis=0)[NORMALIZED_AT])
    return numbers


def _given_first(boxes: FloatArray, truth: FloatArray) -> FloatArray:
    if len(boxes) < len(truth):
        raise DatasetError(f'{len(boxes)} result rows for {len(truth)} frames')
    return np.concatenate([truth[:1], boxes[1 : len(truth)]])


def _repeat_empty(boxes: FloatArray) -> FloatArray:
    """Rows without size replaced by the last row with one; row 0 always counts as having one."""
    usable = has_box(boxes)
    usable[0] = True
    return np.asarray(boxes[np.maximum.accumulate(np.where(usable, np.arange(len(boxes)), 0))])


def _best_of_two(boxes: FloatArray, first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    if not len(boxes) == len(first) == len(second):
        raise DatasetError(
            f'{len(boxes)} result rows for {len(first)} visible and {len(second)} infrared truth rows'
        )
    overlap = np.maximum(ious(boxes, first), ious(boxes, second))
    return overlap, np.minimum(center_errors(boxes, first), center_errors(boxes, second))


SINGLE_TRUTH: dict[str, Callable[[FloatArray, FloatArray], Tally]] = {'lasher': lasher}
TWO_TRUTHS: dict[str, Callable[[FloatArray, FloatArray, FloatArray], Tally]] = {
    'rgbt234': rgbt234,
    'gtot': gtot,
}
