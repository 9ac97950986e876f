"""Event camera packets to the picture the model knows, one for every RGB frame.

The picture shows where brightness changed in the time before the frame: white ground, blue where it rose
(ON), red where it fell (OFF), and red where it did both.

    accumulator = EventAccumulator()
    accumulator.add(EventPacket.from_message(msg))      # every packet, in order
    picture = accumulator.picture(rgb_stamp_ns)         # None where no packet covers that time
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ..settings import check, setting
from ..types import Image
from .evt3 import LIBCAER_CMP, EventDecoder, decoder_for

# event_camera_msgs is no dependency: a bag can be read with this text, whose type hash equals the package's.
EVENT_PACKET_TYPE = 'event_camera_msgs/msg/EventPacket'
EVENT_PACKET_DEFINITION = """\
std_msgs/Header header
uint32 height
uint32 width
uint64 seq
uint64 time_base
string encoding
bool is_bigendian
uint8[] events
"""

GROUND, ON, OFF = 0, 1, 2
PALETTE = np.zeros((256, 1, 3), np.uint8)
PALETTE[[GROUND, ON, OFF], 0] = (255, 255, 255), (0, 0, 255), (255, 0, 0)  # RGB

CLOCK_DRIFT = 1e-4  # most by which a camera's clock runs slow against the host's
CLOCK_JUMP_NS = 1_000_000_000


@dataclass(frozen=True)
class EventSettings:
    """Which events a picture shows."""

    window: float = setting(
        0.04, 'time before the frame that its event picture shows, s', minimum=0.001, maximum=1.0
    )
    memory: float = setting(
        0.5, 'time for which events are kept for frames that come late, s', minimum=0.0, maximum=10.0
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, eq=False)
class EventPacket:
    """One event_camera_msgs/EventPacket. data: any buffer of uint8."""

    stamp_ns: int
    seq: int
    width: int
    height: int
    encoding: str
    data: Any
    time_base_ns: int = 0
    big_endian: bool = False

    @classmethod
    def from_message(cls, msg: Any) -> EventPacket:
        """From the message as rclpy or rosbags deliver it; the events are not copied."""
        return cls(
            stamp_ns=msg.header.stamp.sec * 1_000_000_000 + msg.header.stamp.nanosec,
            seq=msg.seq,
            width=msg.width,
            height=msg.height,
            encoding=msg.encoding,
            data=msg.events,
            time_base_ns=msg.time_base,
            big_endian=msg.is_bigendian,
        )


def render_events(x: Image, y: Image, on: Image, width: int, height: int) -> Image:
    """The picture of these events, uint8 RGB (height,width,3). x, y: integers (N,), on: truth values (N,)."""
    return _painted(np.asarray(y, np.int64) * width + x, np.asarray(on, np.bool_), (height, width))


class EventAccumulator:
    """Decodes the packets of one event camera and renders what they say about the time before a frame."""

    def __init__(self, settings: EventSettings | None = None) -> None:
        self._settings = settings or EventSettings()
        self.lost_packets = 0
        self.reset()

    def reset(self) -> None:
        """Forget the camera: its size, clock, state and events."""
        self._source: tuple[str, int, int] | None = None
        self._decoder: EventDecoder | None = None
        self._last_seq: int | None = None
        self._clock = _Clock()
        self._history = _History(self._settings.window + self._settings.memory)

    @property
    def newest_ns(self) -> int | None:
        """Time up to which events are known; None before the first packet."""
        return self._history.until_ns

    def covers(self, stamp_ns: int) -> bool:
        """Whether all events that the picture for this stamp shows have arrived."""
        return self.newest_ns is not None and self.newest_ns >= stamp_ns

    def add(self, packet: EventPacket) -> None:
        """Take the next packet; where `seq` tells that some are missing, they are counted as lost.

        EventDataError where it cannot be decoded; the packets after it can.
        """
        source = (packet.encoding, packet.width, packet.height)
        restarted = self._last_seq is not None and packet.seq < self._last_seq
        if self._decoder is None or source != self._source or restarted:
            self.reset()
            self._decoder, self._source = decoder_for(*source), source
        elif packet.seq == self._last_seq:
            return  # the same packet again
        elif self._last_seq is not None and packet.seq > self._last_seq + 1:
            self.lost_packets += packet.seq - self._last_seq - 1
            self._decoder.resync()
        self._last_seq = packet.seq

        events = self._decoder.decode(packet.data, packet.big_endian)
        now_us = self._decoder.now_us
        if now_us is None:
            return
        if packet.encoding == LIBCAER_CMP.name:
            offset_ns = packet.time_base_ns  # this encoding counts from the packet's own ROS time
        else:
            first_us = int(events.t_us[0]) if events.t_us.size else now_us
            offset_ns = self._clock.offset_ns(packet.stamp_ns, first_us * 1000)
        pixel = events.y.astype(np.int32) * packet.width + events.x
        self._history.add(now_us * 1000 + offset_ns, _Batch(events.t_us * 1000 + offset_ns, pixel, events.on))

    def picture(self, stamp_ns: int) -> Image | None:
        """What moved in the window before this time, uint8 RGB (H,W,3); None where nothing is known of it."""
        events = self._history.between(stamp_ns - round(self._settings.window * 1e9), stamp_ns)
        if events is None or self._source is None:
            return None
        _, width, height = self._source
        return _painted(events.pixel, events.on, (height, width))


class _Batch(NamedTuple):
    """Events in order of time, on the host's clock."""

    t_ns: npt.NDArray[np.int64]
    pixel: npt.NDArray[np.int32]  # y * width + x
    on: npt.NDArray[np.bool_]

    def between(self, start_ns: int, stop_ns: int) -> _Batch:
        """The events of [start, stop)."""
        inside = slice(*self.t_ns.searchsorted((start_ns, stop_ns)))
        return _Batch(self.t_ns[inside], self.pixel[inside], self.on[inside])


