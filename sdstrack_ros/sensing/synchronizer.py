"""Pairs the two streams: RGB leads, X joins it, and neither can hold the other up for long.

    synchronizer = Synchronizer(SynchronizerSettings(slop=0.02, sync_timeout=0.035))
    synchronizer.add_rgb(frame, now_ns)
    for observation in synchronizer.poll(now_ns): ...        # after every frame
    timer = synchronizer.next_deadline_ns                    # and at this time

An X frame belongs to the RGB frame nearest in stamp: one that is queued, or the next one, where RGB
keeps a period that foretells it. An RGB frame waits for its X frame at most `sync_timeout`, then goes
out alone with the reason. It does not wait where waiting is known to be useless: X is silent
(`set_alive`), X has already passed this stamp, X keeps a period in which no frame belongs to this one,
X's frame was refused (`reject`), or the last few waits were in vain. X frames go out alone only while
RGB is overdue by what its frames are usually late. No clock is read: time is an argument.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from ..settings import check, setting
from ..types import Frame, Observation
from .timing import StreamTiming

Stream = Literal['rgb', 'x']

MAX_WAITS_IN_VAIN = 3
"""So many waits for nothing in a row, and RGB waits no more until an X frame comes in time."""

LONG_GAP = 3
"""After a silence of so many of its periods, X is not foretold from the stamps before it."""

X_LATE_FOR = 2
"""For so many of its periods X counts as one that comes late, then as one that does not come."""

RGB_TOLERANCE, X_TOLERANCE = 1 / 4, 1 / 8
"""How far the steps of a steady stream may be off, in periods. RGB has to be foretold to half a period; X,
which matters where it is the slower one, to less of its own."""

TIE = 1 / 12
"""An X frame that is nearer to the next RGB frame by less than so many of RGB's periods need not be left
for it."""

WORTH_WAITING = 1 / 4
"""Where there is a partner, only one that is nearer by so many of RGB's periods is waited for. Larger than a
tie by far: where X lies midway between RGB frames, jitter must not make pairs of the frame before and of
the frame after by turns, as each change costs a pair."""


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
    """One stream: its queue, and what is known of it."""

    name: Stream
    offset: int
    timing: StreamTiming
    entries: deque[_Entry] = field(default_factory=deque)
    counts: StreamCounts = field(default_factory=StreamCounts)
    alive: bool = True
    why_dead: str = ''
    refused: bool = False  # the newest one
    pushed_out: int | None = None  # stamp of the newest one that left the full queue

    def forget(self) -> None:
        """Clear what the stream's old clock said; the counts stay."""
        self.drop(len(self.entries))
        self.timing = StreamTiming(self.timing.tolerance)
        self.pushed_out = None

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
        self._rgb = _Queue('rgb', round(settings.rgb_offset * 1e9), StreamTiming(RGB_TOLERANCE))
        self._x = _Queue('x', round(settings.x_offset * 1e9), StreamTiming(X_TOLERANCE))
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
        self._waits_in_vain = self._x_late_by = 0

    def _queue(self, stream: Stream) -> _Queue:
        return self._rgb if stream == 'rgb' else self._x

    def _add(self, queue: _Queue, entry: _Entry, stamp_ns: int) -> None:
        counts, fresh = queue.counts, entry.frame is not None
        counts.received += 1
        if stamp_ns <= 0:
            counts.invalid += 1
            return
        newest = queue.timing.newest
        if newest is not None and entry.stamp <= newest:
            if not queue.timing.is_set_back(entry.stamp, self._jump):
                counts.dropped += fresh and entry.stamp == newest
                counts.late += fresh and entry.stamp < newest
                return
            self._restart(queue, entry.arrival)
        queue.timing.add(entry.stamp, entry.arrival)
        queue.refused = not fresh
        if queue is self._x:
            self._note_lag(entry)
        if self._last_out is not None and self._last_out - self._jump <= entry.stamp <= self._last_out:
            counts.late += fresh
            return
        queue.entries.append(entry)
        if len(queue.entries) > self.settings.queue:
            if queue is self._rgb:
                self._send_rgb(queue.entries.popleft(), entry.arrival)
            else:
                queue.pushed_out = queue.entries[0].stamp
                queue.drop(1)

    def _restart(self, queue: _Queue, now_ns: int) -> None:
        """Follow a stream whose clock was set back."""
        while queue is self._rgb and queue.entries:
            self._send_rgb(queue.entries.popleft(), now_ns)
        queue.forget()
        self._waits_in_vain = 0
        if self._last_lead is queue:
            self._last_out = None

    def _note_lag(self, x: _Entry) -> None:
        """See whether an X frame comes in time for its RGB frame, where that waits or went alone."""
        rgb = min((*self._alone, *self._rgb.entries), key=lambda rgb: abs(rgb.stamp - x.stamp), default=None)
        self._x_late_by = 0
        if rgb is None or abs(rgb.stamp - x.stamp) > self._slop:
            return
        lag = x.arrival - rgb.arrival
        if lag > self._timeout:
            self._x_late_by = lag
        elif lag >= 0:  # they make a pair, or would have made one, had RGB waited
            self._waits_in_vain = 0

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
        rgb = self._rgb.timing
        if rgb.last_arrival is None or self._rgb.refused:
            return True
        patience = rgb.period + rgb.delay + self._timeout // 2
        return not 0 <= now_ns - rgb.last_arrival < patience

    def _nearest_x(self, rgb: _Entry) -> _Entry | None:
        own = [x for x in self._x.entries if self._belongs(x.stamp, rgb)]
        return min(own, key=lambda x: abs(x.stamp - rgb.stamp), default=None)

    def _belongs(self, stamp: int, rgb: _Entry, margin: int = 0) -> bool:
        """Whether an X frame of this stamp is within slop, and no later RGB frame is nearer to it."""
        away = abs(stamp - rgb.stamp)
        if away > self._slop + margin:
            return False
        later = next((each.stamp for each in self._rgb.entries if each.stamp > rgb.stamp), None)
        if later is not None:
            return away <= abs(stamp - later)
        due = self._rgb.timing.due(stamp)
        return due is None or away <= abs(stamp - due) + TIE * self._rgb.timing.period

    def _may_improve(self, rgb: _Entry) -> bool:
        """Whether waiting can bring a partner, or a better one than there is."""
        x = self._x.timing
        if not self._x.alive or self._waits_in_vain >= MAX_WAITS_IN_VAIN:
            return False
        if x.newest is None:
            return True
        if x.newest >= rgb.stamp:  # X stamps only grow
            return False
        nearest, due = self._nearest_x(rgb), x.due(rgb.stamp)
        if nearest is None:
            silent = rgb.stamp - x.newest > LONG_GAP * x.period
            return due is None or silent or self._belongs(due, rgb, margin=x.spread)
        if rgb.frame is None or due is None:  # it only lets X go first; a later X needs no leave
            return False
        nearer = abs(nearest.stamp - rgb.stamp) - abs(due - rgb.stamp)
        return nearer > WORTH_WAITING * self._rgb.timing.period and self._belongs(due, rgb)

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
        # Stamps this far apart are of two moments of the RGB camera.
        apart = self._rgb.timing.period * 3 // 4
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
            why = 'nothing received' if self._rgb.timing.last_arrival is None else 'overdue'
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
        if x.timing.newest is None or x.timing.last_arrival is None:
            return 'x: nothing received'
        if x.pushed_out is not None and x.pushed_out >= rgb.stamp - self._slop:
            return f'x: its frame did not wait in a queue of {self.settings.queue}, raise sync.queue'
        since = rgb.arrival - x.timing.last_arrival
        if self._x_late_by and since <= X_LATE_FOR * x.timing.period:
            late, limit = self._x_late_by / 1e6, self.settings.sync_timeout * 1e3
            return f'x: comes {late:.0f} ms after RGB, sync_timeout is {limit:g} ms'
        away = (x.timing.newest - rgb.stamp) / 1e6
        side = 'older' if away < 0 else 'newer'
        return f'x: no frame within {self.settings.slop * 1e3:g} ms, the newest is {abs(away):.0f} ms {side}'
