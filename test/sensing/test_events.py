"""Event packets become one picture for every RGB frame, whatever the packets' stamps and gaps."""

from __future__ import annotations

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from sdstrack_ros.errors import EventDataError
from sdstrack_ros.sensing.events import (
    EVENT_PACKET_DEFINITION,
    EVENT_PACKET_TYPE,
    EventAccumulator,
    EventPacket,
    EventSettings,
    render_events,
)

WHITE, BLUE, RED = (255, 255, 255), (0, 0, 255), (255, 0, 0)
HOST_NS = 1_700_000_000_000_000_000  # host time of camera time 0
MS = 1_000_000


def evt3(*events: tuple[int, int, int, int], until_us: int | None = None) -> bytes:
    """Encode (t_us, x, y, on) one by one; then the camera tells the time once more."""
    words = []
    for t_us, x, y, on in events:
        words += [0x8000 | t_us >> 12 & 0xFFF, 0x6000 | t_us & 0xFFF, y, 0x2000 | on << 11 | x]
    if until_us is not None:
        words += [0x8000 | until_us >> 12 & 0xFFF, 0x6000 | until_us & 0xFFF]
    return np.array(words, '<u2').tobytes()


def packet(seq: int, first_us: int, data: bytes, late_ns: int = 0, **changes: object) -> EventPacket:
    """A packet that is stamped with the host's time at its first event, or later."""
    known = {'width': 20, 'height': 10, 'encoding': 'evt3'} | changes
    return EventPacket(stamp_ns=HOST_NS + first_us * 1000 + late_ns, seq=seq, data=data, **known)


def colored(picture: np.ndarray) -> dict[tuple[int, int], tuple[int, ...]]:
    """{(x, y): colour} of all that is not white."""
    return {(int(x), int(y)): tuple(picture[y, x].tolist()) for y, x in np.argwhere((picture != 255).any(2))}


def test_rendering_is_blue_where_brighter_red_where_darker_and_red_where_both() -> None:
    picture = render_events(
        x=np.array([1, 2, 3, 3, 4, 4]), y=np.array([0, 1, 2, 2, 3, 3]), on=np.array([1, 0, 1, 0, 0, 1]),
        width=6, height=5,
    )  # fmt: skip
    assert picture.shape == (5, 6, 3)
    assert picture.dtype == np.uint8
    assert colored(picture) == {(1, 0): BLUE, (2, 1): RED, (3, 2): RED, (4, 3): RED}


def test_picture_shows_the_window_before_the_frame() -> None:
    accumulator = EventAccumulator(EventSettings(window=0.04))
    accumulator.add(packet(1, 0, evt3((0, 0, 0, 1), (10_000, 1, 0, 1), (49_999, 2, 0, 0), (50_000, 3, 0, 1))))
    assert colored(accumulator.picture(HOST_NS + 50 * MS)) == {(1, 0): BLUE, (2, 0): RED}
    assert colored(accumulator.picture(HOST_NS + 40 * MS)) == {(0, 0): BLUE, (1, 0): BLUE}  # a late frame


def test_packets_add_up() -> None:
    accumulator = EventAccumulator()
    accumulator.add(packet(7, 1000, evt3((1000, 1, 1, 1))))
    accumulator.add(packet(8, 9000, evt3((9000, 2, 2, 0), until_us=20_000)))
    assert accumulator.covers(HOST_NS + 20 * MS)
    assert not accumulator.covers(HOST_NS + 20 * MS + 1)
    assert colored(accumulator.picture(HOST_NS + 20 * MS)) == {(1, 1): BLUE, (2, 2): RED}


def test_camera_at_rest_gives_a_white_picture() -> None:
    accumulator = EventAccumulator()
    for step in range(20):
        accumulator.add(packet(step, step * 10_000, evt3(until_us=step * 10_000)))
    picture = accumulator.picture(HOST_NS + 190 * MS)
    assert picture.shape == (10, 20, 3)
    assert colored(picture) == {}


def test_unknown_time_gives_no_picture() -> None:
    accumulator = EventAccumulator()
    assert accumulator.picture(HOST_NS) is None
    assert accumulator.newest_ns is None
    accumulator.add(packet(1, 100_000, evt3((100_000, 1, 1, 1), until_us=101_000)))
    assert accumulator.picture(HOST_NS + 100 * MS) is None
    assert accumulator.picture(HOST_NS + 101 * MS) is not None
    assert accumulator.picture(HOST_NS + 142 * MS) is None


def test_memory_is_bounded() -> None:
    accumulator = EventAccumulator(EventSettings(window=0.01, memory=0.05))
    for step in range(100):
        accumulator.add(packet(step, step * 1000, evt3((step * 1000, step % 20, 0, 1))))
    assert accumulator.picture(HOST_NS + 30 * MS) is None
    assert len(colored(accumulator.picture(HOST_NS + 60 * MS))) == 10
    assert len(colored(accumulator.picture(HOST_NS + 45 * MS))) == 6  # from 39 ms on