NOTHING = _Batch(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.bool_))


class _History:
    """The last batches of events, and the stretch of time they tell of."""

    def __init__(self, length: float) -> None:
        self._length_ns = round(length * 1e9)
        self._batches: deque[_Batch] = deque()
        self.since_ns: int | None = None
        self.until_ns: int | None = None

    def add(self, now_ns: int, batch: _Batch) -> None:
        """Take the events of one packet, which tells of the time up to `now_ns`."""
        first_ns = int(batch.t_ns[0]) if batch.t_ns.size else now_ns
        if self.until_ns is None or abs(now_ns - self.until_ns) > CLOCK_JUMP_NS:
            self._batches.clear()
            self.since_ns = first_ns
        self.until_ns = now_ns
        kept_ns = now_ns - self._length_ns
        self.since_ns = kept_ns if self.since_ns is None else max(self.since_ns, kept_ns)
        if batch.t_ns.size:
            self._batches.append(batch)
        while self._batches and int(self._batches[0].t_ns[-1]) < kept_ns:
            self._batches.popleft()

    def between(self, start_ns: int, stop_ns: int) -> _Batch | None:
        """The events of [start, stop); None where no part of it is known."""
        if self.since_ns is None or self.until_ns is None:
            return None
        if stop_ns <= self.since_ns or start_ns > self.until_ns:
            return None
        parts = [NOTHING] + [batch.between(start_ns, stop_ns) for batch in self._batches]
        return _Batch(*map(np.concatenate, zip(*parts, strict=True)))


class _Clock:
    """Where the camera's clock stands on the host's, from packets that arrive late by varying amounts.

    A packet is never early, so the smallest difference seen is the best one; it may grow again by no more
    than the clocks drift apart. A difference far off means that camera or host have set their clock.
    """

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._stamp_ns = 0

    def offset_ns(self, stamp_ns: int, camera_ns: int) -> int:
        """Host time minus camera time, given a packet's stamp and the camera time of its first event."""
        seen = stamp_ns - camera_ns
        if self._offset_ns is None or abs(seen - self._offset_ns) > CLOCK_JUMP_NS:
            self._offset_ns = seen
        else:
            drift = int(CLOCK_DRIFT * max(0, stamp_ns - self._stamp_ns))
            self._offset_ns = min(seen, self._offset_ns + drift)
        self._stamp_ns = stamp_ns
        return self._offset_ns


def _painted(pixel: npt.NDArray[Any], on: npt.NDArray[np.bool_], shape: tuple[int, int]) -> Image:
    marks = np.full(shape[0] * shape[1], GROUND, np.uint8)
    marks[pixel[on]] = ON
    marks[pixel[~on]] = OFF  # after ON: where both happened the picture is red
    return cv2.applyColorMap(marks.reshape(shape), PALETTE)
