"""Output rate and latency percentiles over the last answers."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import numpy as np

_SECOND = 1_000_000_000
_PLAUSIBLE_NS = 60 * _SECOND  # a stamp further away than this is of another clock


class OutputReport(NamedTuple):
    """rate: Hz. p50, p95: from stamp to publish, s; NaN where there were none or the stamps tell nothing."""

    rate: float
    p50: float
    p95: float


class OutputStatistics:
    """Call `on_output` with every answer; reports what the last `window_s` seconds held."""

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_ns = round(window_s * _SECOND)
        self._outputs: deque[tuple[int, int]] = deque(maxlen=2000)  # published, latency

    def on_output(self, stamp_ns: int, now_ns: int) -> None:
        self._outputs.append((now_ns, now_ns - stamp_ns))

    def report(self, now_ns: int) -> OutputReport:
        recent = [each for each in list(self._outputs) if 0 <= now_ns - each[0] <= self._window_ns]
        if not recent:
            return OutputReport(0.0, math.nan, math.nan)
        span = now_ns - recent[0][0]
        rate = len(recent) * _SECOND / span if span > 0 else 0.0
        latencies = [each[1] for each in recent if abs(each[1]) < _PLAUSIBLE_NS]
        if not latencies:
            return OutputReport(rate, math.nan, math.nan)
        p50, p95 = np.percentile(latencies, (50, 95)) / _SECOND
        return OutputReport(rate, float(p50), float(p95))

    def clear(self) -> None:
        self._outputs.clear()
