"""Minutes of random faults, one after the other, without a pause: does the node leak, die or stay ill?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..simulation.faults import FOR_GOOD, SECOND, faults
from ..types import Modality, Mode
from .faults import FaultBench

GROWTH = 0.05
_SEGMENT_NS = 4 * SECOND  # a second of peace, a fault, and time to recover
_FAULT_AFTER_NS = SECOND
_SETTLED = 0.2  # share of the time in which memory may still grow: caches fill, arenas are made


@dataclass(frozen=True)
class SoakReport:
    """growth: of the resident memory, from when it had settled to the end. recovered: fused at the end."""

    minutes: float
    faults: int
    answers: int
    memory_mb: tuple[float, ...]
    growth: float
    recovered: bool
    alive: bool

    @property
    def broken(self) -> tuple[str, ...]:
        problems = []
        if not self.alive:
            problems.append('the node died')
        if not self.recovered:
            problems.append('full fusion did not come back')
        if self.growth > GROWTH:
            problems.append(f'resident memory grew by {self.growth:.1%}')
        return tuple(problems)


def soak(
    bench: FaultBench, modality: Modality, minutes: float, seed: int, progress: Callable[[float, str], None]
) -> SoakReport:
    """Run it; progress is told the minutes that have passed and the fault that is on."""
    rng = np.random.default_rng(seed)
    begun = time.time_ns()
    end_ns = begun + round(minutes * 60 * SECOND)
    bench.station.set_target(bench.cameras.box(0))
    first, at_ns, answers, count = 0, begun + SECOND // 2, 0, 0
    memory: list[float] = []
    while at_ns < end_ns:
        passing = [
            fault
            for fault in faults(modality, at_ns + _FAULT_AFTER_NS, bench.cameras.period_ns).values()
            if at_ns < fault.start_ns and fault.end_ns - at_ns < _SEGMENT_NS < FOR_GOOD
        ]
        fault = passing[int(rng.integers(len(passing)))]
        progress((at_ns - begun) / SECOND / 60, fault.name)
        bench.play(fault, at_ns, at_ns + _SEGMENT_NS, first)
        first += -(-_SEGMENT_NS // bench.cameras.period_ns)
        at_ns = max(at_ns + _SEGMENT_NS, time.time_ns())
        count += 1
        answers += len(bench.recorder.boxes)
        last = bench.recorder.boxes[-1:]
        bench.recorder.forget()
        bench.player.sent.clear()
        memory.append(bench.process.resident_bytes / 2**20)
    settled = memory[round(_SETTLED * len(memory)) :]
    tenth = max(1, len(settled) // 10)
    before, after = float(np.median(settled[:tenth])), float(np.median(settled[-tenth:]))
    return SoakReport(
        minutes=(time.time_ns() - begun) / SECOND / 60,
        faults=count,
        answers=answers,
        memory_mb=tuple(round(each, 1) for each in memory),
        growth=after / before - 1 if before else 0.0,
        recovered=bool(last) and last[0].message.mode == int(Mode.FUSED),
        alive=bench.process.alive,
    )
