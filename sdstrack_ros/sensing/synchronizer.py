"""Pairs the two streams: RGB leads, X joins it, and neither can hold the other up for long.

    synchronizer = Synchronizer(SynchronizerSettings(slop=0.02, sync_timeout=0.035))
    synchronizer.add_rgb(frame, now_ns)
    for observation in synchronizer.poll(now_ns): ...        # after every frame
    timer = synchronizer.next_deadline_ns                    # and at this time

An RGB frame waits for the X frame nearest in stamp, at most `sync_timeout`, then goes out alone
with the reason. It does not wait where waiting is known to be useless: X is silent (`set_alive`),
X has already passed this stamp, X keeps a slower period in which none falls near it, X's frame was
refused (`reject`), or the last few waits were in vain. It never takes the X frame of the next RGB
frame, however wide the slop. X frames go out alone only while RGB is overdue. No clock is read: time
is an argument.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from ..settings import check, setting
from ..types import Frame, Observation

Stream = Literal['rgb', 'x']

MAX_WAITS_IN_VAIN = 3
"""So many waits for nothing in a row, and RGB waits no more until an X frame comes in time."""

LATE_IN_A_ROW = 3
"""So many frames of a stream in a row behind its newest one, in order: its clock was set back a little."""


STEADY_STEPS = 8
"""So many stamps tell whether a stream keeps its period."""

LONG_GAP = 3
"""After a silence of so many periods, nothing is foretold from the stamps before it."""


@dataclass(frozen=True)
class SynchronizerSettings:
    """Limits of the pairing."""

    slop: float = setting(0.02, 'largest stamp difference of a pair, s', minimum=0.0, maximum=1.0)
    sync_timeout: float = setting(
        0.035, 'longest wait of a frame for its partner, s; about one period', minimum=0.0, maximum=1.0
    )
    rgb_offset: float = setting(0.0, 'added to the RGB stamps for pairing, s', minimum=-10.0, maximum=10.0)
    x_offset: float = setting(0.0, 'added to the X stamps for pairing, s', minimum=-10.0, maximum=10.0)
    clock_jump: float = setting(
        0.5,
        'a stamp this far back is a clock set back (bag loop), not a late frame, s',
        minimum=0.1,
        maximum=60.0,
    )
    queue: int = setting(10, 'frames kept per stream for pairing', minimum=1, maximum=100)

    def __post_init__(self) -> None:
        check(self)


@dataclass
class StreamCounts:
    """Fate of every frame of one stream; all but `received` add up to it, save the frames still queued.

    late: older than a frame of its stream, or than what has gone out. dropped: stamp repeated, no
    partner of its own, or pushed out of a full queue. invalid: stamp zero, or content refused.
    """

    received: int = 0
    matched: int = 0
    alone: int = 0
    late: int = 0
    dropped: int = 0
    invalid: int = 0


@dataclass
class _Entry:
    """A queued frame; `stamp` is corrected by the stream's offset. A refused frame has no `frame`."""

    frame: Frame | None
    stamp: int
    arrival: int
    problem: str = ''
    may_lead: bool = True


