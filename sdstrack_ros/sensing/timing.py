"""When the frames of a stream come: its period, whether it keeps it, and which stamp that foretells.

    timing = StreamTiming(tolerance=0.25)
    timing.add(stamp, arrival)         # every frame in order, ns
    due = timing.due(stamp)            # the coming frame nearest to a moment; None: it keeps no period

No clock is read: time is an argument.
"""

from __future__ import annotations

from collections import deque
from statistics import median_low

STEPS = 31
"""So many of the newest steps from frame to frame are looked at."""

LONG_STEP = 3
"""A step of more periods than this is no matter of lost frames: the stream stopped, or comes in bursts."""

STRAY_STEPS = 0.1
"""This share of the steps may fit no period, and the stream is still a steady one."""

LATE_IN_A_ROW = 3
"""So many frames of a stream in a row behind its newest one, in order: its clock was set back a little."""


class StreamTiming:
    """See the module. tolerance: how far the steps of a steady stream may be off, in periods.

    newest: the last stamp in order. period: the usual distance of two stamps, 0 while unknown. spread: how
    far the steps are off the period, save a few. All ns.
    """

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self._steps: deque[int] = deque(maxlen=STEPS)  # from stamp to stamp
        self._delays: deque[int] = deque(maxlen=STEPS)  # from arrival to arrival, less the step of the stamp
        self._late: list[int] = []  # stamps of the last frames, where they were behind
        self.newest: int | None = None
        self.last_arrival: int | None = None
        self.period = self.spread = 0
        self.is_steady = False

    def add(self, stamp: int, arrival: int) -> None:
        """Take in a frame that is newer than all before."""
        if self.newest is not None and self.last_arrival is not None:
            self._steps.append(step := stamp - self.newest)
            self._delays.append(arrival - self.last_arrival - step)
            self._measure()
        self._late.clear()
        self.newest, self.last_arrival = stamp, arrival

    @property
    def delay(self) -> int:
        """How much longer a wait for a frame was of late than the step of its stamp; lost frames add none."""
        return max((0, *self._delays))

    def due(self, near: int) -> int | None:
        """The stamp of the coming frame nearest to this moment; None where the stream is not steady."""
        if not self.is_steady or self.newest is None:
            return None
        return self.newest + max(1, round((near - self.newest) / self.period)) * self.period

    def is_set_back(self, stamp: int, jump: int) -> bool:
        """Whether a stamp that is not newer means another clock, not a late or repeated frame."""
        assert self.newest is not None
        if self._late and stamp <= self._late[-1]:
            self._late.clear()
        if stamp < self.newest:
            self._late.append(stamp)
        return self.newest - stamp > jump or len(self._late) >= LATE_IN_A_ROW

    def _measure(self) -> None:
        # Gaps lengthen a step and frames sent twice shorten it, so that half of all may be of another kind;
        # jitter would make this the least of a period, were it not for the median of them all.
        about = sorted(self._steps)[len(self._steps) // 3]
        periods = [max(1, round(step / about)) for step in self._steps]  # more than one: frames were lost
        self.period = median_low(step // number for step, number in zip(self._steps, periods, strict=True))
        off = [
            abs(step - number * self.period) if number <= LONG_STEP else step
            for step, number in zip(self._steps, periods, strict=True)
        ]
        self.spread = sorted(off)[-1 - int(STRAY_STEPS * len(off))]
        # The newest step has to fit: what is foretold starts there, and a change of period shows there first.
        self.is_steady = max(self.spread, off[-1]) <= self.tolerance * self.period