def test_packets_stamped_late_by_varying_amounts_fall_into_place() -> None:
    accumulator = EventAccumulator()
    late = (4, 0, 3, 4, 2, 0, 4, 1)
    for step, late_ms in enumerate(late):
        first_us = 5000 * step
        accumulator.add(packet(step, first_us, evt3((first_us, step, 0, 1)), late_ns=late_ms * MS))
    # From the first packet that is in time on, events lie where they belong, within the clocks' drift.
    for step in range(2, 8):
        before = accumulator.picture(HOST_NS + 5 * step * MS - MS // 10)
        after = accumulator.picture(HOST_NS + 5 * step * MS + MS // 10)
        assert (step, 0) not in colored(before)
        assert (step, 0) in colored(after)


def test_time_goes_on_where_the_camera_wraps() -> None:
    accumulator = EventAccumulator()
    wrap_us = 1 << 24
    accumulator.add(packet(1, wrap_us - 10_000, evt3((wrap_us - 10_000, 1, 1, 1))))
    accumulator.add(packet(2, wrap_us + 10_000, evt3((wrap_us + 10_000, 2, 2, 1))))
    picture = accumulator.picture(HOST_NS + (wrap_us + 11_000) * 1000)
    assert set(colored(picture)) == {(1, 1), (2, 2)}


def test_lost_packets_are_counted_and_decoding_starts_afresh() -> None:
    accumulator = EventAccumulator()
    accumulator.add(packet(1, 0, evt3((0, 1, 1, 1))))
    # Its own address words are all that a packet after a gap may rely on.
    accumulator.add(packet(4, 5000, np.array([0x2003], '<u2').tobytes() + evt3((5000, 2, 2, 1))))
    assert accumulator.lost_packets == 2
    assert set(colored(accumulator.picture(HOST_NS + 6 * MS))) == {(1, 1), (2, 2)}


def test_repeated_packet_is_ignored() -> None:
    accumulator = EventAccumulator()
    accumulator.add(packet(1, 0, evt3((0, 1, 1, 1))))
    accumulator.add(packet(1, 5000, evt3((5000, 2, 2, 1))))
    assert set(colored(accumulator.picture(HOST_NS + 6 * MS))) == {(1, 1)}
    assert accumulator.lost_packets == 0


@pytest.mark.parametrize('changes', [{'seq': 0}, {'width': 30, 'height': 12}])
def test_restarted_or_other_camera_starts_anew(changes: dict[str, int]) -> None:
    accumulator = EventAccumulator()
    accumulator.add(packet(5, 0, evt3((0, 1, 1, 1))))
    accumulator.add(packet(**({'seq': 6, 'first_us': 5000, 'data': evt3((5000, 2, 2, 1))} | changes)))
    picture = accumulator.picture(HOST_NS + 6 * MS)
    assert picture.shape == (changes.get('height', 10), changes.get('width', 20), 3)
    assert set(colored(picture)) == {(2, 2)}


def test_host_clock_set_back_forgets_the_old_events() -> None:
    accumulator = EventAccumulator()
    accumulator.add(packet(1, 0, evt3((0, 1, 1, 1))))
    accumulator.add(packet(2, 5000, evt3((5000, 2, 2, 1)), late_ns=-60_000 * MS))
    assert accumulator.picture(HOST_NS + 6 * MS) is None
    assert set(colored(accumulator.picture(HOST_NS - 59_994 * MS))) == {(2, 2)}


def test_old_events_do_not_come_back_with_a_repeated_time() -> None:
    accumulator = EventAccumulator()
    accumulator.add(packet(0, 5_000_000, evt3((5_000_000, 1, 1, 1))))
    for step in range(11):
        first_us = 5_000_100 + 500_000 * step
        accumulator.add(packet(step + 1, first_us, evt3((first_us, 2, 2, 1)), late_ns=-5_000 * MS))
    assert set(colored(accumulator.picture(HOST_NS + 5001 * MS))) == {(2, 2)}


def test_damaged_packet_is_refused_and_the_next_one_shown() -> None:
    accumulator = EventAccumulator()
    accumulator.add(packet(1, 0, evt3((0, 1, 1, 1))))
    with pytest.raises(EventDataError, match='outside the sensor'):
        accumulator.add(packet(2, 1000, evt3((1000, 25, 1, 1))))
    with pytest.raises(EventDataError, match="'evt2'"):
        accumulator.add(packet(3, 1000, b'', encoding='evt2'))
    accumulator.add(packet(4, 2000, evt3((2000, 3, 3, 0), until_us=3000)))
    assert colored(accumulator.picture(HOST_NS + 3 * MS))[3, 3] == RED


def test_libcaer_events_carry_their_own_time() -> None:
    accumulator = EventAccumulator()
    words = np.array([0x2003, 0x1000 | 500, 0x3000 | 4], '<u2').tobytes()
    accumulator.add(packet(1, 0, words, late_ns=10 * MS, encoding='libcaer_cmp', time_base_ns=HOST_NS))
    assert accumulator.newest_ns == HOST_NS + 500_000
    assert colored(accumulator.picture(HOST_NS + MS)) == {(3, 4): RED}


def test_message_definition_is_the_packages_own_and_its_messages_are_read() -> None:
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(EVENT_PACKET_DEFINITION, EVENT_PACKET_TYPE))
    expected = 'RIHS01_d6fa176260b1f37e5a40845305315e150a0f18191241eb64f407442aa29844aa'
    assert store.hash_rihs01(EVENT_PACKET_TYPE) == expected
    kinds = store.types
    message = kinds[EVENT_PACKET_TYPE](
        header=kinds['std_msgs/msg/Header'](kinds['builtin_interfaces/msg/Time'](3, 4), 'event_camera'),
        height=10, width=20, seq=9, time_base=5, encoding='evt3', is_bigendian=False,
        events=np.frombuffer(evt3((0, 1, 1, 1)), np.uint8),
    )  # fmt: skip
    read = EventPacket.from_message(
        store.deserialize_cdr(store.serialize_cdr(message, EVENT_PACKET_TYPE), EVENT_PACKET_TYPE)
    )
    assert (read.stamp_ns, read.seq, read.width, read.height) == (3_000_000_004, 9, 20, 10)
    assert (read.encoding, read.time_base_ns, read.big_endian) == ('evt3', 5, False)
    assert bytes(read.data) == evt3((0, 1, 1, 1))
