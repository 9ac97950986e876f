"""Times of variants that take turns, so that a noisy machine disturbs all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Variant = TypeVar('Variant', bound=Hashable)

LEAST_ROUNDS = 5
_WARM_UP = 2  # calls of each variant before any is timed


@dataclass(frozen=True)
class Times:
    """Of `runs` calls, ms. best: the quickest one, which other programs disturbed least."""

    p50: float
    p95: float
    p99: float
    best: float
    runs: int

    @classmethod
    def of(cls, seconds: list[float]) -> Times:
        milliseconds = np.array(seconds) * 1e3
        p50, p95, p99 = (float(each) for each in np.percentile(milliseconds, (50, 95, 99)))
        return cls(p50, p95, p99, float(milliseconds.min()), len(seconds))


def take_turns(
    variants: Mapping[Variant, Callable[[], object]],
    seconds: float,
    finish: Callable[[], object] = lambda: None,
) -> dict[Variant, Times]:
    """Call every variant in turn until `seconds` are over, at least 5 times each.

    finish: waits for what a call has left to the device; its time counts.
    """
    for call in variants.values():
        for _ in range(_WARM_UP):
            call()
        finish()
    taken: dict[Variant, list[float]] = {name: [] for name in variants}
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < LEAST_ROUNDS or time.perf_counter() < end:
        for name, call in variants.items():
            begun = time.perf_counter()
            call()
            finish()
            taken[name].append(time.perf_counter() - begun)
        rounds += 1
    return {name: Times.of(values) for name, values in taken.items()}
