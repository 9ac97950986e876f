"""Sends messages at the times of a recording, and waits for nobody.

player = Player(station, {'rgb/image_raw': Image, 'x/image_raw': Image})
player.play(outgoing)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from .station import Station

_SECOND = 1_000_000_000
_CLOCK_PERIOD_NS = 10_000_000
_MARGIN_NS = _SECOND // 5  # for which the clock runs before the first message and after the last one


class Outgoing(NamedTuple):
    """A message, serialised as in a bag or as an object of ROS. due_ns: when, by the clock that is played."""

    due_ns: int
    topic: str
    stamp_ns: int
    message: object


class Player:
    """Publishers of these topics and types, relative to the tracker's namespace.

    sent: (topic, stamp) to time.monotonic_ns() at which the message went out.
    """

    def __init__(
        self,
        station: Station,
        topics: Mapping[str, type],
        reliability: ReliabilityPolicy = ReliabilityPolicy.BEST_EFFORT,
    ) -> None:
        self.sent: dict[tuple[str, int], int] = {}
        self._station = station
        self._types = dict(topics)
        self._publishers = {topic: self._publisher(topic, reliability) for topic in topics}
        self._clock = station.node.create_publisher(Clock, '/clock', 1)

    def wait_matched(self) -> None:
        """Until the tracker listens to every topic."""
        for topic in self._publishers:
            self._station.wait_for(partial(self.matched_on, topic), f'a subscription of {topic}')

    @property
    def matched(self) -> bool:
        """Whether the tracker listens to any of the topics."""
        return any(map(self.matched_on, self._publishers))

    def matched_on(self, topic: str) -> bool:
        """Whether the tracker listens to this topic."""
        return self._publishers[topic].get_subscription_count() > 0

    def play(
        self,
        outgoing: Iterable[Outgoing],
        speed: float = 1.0,
        before: Callable[[Outgoing], None] = lambda message: None,
        live: bool = False,
    ) -> None:
        """Send everything when it is due, by a clock of its own that is told on /clock.

        So the tracker (use_sim_time) sees the times of the recording at any speed. before: called when a
        message is due. live: what is due by the computer's clock, as from a camera, not as recorded.
        """
        pace: _Pace | None = None
        for each in outgoing:
            if pace is None:
                in_ns = each.due_ns - time.time_ns() if live else _MARGIN_NS
                pace = _Pace(each.due_ns, time.monotonic() + in_ns / _SECOND, speed)
            self._let_pass(pace, each.due_ns)
            self._tell(each.due_ns)
            before(each)
            self.send(each)
        if pace is not None:
            self._let_pass(pace, pace.next_tick_ns + _MARGIN_NS)

    def send(self, outgoing: Outgoing) -> None:
        """Send it now. A topic whose publisher was taken away is not heard."""
        publisher = self._publishers.get(outgoing.topic)
        if publisher is not None:
            self.sent[outgoing.topic, outgoing.stamp_ns] = time.monotonic_ns()
            publisher.publish(outgoing.message)

    def take_away(self, topic: str) -> None:
        """Destroy the publisher: its driver has ended."""
        self._station.node.destroy_publisher(self._publishers.pop(topic))

    def put_back(self, topic: str, reliability: ReliabilityPolicy) -> None:
        """A publisher again, maybe with another reliability."""
        self._publishers[topic] = self._publisher(topic, reliability)

    def _publisher(self, topic: str, reliability: ReliabilityPolicy) -> Publisher:
        qos = QoSProfile(depth=5, reliability=reliability)
        return self._station.node.create_publisher(self._types[topic], topic, qos)

    def _let_pass(self, pace: _Pace, until_ns: int) -> None:
        """Spin until then, with the clock ticking."""
        while pace.next_tick_ns < until_ns:
            self._station.spin_until(pace.moment(pace.next_tick_ns))
            self._tell(pace.next_tick_ns)
            pace.next_tick_ns += _CLOCK_PERIOD_NS
        self._station.spin_until(pace.moment(until_ns))

    def _tell(self, now_ns: int) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(now_ns, _SECOND)
        self._clock.publish(message)


class _Pace:
    """When the played clock shows what, in terms of time.monotonic()."""

    def __init__(self, first_ns: int, first_at: float, speed: float) -> None:
        self.next_tick_ns = first_ns - _MARGIN_NS
        self._first_ns = first_ns
        self._first_at = first_at
        self._speed = speed

    def moment(self, at_ns: int) -> float:
        return self._first_at + (at_ns - self._first_ns) / _SECOND / self._speed
