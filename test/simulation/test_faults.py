"""What the faults do to a stream, at every rate at which cameras may run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from sdstrack_ros.sensing.content import ContentCheck
from sdstrack_ros.simulation.faults import MS, SECOND, Message, Stream, faults
from sdstrack_ros.types import Image

START = SECOND
RATES = (12, 15, 30, 60)


def pair(rate: int, x: Image | None = None) -> Iterator[Message]:
    image = np.full((4, 6), 1000, np.uint16) if x is None else x
    for index in range(4 * rate):
        stamp = index * SECOND // rate
        yield Message(stamp, 'rgb', stamp, np.full((4, 6, 3), 100, np.uint8))
        yield Message(stamp + 2 * MS, 'x', stamp, image)


def sent(name: str, rate: int) -> list[Message]:
    """What of the pair a fault of 2 s lets through, in order of sending."""
    return list(faults('depth', START, SECOND // rate)[name].apply(pair(rate)))


def stamps(messages: list[Message], stream: Stream) -> list[int]:
    return [message.stamp_ns for message in messages if message.stream == stream]


def inversions(messages: list[Message], stream: Stream) -> int:
    return sum(later < earlier for earlier, later in pairwise(stamps(messages, stream)))


@pytest.mark.parametrize('rate', RATES)
@pytest.mark.parametrize('stream', ['rgb', 'x'])
def test_out_of_order_is_so_at_every_rate(stream: Stream, rate: int) -> None:
    messages = sent(f'{stream} out of order', rate)
    assert inversions(messages, stream) == 2 * rate // 5
    assert sorted(stamps(messages, stream)) == stamps(list(pair(rate)), stream)


@pytest.mark.parametrize('rate', RATES)
@pytest.mark.parametrize('stream', ['rgb', 'x'])
def test_jitter_keeps_the_order_at_every_rate(stream: Stream, rate: int) -> None:
    messages = sent(f'{stream} jitter of half a period', rate)
    assert inversions(messages, stream) == 0
    late = [m.time_ns - m.stamp_ns for m in messages if m.stream == stream]
    assert max(late) - min(late) > 0.3 * SECOND / rate


@pytest.mark.parametrize('name', faults('depth', START, SECOND // 15))
def test_no_message_is_later_than_the_fault_says(name: str) -> None:
    fault = faults('depth', START, SECOND // 15)[name]
    edit = fault.edit()
    late = [each.time_ns - message.time_ns for message in pair(15) for each in edit(message)]
    assert max(late, default=0) <= fault.late_ns


@pytest.mark.parametrize('kind', ['lossy', 'jitter of half a period'])
def test_streams_that_fail_together_fail_apart(kind: str) -> None:
    catalogue = faults('depth', START, SECOND // 30)
    both = list(catalogue[f'x {kind}'].apply(catalogue[f'rgb {kind}'].apply(pair(30))))
    rgb, x = (
        {m.stamp_ns: m.time_ns - m.stamp_ns for m in both if m.stream == stream} for stream in ('rgb', 'x')
    )
    assert rgb.keys() != x.keys() or len({x[stamp] - rgb[stamp] for stamp in rgb}) > 20
    again = faults('depth', START, SECOND // 30)[f'x {kind}'].apply(pair(30))
    assert [m.time_ns for m in again if m.stream == 'x'] == [m.time_ns for m in both if m.stream == 'x']


def test_every_fault_bears_depth_in_metres() -> None:
    for fault in faults('depth', START, SECOND // 10).values():
        list(fault.apply(pair(10, np.ones((4, 6), np.float32))))


def test_saturated_depth_is_the_end_of_its_scale() -> None:
    for dtype, most in ((np.uint16, 65535), (np.float32, np.inf)):
        fault = faults('depth', START, SECOND // 10)['x saturated']
        struck = [m.image for m in fault.apply(pair(10, np.ones((4, 6), dtype))) if m.stream == 'x'][15]
        assert (struck == most).all()
        assert struck.dtype == dtype
        assert ContentCheck('depth').problem(struck)
