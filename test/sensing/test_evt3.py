"""The vectorised decoders against one that reads word by word."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdstrack_ros.errors import EventDataError
from sdstrack_ros.sensing.evt3 import CHUNK, EVT3, LIBCAER_CMP, EventDecoder, Events, WordFormat, decoder_for

ADDR_Y, ADDR_X, VECT_BASE_X, VECT_12, VECT_8, TIME_LOW, TIME_HIGH = (
    0x0000, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000, 0x8000,
)  # fmt: skip
ON = 0x800


def as_bytes(*words: int, dtype: str = '<u2') -> bytes:
    return np.array(words, dtype).tobytes()


def rows(events: Events) -> list[tuple[int, int, int, int]]:
    """(t, x, y, on) of every event."""
    return list(zip(*(column.tolist() for column in events), strict=True))


class WordByWord:
    """The encoding as its documents put it; any address is allowed."""

    def __init__(self, fmt: WordFormat) -> None:
        self.fmt = fmt
        self.start_packet(first=True)

    def start_packet(self, first: bool = False) -> None:
        if first or not self.fmt.continues:
            self.high = self.low = self.line = self.base = None
            self.polarity = 0
        if not self.fmt.continues:
            self.high = self.low = 0

    def decode(self, data: bytes) -> list[tuple[int, int, int, int]]:
        self.start_packet()
        events = []
        for word in np.frombuffer(data, '<u2').tolist():
            events += self.event_pixels(word >> 12, word & 0xFFF)
        if self.fmt.line_is_y:
            return events
        return [(t, y, x, on) for t, x, y, on in events]

    def event_pixels(self, code: int, value: int) -> list[tuple[int, int, int, int]]:
        fmt, pixels, on = self.fmt, [], value >> 11
        if code == fmt.time_high:
            previous = value if self.high is None else self.high
            candidates = [previous // 4096 * 4096 + value + wraps * 4096 for wraps in (-1, 0, 1)]
            self.high = min(candidates, key=lambda high: (abs(high - previous), high))
        elif code == fmt.time_low:
            self.low = value
        elif code == fmt.line:
            self.line = value & 0x7FF
        elif code == fmt.single:
            pixels = [value & 0x7FF]
        elif code == fmt.base:
            self.base, self.polarity = value & 0x7FF, value >> 11
        elif code in fmt.vectors and self.base is not None:
            covered, on = fmt.vectors[code], self.polarity
            pixels = [self.base + bit for bit in range(covered) if value >> bit & 1]
            self.base += covered
        if None in (self.high, self.low, self.line):
            return []
        return [(4096 * self.high + self.low, pixel, self.line, on) for pixel in pixels]


def word_streams(fmt: WordFormat) -> st.SearchStrategy[list[int]]:
    """Words of every code in use, as likely in runs as alone."""
    codes = [fmt.time_high, fmt.time_low, fmt.line, fmt.single, fmt.base, *fmt.vectors, *fmt.ignored]
    word = st.builds(lambda code, value: code << 12 | value, st.sampled_from(codes), st.integers(0, 0xFFF))
    runs = st.builds(lambda one, count: [one] * count, word, st.integers(1, 4))
    return st.lists(runs, max_size=40).map(lambda parts: list(itertools.chain(*parts)))


@pytest.mark.parametrize('fmt', [EVT3, LIBCAER_CMP], ids=lambda fmt: fmt.name)
@given(data=st.data())
def test_random_packets_decode_as_word_by_word(fmt: WordFormat, data: st.DataObject) -> None:
    packets = data.draw(st.lists(word_streams(fmt), min_size=1, max_size=4))
    fast, slow = EventDecoder(fmt, width=1 << 15, height=1 << 15), WordByWord(fmt)
    for words in packets:
        packet = as_bytes(*words)
        assert rows(fast.decode(packet)) == slow.decode(packet)


@pytest.mark.parametrize('fmt', [EVT3, LIBCAER_CMP], ids=lambda fmt: fmt.name)
def test_long_packet_decodes_as_word_by_word(fmt: WordFormat) -> None:
    rng = np.random.default_rng(0)
    codes = [fmt.time_high, fmt.time_low, fmt.line, fmt.single, fmt.single, fmt.base, *fmt.vectors]
    words = rng.choice(codes, 3 * CHUNK + 17) << 12 | rng.integers(0, 0x1000, 3 * CHUNK + 17)
    packet = as_bytes(*words.tolist())
    assert rows(EventDecoder(fmt, 1 << 20, 1 << 20).decode(packet)) == WordByWord(fmt).decode(packet)


def test_single_event() -> None:
    events = decoder_for('evt3', 640, 480).decode(
        as_bytes(TIME_HIGH | 0x00A, TIME_LOW | 0x00B, ADDR_Y | 17, ADDR_X | ON | 23)
    )
    assert rows(events) == [(0xA00B, 23, 17, True)]
    assert [column.dtype for column in events] == [np.int64, np.uint16, np.uint16, np.bool_]


def test_vectors_go_on_from_their_base() -> None:
    decoder = decoder_for('evt3', 640, 480)
    start = decoder.decode(as_bytes(TIME_HIGH, TIME_LOW, ADDR_Y | 5, VECT_BASE_X | ON | 100, VECT_12 | 0x801))
    assert [x for _, x, _, _ in rows(start)] == [100, 111]
    following = decoder.decode(
        as_bytes(VECT_12 | 0x002, VECT_8 | 0xF81)
    )  # the upper bits of VECT_8 are unused
    assert rows(following) == [(0, 113, 5, True), (0, 124, 5, True), (0, 131, 5, True)]


def test_state_goes_on_over_packets() -> None:
    decoder = decoder_for('evt3', 640, 480)
    decoder.decode(as_bytes(TIME_HIGH | 1, TIME_LOW | 2, ADDR_Y | 3))
    assert rows(decoder.decode(as_bytes(ADDR_X | 4))) == [(0x1002, 4, 3, False)]
    assert decoder.now_us == 0x1002


def test_libcaer_packets_stand_alone() -> None:
    decoder = decoder_for('libcaer_cmp', 346, 260)
    assert rows(decoder.decode(as_bytes(0x2007, 0x1005, 0x3809))) == [(5, 7, 9, True)]
    assert rows(decoder.decode(as_bytes(0x3809, 0x2001, 0x3002))) == [(0, 1, 2, False)]


def test_time_goes_on_where_it_wraps() -> None:
    decoder = decoder_for('evt3', 640, 480)
    decoder.decode(as_bytes(TIME_HIGH | 0xFFF, TIME_LOW | 0xFFF, ADDR_Y))
    events = [
        decoder.decode(as_bytes(TIME_HIGH | high, TIME_LOW, ADDR_X))
        for high in (0, 0xFFF, 0, 0x7FF, 0xFFE, 1)
    ]
    times = [int(each.t_us[0]) for each in events]
    assert times == [high << 12 for high in (0x1000, 0x0FFF, 0x1000, 0x17FF, 0x1FFE, 0x2001)]


def test_big_endian_words() -> None:
    words = (TIME_HIGH | 0x00A, TIME_LOW | 0x00B, ADDR_Y | 17, ADDR_X | ON | 23)
    decoder = decoder_for('evt3', 640, 480)
    assert rows(decoder.decode(as_bytes(*words, dtype='>u2'), big_endian=True)) == [(0xA00B, 23, 17, True)]


def test_events_before_time_and_address_are_left_out() -> None:
    decoder = decoder_for('evt3', 640, 480)
    words = (
        ADDR_X | 1,
        TIME_HIGH,
        ADDR_X | 2,
        ADDR_Y,
        ADDR_X | 3,
        VECT_8 | 1,
        TIME_LOW,
        ADDR_X | 4,
        VECT_8 | 1,
    )
    assert [x for _, x, _, _ in rows(decoder.decode(as_bytes(*words)))] == [4]
    assert decoder_for('evt3', 640, 480).decode(b'').x.size == 0


def test_resync_waits_for_fresh_words_and_keeps_the_time() -> None:
    decoder = decoder_for('evt3', 640, 480)
    decoder.decode(as_bytes(TIME_HIGH | 0xFFF, TIME_LOW, ADDR_Y | 3, VECT_BASE_X | 9))
    decoder.resync()
    assert decoder.now_us is None
    assert decoder.decode(as_bytes(ADDR_X | 1, VECT_8 | 1)).x.size == 0
    events = decoder.decode(as_bytes(TIME_HIGH | 1, TIME_LOW | 2, ADDR_Y | 4, ADDR_X | 5))
    assert rows(events) == [(0x1001_002, 5, 4, False)]


@pytest.mark.parametrize(
    ('packet', 'reason'),
    [
        (as_bytes(TIME_LOW) + b'\x00', '3 bytes ends within a word'),
        (as_bytes(TIME_LOW, 0xB000), 'reserved code 11'),
        (as_bytes(0x1000), 'reserved code 1'),
        (as_bytes(TIME_HIGH, TIME_LOW, ADDR_Y | 480, ADDR_X), 'outside the sensor'),
        (as_bytes(TIME_HIGH, TIME_LOW, ADDR_Y, ADDR_X | 640), 'outside the sensor'),
        (as_bytes(TIME_HIGH, TIME_LOW, ADDR_Y, VECT_BASE_X | 635, VECT_8 | 0x20), 'outside the sensor'),
    ],
)
def test_damaged_packet_is_refused_and_the_next_one_read(packet: bytes, reason: str) -> None:
    decoder = decoder_for('evt3', 640, 480)
    decoder.decode(as_bytes(TIME_HIGH | 5, TIME_LOW, ADDR_Y))
    with pytest.raises(EventDataError, match=reason):
        decoder.decode(packet)
    assert decoder.decode(as_bytes(ADDR_X | 1)).x.size == 0
    good = as_bytes(TIME_HIGH | 6, TIME_LOW | 1, ADDR_Y | 2, ADDR_X | 3)
    assert rows(decoder.decode(good)) == [(0x6001, 3, 2, False)]


def test_damaged_packet_does_not_shift_the_time() -> None:
    decoder = decoder_for('evt3', 640, 480)
    decoder.decode(as_bytes(TIME_HIGH | 0xFF0, TIME_LOW, ADDR_Y))
    with pytest.raises(EventDataError):
        decoder.decode(as_bytes(*(TIME_HIGH | high for high in (0x123, 0x700, 0xC00)), ADDR_Y | 500, ADDR_X))
    assert rows(decoder.decode(as_bytes(TIME_HIGH | 0xFF1, TIME_LOW, ADDR_Y, ADDR_X))) == [
        (0xFF1000, 0, 0, False)
    ]


def test_vector_may_end_beyond_the_sensor_where_it_has_no_event() -> None:
    packet = as_bytes(TIME_HIGH, TIME_LOW, ADDR_Y, VECT_BASE_X | 635, VECT_8 | 0x10)
    assert rows(decoder_for('evt3', 640, 480).decode(packet)) == [(0, 639, 0, False)]


@given(st.binary(max_size=400))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    decoder = decoder_for('evt3', 640, 480)
    decoder.decode(as_bytes(TIME_HIGH, TIME_LOW, ADDR_Y, VECT_BASE_X))
    try:
        events = decoder.decode(data)
    except EventDataError:
        return
    assert (events.x < 640).all()
    assert (events.y < 480).all()


def test_unknown_encoding_is_named() -> None:
    with pytest.raises(EventDataError, match=r"'mono'.*evt3 or libcaer_cmp"):
        decoder_for('mono', 640, 480)
