"""A short ring of past observations: where a target given by a stamped box starts, and what it catches up."""

from __future__ import annotations

from collections import deque

from ..types import Observation

_SECOND = 1_000_000_000


class History:
    """Observations of the last `length_s` seconds by their stamps, in order. Pure; not thread-safe."""

    def __init__(self, length_s: float, tolerance_s: float) -> None:
        self._length_ns = round(length_s * _SECOND)
        self._tolerance_ns = round(tolerance_s * _SECOND)
        self._ring: deque[Observation] = deque()

    def add(self, observation: Observation) -> None:
        """A stamp older than the newest one (the clock jumped back) starts the ring anew."""
        stamp = observation.lead.stamp_ns
        if self._ring and stamp < self._ring[-1].lead.stamp_ns:
            self._ring.clear()
        self._ring.append(observation)
        while stamp - self._ring[0].lead.stamp_ns > self._length_ns:
            self._ring.popleft()

    @property
    def newest(self) -> Observation | None:
        return self._ring[-1] if self._ring else None

    @property
    def oldest(self) -> Observation | None:
        return self._ring[0] if self._ring else None

    def at(self, stamp_ns: int) -> Observation | None:
        """The observation nearest to the stamp, None where none lies within the tolerance."""
        nearest = min(self._ring, key=lambda o: abs(o.lead.stamp_ns - stamp_ns), default=None)
        if nearest is None or abs(nearest.lead.stamp_ns - stamp_ns) > self._tolerance_ns:
            return None
        return nearest

    def covers(self, stamp_ns: int) -> bool:
        """Whether a frame of this stamp would still be among those kept."""
        newest = self.newest
        return newest is not None and newest.lead.stamp_ns - stamp_ns <= self._length_ns

    def after(self, stamp_ns: int, at_most: int) -> list[Observation]:
        """Observations newer than the stamp, evenly thinned to `at_most`; the newest is always among them."""
        newer = [o for o in self._ring if o.lead.stamp_ns > stamp_ns]
        count = min(len(newer), at_most)
        return [newer[(i + 1) * len(newer) // count - 1] for i in range(count)]

    def clear(self) -> None:
        self._ring.clear()
