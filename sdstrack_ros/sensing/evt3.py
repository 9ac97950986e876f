"""Decoders of event cameras' 16-bit word streams, vectorised.

EVT3 (Prophesee, docs.prophesee.ai "EVT 3.0 Format") and `libcaer_cmp` (iniVation cameras under ROS) both
write words of a 4-bit code and 12 bits of value. Some words set a state (time, row), others are events that
use it. Python cannot afford to step through them one by one; instead, a running count of each kind of
state word tells every event which state word came last before it.

    decoder = decoder_for('evt3', width=640, height=480)
    events = decoder.decode(packet.data)        # the state goes on to the next packet
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import EventDataError

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
WordArray = npt.NDArray[np.uint16]

# Words decoded at a time. Temporaries of this size stay in cache and below malloc's threshold for mapping
# fresh pages (twice as fast as a megabyte at once), and every packed counter fits its bits.
CHUNK = 8192
COUNTER_BITS = 15
COUNTER = (1 << COUNTER_BITS) - 1
TIME_BITS = 12
TIME_HIGH_RANGE = 1 << TIME_BITS
RARE = 1 << 3 * COUNTER_BITS  # the fourth counter: all that needs more work than a single event
COORDINATE = 0x7FF  # the 11 bits of an address; the bit above is the polarity


class Events(NamedTuple):
    """Events in stream order, one entry each."""

    t_us: IntArray  # camera time, unwrapped
    x: WordArray
    y: WordArray
    on: BoolArray  # polarity: True = became brighter


NO_EVENTS = Events(np.empty(0, np.int64), *(np.empty(0, np.uint16),) * 2, np.empty(0, np.bool_))


@dataclass(frozen=True)
class WordFormat:
    """The codes of one encoding. `line` is the coordinate that is set once for many events."""

    name: str
    time_high: int
    time_low: int
    line: int
    single: int  # one event: polarity and the other coordinate
    base: int  # polarity and first coordinate of the vectors that follow
    vectors: dict[int, int]  # code -> pixels covered, one bit each
    ignored: tuple[int, ...]  # triggers and vendor extensions
    line_is_y: bool
    continues: bool  # the state outlives the packet

    # Tables by code, made from the above.
    counters: IntArray = field(init=False, repr=False)  # added to the packed running counts
    advance: IntArray = field(init=False, repr=False)  # pixels covered by a vector
    reserved: BoolArray = field(init=False, repr=False)
    rare: BoolArray = field(init=False, repr=False)  # vectors, their bases, and reserved codes

    def __post_init__(self) -> None:
        usual = [self.time_high, self.time_low, self.line]
        tables = {
            'counters': np.zeros(16, np.int64),
            'advance': np.zeros(16, np.int64),
            'reserved': np.ones(16, np.bool_),
            'rare': np.ones(16, np.bool_),
        }
        tables['reserved'][[*usual, self.single, self.base, *self.vectors, *self.ignored]] = False
        tables['rare'][[*usual, self.single, *self.ignored]] = False
        tables['advance'][list(self.vectors)] = list(self.vectors.values())
        tables['counters'][usual] = [1 << place * COUNTER_BITS for place in range(3)]
        tables['counters'][tables['rare']] = RARE
        for name, table in tables.items():
            object.__setattr__(self, name, table)


EVT3 = WordFormat(
    name='evt3', time_high=8, time_low=6, line=0, single=2, base=3, vectors={4: 12, 5: 8},
    ignored=(7, 10, 14, 15), line_is_y=True, continues=True,
)  # fmt: skip
LIBCAER_CMP = WordFormat(
    name='libcaer_cmp', time_high=0, time_low=1, line=2, single=3, base=4, vectors={5: 8},
    ignored=(), line_is_y=False, continues=False,
)  # fmt: skip


def decoder_for(encoding: str, width: int, height: int) -> EventDecoder:
    """The decoder of one camera, by the `encoding` of its EventPacket; EventDataError where unknown."""
    for word_format in (EVT3, LIBCAER_CMP):
        if word_format.name == encoding:
            return EventDecoder(word_format, width, height)
    raise EventDataError(f'event encoding {encoding!r} is not supported, expected evt3 or libcaer_cmp')


@dataclass
class _State:
    """What the words so far have set; None until the first such word."""

    high: int | None = None  # time above its low 12 bits, unwrapped
    low: int | None = None
    line: int | None = None
    base: int | None = None  # first coordinate of the next vector
    base_on: bool = False


class EventDecoder:
    """Turns the bytes of event packets into events; feed the packets of one camera in order."""

    def __init__(self, word_format: WordFormat, width: int, height: int) -> None:
        self._format = word_format
        self._line_limit, self._pixel_limit = (height, width) if word_format.line_is_y else (width, height)
        self._state = _State()
        self._last_high: int | None = None  # outlives a resync, so that time goes on

    @property
    def now_us(self) -> int | None:
        """Camera time of the last word decoded, which goes on where nothing moves; None until it is known."""
        if self._state.high is None or self._state.low is None:
            return None
        return (self._state.high << TIME_BITS) + self._state.low

    def resync(self) -> None:
        """After lost data: place no event until time and address have been sent again.

        Time wraps every 2**24 us; over the gap the nearest continuation is taken, at most 8.4 s away.
        """
        self._state = _State()

    def decode(self, data: Any, big_endian: bool = False) -> Events:
        """Events of one packet. data: bytes, or any buffer of uint8.

        Events before the first time and address words of a stream cannot be placed and are left out.
        EventDataError, and a resync, where the packet ends within a word, has a reserved code, or an event
        outside the sensor.
        """
        raw = np.frombuffer(data, np.uint8)
        if not self._format.continues:
            self._state, self._last_high = _State(high=0, low=0), 0
        last_high = self._last_high
        try:
            if raw.size % 2:
                raise EventDataError(f'{self._format.name} packet of {raw.size} bytes ends within a word')
            words = raw.view('>u2' if big_endian else '<u2').astype(np.uint16, copy=False)
            parts = [self._decode(words[i : i + CHUNK]) for i in range(0, words.size, CHUNK)]
        except EventDataError:
            self.resync()
            self._last_high = last_high
            raise
        if len(parts) == 1:
            return parts[0]
        return Events(*map(np.concatenate, zip(*parts, strict=True))) if parts else NO_EVENTS

    def _decode(self, words: WordArray) -> Events:
        fmt, state = self._format, self._state
        code, value = words >> np.uint16(12), words & np.uint16(0xFFF)
        is_high, is_low, is_line = code == fmt.time_high, code == fmt.time_low, code == fmt.line
        running = fmt.counters.take(code).cumsum()
        first = 0  # words before this one lack a state
        for held, is_state in ((state.high, is_high), (state.low, is_low), (state.line, is_line)):
            if held is None:
                first = max(first, int(is_state.argmax()) if is_state.any() else code.size)
        brings = code == fmt.single
        brings[:first] = False
        vectors = self._vectors(code, value, first) if int(running[-1]) >= RARE else None
        if vectors is not None:
            brings[vectors.at] = True

        highs = self._unwrapped(value.compress(is_high))
        lows = _history(state.low, value.compress(is_low))
        lines = _history(state.line, value.compress(is_line) & COORDINATE)
        state.high, state.low, state.line = (
            held if past.size == 1 else int(past[-1])
            for held, past in ((state.high, highs), (state.low, lows), (state.line, lines))
        )
        at = brings.nonzero()[0]
        seen, address = running.take(at), value.take(at)
        time = (highs << TIME_BITS).take(seen & COUNTER)
        time += lows.take(seen >> COUNTER_BITS & COUNTER)
        line = lines.take(seen >> 2 * COUNTER_BITS & COUNTER)
        pixel, on = address & COORDINATE, address > COORDINATE
        if vectors is not None:
            word, pixel, on = vectors.merged(at, pixel, on)
            time, line = time.take(word), line.take(word)

        if line.size and (int(line.max()) >= self._line_limit or int(pixel.max()) >= self._pixel_limit):
            raise EventDataError(
                f'{fmt.name} packet has events outside the sensor '
                f'({"y, x" if fmt.line_is_y else "x, y"} up to {line.max()}, {pixel.max()}; '
                f'limits {self._line_limit}, {self._pixel_limit})'
            )
        x, y = (pixel, line) if fmt.line_is_y else (line, pixel)
        return Events(time, x.astype(np.uint16, copy=False), y.astype(np.uint16, copy=False), on)

    def _unwrapped(self, raw: WordArray) -> IntArray:
        """The time-high values, the one before them in front, counting on where the 12 bits wrap.

        Each value is the nearest to the one before it, so that the small steps back which cameras make
        around a wrap are not taken for another wrap.
        """
        if self._last_high is None:
            self._last_high = int(raw[0]) if raw.size else None
        highs = _history(self._last_high, raw)
        half = TIME_HIGH_RANGE // 2
        steps = (highs[1:] - highs[:-1] + half & TIME_HIGH_RANGE - 1) - half
        steps.cumsum(out=highs[1:])
        highs[1:] += highs[0]
        self._last_high = int(highs[-1]) if raw.size else self._last_high
        return highs

    def _vectors(self, code: WordArray, value: WordArray, first: int) -> _Vectors:
        """The vectors among these words from `first` on; EventDataError for a reserved code."""
        fmt, state = self._format, self._state
        at = fmt.rare.take(code).nonzero()[0]
        kind, content = code.take(at), value.take(at)
        if fmt.reserved.take(kind).any():
            bad = int(kind[fmt.reserved.take(kind).argmax()])
            raise EventDataError(f'{fmt.name} packet has a word of the reserved code {bad}')
        is_base = kind == fmt.base
        covered = fmt.advance.take(kind)
        reached = covered.cumsum()
        # A vector starts at its base plus what the vectors since that base have covered.
        last = is_base.cumsum()
        bases = _history(state.base, content.compress(is_base) & COORDINATE)
        bases[1:] -= reached.compress(is_base)
        polarity = _history(state.base_on, content.compress(is_base) > COORDINATE).astype(np.bool_)
        usable = ~is_base & (at >= first)
        if state.base is None:
            usable &= last > 0
        if state.base is not None or last[-1]:
            state.base, state.base_on = int(bases[-1] + reached[-1]), bool(polarity[-1])
        return _Vectors(
            at=at.compress(usable),
            start=(bases.take(last) + reached - covered).compress(usable),
            bits=(content & (1 << covered) - 1).compress(usable),
            on=polarity.take(last).compress(usable),
        )


class _Vectors(NamedTuple):
    """Words of several events: place in the stream, first pixel, one bit per pixel, polarity."""

    at: IntArray
    start: IntArray
    bits: IntArray
    on: BoolArray

    def merged(self, at: IntArray, pixel: WordArray, on: BoolArray) -> tuple[IntArray, IntArray, BoolArray]:
        """All events in stream order, as (word, pixel, on): `word` is the index into `at`.

        at, pixel, on: the words that bring events, and what they would be were they all single events,
        which are vectors of one bit.
        """
        vector = at.searchsorted(self.at)
        start, bits = pixel.astype(np.int64), np.ones(at.size, '<u2')
        start[vector], bits[vector], on[vector] = self.start, self.bits, self.on
        bit = np.unpackbits(bits.view(np.uint8), bitorder='little').view(np.bool_).nonzero()[0]
        word = bit >> 4
        return word, start.take(word) + (bit & 15), on.take(word)


def _history(held: int | None, values: npt.NDArray[Any]) -> IntArray:
    """The values a state takes, the one held so far in front (0 for none: nothing refers to it)."""
    history = np.empty(values.size + 1, np.int64)
    history[0] = held or 0
    history[1:] = values
    return history
