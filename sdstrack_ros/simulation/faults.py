"""What goes wrong with camera streams, as transformations of a stream of messages.

    messages = camera_pair(...)                             # any iterable of Message in order of time
    fault = faults('depth', start_ns, period_ns)['x stopped for 1 s']
    for message in fault.apply(messages): ...               # the same, with the fault in it

Nothing here sends or waits: the same definitions drive the tests of the pure core with a made-up clock
and the publisher that sends them over the wire. Streams are never stored, so they may be endless.
"""

from __future__ import annotations

import dataclasses
import heapq
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from ..types import Image, Modality, Mode, SensorState

Stream = Literal['rgb', 'x']
Link = Literal['fine', 'gone', 'incompatible']

MS = 1_000_000
SECOND = 1_000_000_000
FOR_GOOD = 1 << 62
"""An end that never comes, ns."""


@dataclass(frozen=True, eq=False)
class Message:
    """One image on its way from a sensor.

    time_ns: when it is sent. encoding: a wrong one that it claims to have. payload: the share of its
    bytes that it holds.
    """

    time_ns: int
    stream: Stream
    stamp_ns: int
    image: Image
    encoding: str = ''
    payload: float = 1.0


Edit = Callable[[Message], Iterable[Message]]
"""What becomes of one message: nothing, another one, or several, none of them sent earlier."""


@dataclass(frozen=True)
class Fault:
    """A fault, when it is there, and what is to be expected of the tracker meanwhile.

    modes: those that the answers may have. state: what the monitor has to say of the struck sensors, where
    it has to notice. link: what happens to the publisher itself, for those who have one. late_ns: by how much
    at most its messages are sent later than without it.
    """

    name: str
    streams: tuple[Stream, ...]
    edit: Callable[[], Edit]
    start_ns: int
    end_ns: int
    modes: frozenset[Mode]
    state: SensorState | None = None
    link: Link = 'fine'
    late_ns: int = 0

    def apply(self, messages: Iterable[Message]) -> Iterator[Message]:
        """The messages with the fault in them, in order of time."""
        edit, late, count = self.edit(), list[tuple[int, int, Message]](), 0
        for message in messages:
            while late and late[0][0] <= message.time_ns:
                yield heapq.heappop(late)[2]
            struck = message.stream in self.streams and self.start_ns <= message.time_ns < self.end_ns
            for each in edit(message) if struck else (message,):
                heapq.heappush(late, (each.time_ns, count, each))
                count += 1
        while late:
            yield heapq.heappop(late)[2]


def stopped() -> Edit:
    return lambda message: ()


def half_rate() -> Edit:
    """Every second message of each stream is missing."""
    odd: dict[Stream, bool] = {}

    def edit(message: Message) -> Iterable[Message]:
        odd[message.stream] = not odd.get(message.stream, False)
        return (message,) if odd[message.stream] else ()

    return edit


def lossy(share: float, name: str) -> Edit:
    """A share of the messages is lost at random; those of another name are others."""
    rng = _random(name)
    return lambda message: () if rng.random() < share else (message,)


def jitter(most_ns: int, name: str) -> Edit:
    """Messages come late by a random time up to `most_ns`, another one by name; their stamps are right."""
    rng = _random(name)
    return lambda message: (_later(message, int(rng.integers(most_ns))),)


def delayed(by_ns: int) -> Edit:
    return lambda message: (_later(message, by_ns),)


def clock_offset(by_ns: int) -> Edit:
    return lambda message: (dataclasses.replace(message, stamp_ns=message.stamp_ns + by_ns),)


def out_of_order(by_ns: int, every: int = 5) -> Edit:
    """Now and then a message is overtaken by the next ones."""
    count = 0

    def edit(message: Message) -> Iterable[Message]:
        nonlocal count
        count += 1
        return (_later(message, by_ns) if count % every == 0 else message,)

    return edit


def sent_twice() -> Edit:
    return lambda message: (message, _later(message, MS))


def stamps_stand_still() -> Edit:
    """Every message has the stamp of the first one."""
    stamps: dict[Stream, int] = {}
    return lambda message: (
        dataclasses.replace(message, stamp_ns=stamps.setdefault(message.stream, message.stamp_ns)),
    )


def zero_stamps() -> Edit:
    return lambda message: (dataclasses.replace(message, stamp_ns=0),)


def frozen() -> Edit:
    """The image of the first message again and again."""
    first: dict[Stream, Image] = {}
    return _image(lambda message: first.setdefault(message.stream, message.image))


def black() -> Edit:
    """All zero: a covered lens, or no depth at all."""
    return _image(lambda message: np.zeros_like(message.image))


def saturated() -> Edit:
    """The end of the scale everywhere; in metres that is what depth cameras say of all that is too far."""
    return _image(lambda message: np.full_like(message.image, _most(message.image.dtype)))


def not_a_number() -> Edit:
    """Depth in metres without one measurement."""
    return _image(lambda message: np.full(message.image.shape[:2], np.nan, np.float32))


def other_size() -> Edit:
    """Half as wide and high, in flight."""
    return _image(lambda message: np.ascontiguousarray(message.image[::2, ::2]))


def wrong_encoding() -> Edit:
    return lambda message: (dataclasses.replace(message, encoding='bayer_of_mars'),)


def truncated() -> Edit:
    return lambda message: (dataclasses.replace(message, payload=0.6),)


