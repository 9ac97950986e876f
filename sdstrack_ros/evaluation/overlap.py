"""Per-frame comparisons of two lists of boxes, vectorised.

Boxes are float arrays (T,4) of x, y, w, h in pixels; a row with a NaN, or without area, is 'no box'.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def has_box(boxes: npt.NDArray[Any]) -> BoolArray:
    """(T,) true where the row is a finite box with area."""
    finite = np.isfinite(boxes).all(axis=1)
    with np.errstate(invalid='ignore'):
        return np.asarray(finite & (boxes[:, 2] > 0) & (boxes[:, 3] > 0))


def ious(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> FloatArray:
    """(T,) intersection over union; 0 where either row is no box."""
    known = has_box(first) & has_box(second)
    a, b = np.where(known[:, None], first, 0.0), np.where(known[:, None], second, 0.0)
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=1)
    union = np.prod(a[:, 2:], axis=1) + np.prod(b[:, 2:], axis=1) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros(len(a)), where=known), dtype=np.float64)


def clipped(boxes: npt.NDArray[Any], width: float, height: float) -> FloatArray:
    """The part of each box inside the image; what lies outside becomes an empty box."""
    low = np.clip(boxes[:, :2], 0.0, (width, height))
    high = np.clip(boxes[:, :2] + boxes[:, 2:], 0.0, (width, height))
    return np.concatenate([low, high - low], axis=1)


def center_errors(boxes: npt.NDArray[Any], truth: npt.NDArray[Any]) -> FloatArray:
    """(T,) distance of the centres, px; infinite where either row has a NaN."""
    apart = _centers(boxes) - _centers(truth)
    return np.nan_to_num(np.hypot(apart[:, 0], apart[:, 1]), nan=np.inf)


def normalized_errors(boxes: npt.NDArray[Any], truth: npt.NDArray[Any]) -> FloatArray:
    """(T,) distance of the centres with x and y in units of the true box's width and height.

    Infinite where the prediction has a NaN or the truth is no box. Source: Mueller et al., TrackingNet.
    """
    known = has_box(truth)[:, None]
    apart = _centers(boxes) - _centers(truth)
    scaled = np.divide(apart, truth[:, 2:], out=np.full_like(apart, np.nan), where=known)
    return np.nan_to_num(np.hypot(scaled[:, 0], scaled[:, 1]), nan=np.inf)


def _centers(boxes: npt.NDArray[Any]) -> FloatArray:
    return np.asarray(boxes[:, :2] + 0.5 * boxes[:, 2:], dtype=np.float64)