@dataclass
class _Queue:
    """One stream: its queue, and what is known of its timing."""

    name: Stream
    offset: int
    entries: deque[_Entry] = field(default_factory=deque)
    counts: StreamCounts = field(default_factory=StreamCounts)
    alive: bool = True
    why_dead: str = ''
    newest: int | None = None
    last_arrival: int | None = None
    refused: bool = False  # the newest one
    late: list[int] = field(default_factory=list)  # stamps of the last frames, where they were behind
    steps: deque[int] = field(default_factory=lambda: deque(maxlen=31))

    @property
    def period(self) -> int:
        """Usual distance of two stamps, ns; 0 while unknown. The lower quartile: gaps only lengthen it."""
        return sorted(self.steps)[len(self.steps) // 4] if self.steps else 0

    def is_steady(self, tolerance: int) -> bool:
        """Whether the stamps of late have all kept the period, or a multiple of it where frames were lost."""
        period = self.period
        return len(self.steps) >= STEADY_STEPS and all(
            abs(step - max(1, round(step / period)) * period) <= tolerance for step in self.steps
        )

    def forget(self) -> None:
        """Clear what the stream's old clock said; the counts stay."""
        self.drop(len(self.entries))
        self.newest = self.last_arrival = None
        self.steps.clear()
        self.late.clear()

    def drop(self, number: int) -> None:
        """Discard the oldest entries."""
        for _ in range(number):
            self.counts.dropped += self.entries.popleft().frame is not None


class Synchronizer:
    """See the module. Not thread-safe: the caller serialises its calls."""

    def __init__(self, settings: SynchronizerSettings | None = None) -> None:
        self.settings = settings = settings or SynchronizerSettings()
        self._slop = round(settings.slop * 1e9)
        self._timeout = round(settings.sync_timeout * 1e9)
        self._jump = round(settings.clock_jump * 1e9)
        self._rgb = _Queue('rgb', round(settings.rgb_offset * 1e9))
        self._x = _Queue('x', round(settings.x_offset * 1e9))
        self._ready: deque[Observation] = deque(maxlen=settings.queue)
        self._last_out: int | None = None
        self._last_lead = self._rgb
        self._alone: deque[_Entry] = deque(maxlen=settings.queue)  # RGB frames that went without X
        self._waits_in_vain = 0
        # How long after its RGB frame the newest X frame came, where that was too long, ns
        self._x_late_by = 0

    def add_rgb(self, frame: Frame, now_ns: int) -> None:
        self._add(self._rgb, _Entry(frame, frame.stamp_ns + self._rgb.offset, now_ns), frame.stamp_ns)

    def add_x(self, frame: Frame, now_ns: int) -> None:
        self._add(self._x, _Entry(frame, frame.stamp_ns + self._x.offset, now_ns), frame.stamp_ns)

    def reject(self, stream: Stream, stamp_ns: int, now_ns: int, problem: str) -> None:
        """Report a frame whose content cannot be used: its partner goes out without it, at once."""
        queue = self._queue(stream)
        queue.counts.invalid += stamp_ns > 0  # _add counts the others
        self._add(queue, _Entry(None, stamp_ns + queue.offset, now_ns, problem), stamp_ns)

    def set_alive(self, stream: Stream, alive: bool, reason: str = '') -> None:
        """Say whether frames of a stream are to be expected; one that is silent is not waited for."""
        queue = self._queue(stream)
        if alive and not queue.alive and stream == 'x':
            self._waits_in_vain = 0
        queue.alive, queue.why_dead = alive, reason

    def counts(self, stream: Stream) -> StreamCounts:
        """The live counters of one stream."""
        return self._queue(stream).counts

    @property
    def next_deadline_ns(self) -> int | None:
        """When to poll if no further frame comes; None: nothing waits."""
        if self._rgb.entries:
            return self._rgb.entries[0].arrival + self._timeout
        return next((e.arrival + self._timeout for e in self._x.entries if e.may_lead), None)

    def poll(self, now_ns: int) -> list[Observation]:
        """What is decided by now, oldest first."""
        while self._decide(now_ns):
            pass
        ready = list(self._ready)
        self._ready.clear()
        return ready

    def reset(self) -> None:
        """Forget frames and timing (the clock was set, the node re-activated); counts are kept."""
        for queue in (self._rgb, self._x):
            queue.forget()
        self._ready.clear()
        self._alone.clear()
        self._last_out = None
        self._waits_in_vain = 0

    def _queue(self, stream: Stream) -> _Queue:
        return self._rgb if stream == 'rgb' else self._x

    def _add(self, queue: _Queue, entry: _Entry, stamp_ns: int) -> None:
        counts, fresh = queue.counts, entry.frame is not None
        counts.received += 1
        if stamp_ns <= 0:
            counts.invalid += 1
            return
        step = entry.stamp - queue.newest if queue.newest is not None else 0
        if queue.newest is not None and step <= 0:
            if not self._clock_set_back(queue, entry.stamp):
                counts.dropped += fresh and step == 0
                counts.late += fresh and step < 0
                return
            self._restart(queue, entry.arrival)
        elif step > 0:
            queue.steps.append(step)
            queue.late.clear()
        queue.newest, queue.last_arrival, queue.refused = entry.stamp, entry.arrival, not fresh
        lag = self._lag(entry) if queue is self._x else None
        if lag is not None:
            self._x_late_by = lag if lag > self._timeout else 0
            if 0 <= lag <= self._timeout:  # an RGB frame would have been paired with it, had it waited
                self._waits_in_vain = 0
        if self._last_out is not None and self._last_out - self._jump <= entry.stamp <= self._last_out:
            counts.late += fresh
            return
        queue.entries.append(entry)
        if len(queue.entries) > self.settings.queue:
            if queue is self._rgb:
                self._send_rgb(queue.entries.popleft(), entry.arrival)
            else:
                queue.drop(1)

    def _clock_set_back(self, queue: _Queue, stamp: int) -> bool:
        """Whether a stamp behind the newest one means another clock, not a late or repeated frame."""
        assert queue.newest is not None
        if queue.late and stamp <= queue.late[-1]:
            queue.late.clear()
        if stamp < queue.newest:
            queue.late.append(stamp)
        return queue.newest - stamp > self._jump or len(queue.late) >= LATE_IN_A_ROW

    def _restart(self, queue: _Queue, now_ns: int) -> None:
        """Follow a stream whose clock was set back."""
        while queue is self._rgb and queue.entries:
            self._send_rgb(queue.entries.popleft(), now_ns)
        queue.forget()
        self._waits_in_vain = 0
        if self._last_lead is queue:
            self._last_out = None

    def _lag(self, x: _Entry) -> int | None:
        """How long after an RGB frame that went alone its X frame comes; None where it belongs to none."""
        near = [rgb for rgb in self._alone if abs(rgb.stamp - x.stamp) <= self._slop]
        return min((x.arrival - rgb.arrival for rgb in near), key=abs, default=None)

    def _decide(self, now_ns: int) -> bool:
        """Settle the oldest frame; False where all that is queued has to wait."""
        if self._rgb.entries:
            rgb = self._rgb.entries[0]
            if self._may_improve(rgb):
                if not self._expired(rgb, now_ns):
                    return False
                self._waits_in_vain += self._nearest_x(rgb) is None
            self._send_rgb(self._rgb.entries.popleft(), now_ns)
            return True
        for position, x in enumerate(self._x.entries):
            if not x.may_lead:
                continue
            if self._rgb.alive and not self._expired(x, now_ns):
                return False
            if not self._rgb.alive or self._rgb_overdue(now_ns):
                self._x.drop(position)
                self._send_x(self._x.entries.popleft())
                return True
            x.may_lead = False  # RGB keeps coming, only later: this frame may still join one
        return False

    def _expired(self, entry: _Entry, now_ns: int) -> bool:
        return not 0 <= now_ns - entry.arrival < self._timeout  # negative: the caller's clock was set back

    def _rgb_overdue(self, now_ns: int) -> bool:
        """RGB should have sent a usable frame by now; a slow RGB camera alone does not make X lead."""
        last = self._rgb.last_arrival
        if last is None or self._rgb.refused:
            return True
        return not 0 <= now_ns - last < self._rgb.period + self._timeout // 2

    def _nearest_x(self, rgb: _Entry) -> _Entry | None:
        own = [x for x in self._x.entries if self._may_pair(x.stamp - rgb.stamp) and not self._wanted(x, rgb)]
        return min(own, key=lambda x: abs(x.stamp - rgb.stamp), default=None)

    def _may_pair(self, ahead: int, margin: int = 0) -> bool:
        """Whether an X frame so far ahead of an RGB frame is within its slop and not that of the next one."""
        return abs(ahead) <= self._slop + margin and (ahead <= 0 or ahead <= (self._apart or ahead) + margin)

    def _wanted(self, x: _Entry, rgb: _Entry) -> bool:
        """Whether a later RGB frame that waits is nearer to this X frame."""
        later = next((each for each in self._rgb.entries if each.stamp > rgb.stamp), None)
        return later is not None and abs(later.stamp - x.stamp) < abs(rgb.stamp - x.stamp)

    @property
    def _apart(self) -> int:
        """Stamps this far apart are of two moments of the RGB camera, ns; 0 while its period is unknown."""
        return self._rgb.period * 3 // 4

    def _may_improve(self, rgb: _Entry) -> bool:
        """Whether waiting can bring a partner, or a better one than there is."""
        x = self._x
        if not x.alive or self._waits_in_vain >= MAX_WAITS_IN_VAIN:
            return False
        if x.newest is None:
            return True
        if x.newest >= rgb.stamp:  # X stamps only grow
            return False
        nearest = self._nearest_x(rgb)
        if nearest is None:
            return self._x_may_come_near(rgb, x.newest)
        if rgb.frame is None:  # it only lets X go first; a later X needs no leave
            return False
        return bool(x.period) and abs(x.newest + x.period - rgb.stamp) < abs(nearest.stamp - rgb.stamp)

    def _x_may_come_near(self, rgb: _Entry, newest: int) -> bool:
        """Not where X keeps a period in which no frame falls near this one: that of a slower camera."""
        gap, period, margin = rgb.stamp - newest, self._x.period, min(self._slop, self._apart) // 4
        if gap > LONG_GAP * period or not self._x.is_steady(margin):
            return True
        ahead = max(1, round(gap / period)) * period
        return self._may_pair(ahead - gap, margin)

    def _send_rgb(self, rgb: _Entry, now_ns: int) -> None:
        x = self._nearest_x(rgb)
        if x is not None and rgb.frame is None and not x.may_lead:
            x = None  # its time has passed, it could only have joined a good frame
        reason = rgb.problem and f'rgb: {rgb.problem}'
        if x is None:
            reason = reason or self._why_alone(rgb)
            self._alone.append(rgb)
            horizon = rgb.stamp
        else:
            if x.problem:
                reason = f'{reason}; x: {x.problem}' if reason else f'x: {x.problem}'
            self._waits_in_vain = 0
            horizon = x.stamp - 1
        self._fill_gap(rgb, x, now_ns)
        # X frames up to here are nearer to this RGB frame than to any later one.
        self._x.drop(sum(1 for each in self._x.entries if each.stamp <= horizon))
        if x is not None:
            self._x_late_by = 0
            self._x.entries.remove(x)
        if x is not None and rgb.frame is None:
            self._send(x.stamp, None, x.frame, reason)
        else:
            self._send(rgb.stamp, rgb.frame, x.frame if x is not None else None, reason)

    def _fill_gap(self, rgb: _Entry, partner: _Entry | None, now_ns: int) -> None:
        """Let X answer for the moments that RGB missed before this frame; its partner stays for it."""
        apart = self._apart
        if not apart:
            return
        # With a fast RGB camera the partner can lie further back than that.
        for x in [each for each in self._x.entries if each is not partner]:
            since = apart if self._last_out is None else x.stamp - self._last_out
            in_gap = since >= apart and rgb.stamp - x.stamp >= apart
            if in_gap and x.may_lead and now_ns - x.arrival <= self._timeout:
                self._x.entries.remove(x)
                self._send_x(x)

    def _send_x(self, x: _Entry) -> None:
        if self._rgb.alive:
            why = 'nothing received' if self._rgb.last_arrival is None else 'overdue'
        else:
            why = self._rgb.why_dead or 'silent'
        self._send(x.stamp, None, x.frame, f'rgb: {why}')

    def _send(self, stamp: int, rgb: Frame | None, x: Frame | None, reason: str) -> None:
        if rgb is None and x is None:
            return
        self._last_out, self._last_lead = stamp, self._x if rgb is None else self._rgb
        if rgb is not None and x is not None:
            self._rgb.counts.matched += 1
            self._x.counts.matched += 1
        else:
            self._last_lead.counts.alone += 1
        self._ready.append(Observation(rgb, x, reason))

    def _why_alone(self, rgb: _Entry) -> str:
        x = self._x
        if not x.alive:
            return f'x: {x.why_dead or "silent"}'
        if x.newest is None:
            return 'x: nothing received'
        if self._x_late_by:
            late, limit = self._x_late_by / 1e6, self.settings.sync_timeout * 1e3
            return f'x: comes {late:.0f} ms after RGB, sync_timeout is {limit:g} ms'
        away = (x.newest - rgb.stamp) / 1e6
        side = 'older' if away < 0 else 'newer'
        return f'x: no frame within {self.settings.slop * 1e3:g} ms, the newest is {abs(away):.0f} ms {side}'