def _most(dtype: np.dtype) -> float:
    return np.inf if np.issubdtype(dtype, np.floating) else np.iinfo(dtype).max


def _random(name: str) -> np.random.Generator:
    """The same for the same name, so that a trial can be repeated."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def _later(message: Message, by_ns: int) -> Message:
    return dataclasses.replace(message, time_ns=message.time_ns + by_ns)


def _image(change: Callable[[Message], Image]) -> Edit:
    return lambda message: (dataclasses.replace(message, image=change(message)),)


FUSED, RGB_ONLY, X_ONLY, BLIND = (
    frozenset({mode}) for mode in (Mode.FUSED, Mode.RGB_ONLY, Mode.X_ONLY, Mode.BLIND)
)
STALE, INVALID = SensorState.STALE, SensorState.INVALID


def faults(modality: Modality | str, start_ns: int, period_ns: int) -> dict[str, Fault]:
    """Every fault by its name, from `start_ns` on; most last for a second or two.

    period_ns: of both streams. What overtakes what depends on it; the names do not.
    """
    found = [*_of_both(start_ns)]
    for stream in ('rgb', 'x'):
        found += _of_one(stream, start_ns, period_ns)
        found += _of_content(stream, start_ns, Modality(modality))
    return {fault.name: fault for fault in found}


def _of_one(stream: Stream, start_ns: int, period_ns: int) -> Iterator[Fault]:
    """Faults in time: the images that come are good."""
    without = X_ONLY if stream == 'rgb' else RGB_ONLY
    some = FUSED | without

    def fault(
        what: str,
        edit: Callable[[], Edit],
        modes: frozenset[Mode],
        state: SensorState | None = None,
        s: float = 2.0,
        late_ns: int = 0,
    ) -> Fault:
        end_ns = start_ns + int(s * SECOND)
        return Fault(f'{stream} {what}', (stream,), edit, start_ns, end_ns, modes, state, late_ns=late_ns)

    yield fault('stopped for 0.2 s', stopped, some, s=0.2)
    yield fault('stopped for 1 s', stopped, some, STALE, s=1.0)
    yield fault('stopped for 5 s', stopped, some, STALE, s=5.0)
    yield Fault(f'{stream} stopped for good', (stream,), stopped, start_ns, FOR_GOOD, some, STALE)
    yield Fault(
        f'{stream} missing at the start', (stream,), stopped, 0, start_ns, some, SensorState.NOT_RECEIVED
    )
    yield dataclasses.replace(fault('publisher killed and restarted', stopped, some, STALE), link='gone')
    yield dataclasses.replace(fault('QoS mismatch', stopped, some, STALE), link='incompatible')
    yield fault('at half rate', half_rate, some)
    yield fault('lossy', partial(lossy, 0.5, f'{stream} lossy'), some)
    half = period_ns // 2  # nothing is overtaken: that is another fault
    yield fault('jitter of half a period', partial(jitter, half, f'{stream} jitter'), some, late_ns=half)
    for ms in (100, 300, 500):
        by = ms * MS
        yield fault(f'delayed by {ms} ms', partial(delayed, by), some | RGB_ONLY, late_ns=by)
    for ms in (-450, 450):
        yield fault(f'clock {ms:+d} ms off', partial(clock_offset, ms * MS), some | RGB_ONLY)
    two = period_ns * 12 // 5  # and not quite a half: two messages overtake one, by a margin
    yield fault('out of order', partial(out_of_order, two), some, late_ns=two)
    yield fault('sent twice', sent_twice, FUSED, late_ns=MS)
    yield fault('stamps stand still', stamps_stand_still, some, INVALID)
    yield fault('stamps zero', zero_stamps, some, INVALID)


def _of_content(stream: Stream, start_ns: int, modality: Modality) -> Iterator[Fault]:
    """Faults of the images, which come in time."""
    without = FUSED | (X_ONLY if stream == 'rgb' else RGB_ONLY)
    kinds: dict[str, Callable[[], Edit]] = {
        'frozen': frozen,
        'black': black,
        'saturated': saturated,
        'of another size': other_size,
        'in a wrong encoding': wrong_encoding,
        'truncated': truncated,
    }
    if stream == 'x' and modality is Modality.DEPTH:
        kinds['all NaN'] = not_a_number
    if stream == 'x' and modality is Modality.EVENT:
        del kinds['saturated']  # white is a scene at rest
    for name, edit in kinds.items():
        yield Fault(f'{stream} {name}', (stream,), edit, start_ns, start_ns + 2 * SECOND, without, INVALID)


def _of_both(start_ns: int) -> Iterator[Fault]:
    def fault(what: str, edit: Callable[[], Edit], end_ns: int, state: SensorState | None = None) -> Fault:
        return Fault(what, ('rgb', 'x'), edit, start_ns, end_ns, FUSED | RGB_ONLY | X_ONLY, state)

    for s in (0.2, 1, 5):
        end_ns = start_ns + int(s * SECOND)
        yield fault(f'both stopped for {s:g} s', stopped, end_ns, STALE if s > 0.5 else None)
    yield fault('both black', black, start_ns + 2 * SECOND, INVALID)
    yield fault('clock set back by 2 s', partial(clock_offset, -2 * SECOND), FOR_GOOD)
    yield fault('clock set ahead by an hour', partial(clock_offset, 3600 * SECOND), FOR_GOOD)
    yield fault('clock ahead by an hour for a while', partial(clock_offset, 3600 * SECOND), start_ns + SECOND)
