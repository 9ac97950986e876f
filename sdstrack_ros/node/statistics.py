"""Output rate and percentiles of times over the last answers."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np

_SECOND = 1_000_000_000
_PLAUSIBLE_NS = 60 * _SECOND  # a stamp further away than this is of another clock


class Percentiles(NamedTuple):
    """Of a time, s; NaN where nothing is known of it."""

    p50: float = math.nan
    p95: float = math.nan


class OutputReport(NamedTuple):
    """rate: Hz. latency: from stamp to publish. inference: what of it the tracker itself took."""

    rate: float = 0.0
    latency: Percentiles = Percentiles()
    inference: Percentiles = Percentiles()


class _Output(NamedTuple):
    published_ns: int
    latency_ns: int
    inference_ns: int


class OutputStatistics:
    """Call `on_output` with every answer; reports what the last `window_s` seconds held."""

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_ns = round(window_s * _SECOND)
        self._outputs: deque[_Output] = deque(maxlen=2000)

    def on_output(self, stamp_ns: int, now_ns: int, inference_ns: int) -> None:
        """inference_ns: the tracker's own time for this frame."""
        self._outputs.append(_Output(now_ns, now_ns - stamp_ns, inference_ns))

    def report(self, now_ns: int) -> OutputReport:
        recent = [each for each in list(self._outputs) if 0 <= now_ns - each.published_ns <= self._window_ns]
        if not recent:
            return OutputReport()
        span = now_ns - recent[0].published_ns
        latencies = [each.latency_ns for each in recent if abs(each.latency_ns) < _PLAUSIBLE_NS]
        return OutputReport(
            rate=len(recent) * _SECOND / span if span > 0 else 0.0,
            latency=_percentiles(latencies),
            inference=_percentiles([each.inference_ns for each in recent]),
        )

    def clear(self) -> None:
        self._outputs.clear()


def _percentiles(times_ns: list[int]) -> Percentiles:
    if not times_ns:
        return Percentiles()
    p50, p95 = np.percentile(times_ns, (50, 95)) / _SECOND
    return Percentiles(float(p50), float(p95))
