"""A ROS node opposite the tracker: it sends, it listens, and everything happens in one thread.

with NodeProcess(...) as process, Station(domain, process) as station:
    station.wait_active()
    station.set_target(box, stamp_ns)
    station.spin_until(time.monotonic() + 1.0)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from sdstrack.msg import TrackedBox, TrackerHealth
from sdstrack.srv import SetTarget
from std_srvs.srv import Trigger

from ..errors import NodeError
from ..node.main import use_shared_memory_profile
from ..types import Box
from .process import LOCAL, NAMESPACE, NodeProcess

PATIENCE_S = 120.0  # for a node that loads torch on a busy machine
_SPIN_S = 0.1
_SECOND = 1_000_000_000


class Station:
    """See the module. `on_box` and `on_health` are called with every message and time.monotonic_ns()."""

    def __init__(self, domain: int, process: NodeProcess) -> None:
        self.process = process
        self.health: TrackerHealth | None = None
        self.on_box: Callable[[TrackedBox, int], None] = lambda message, now_ns: None
        self.on_health: Callable[[TrackerHealth, int], None] = lambda message, now_ns: None
        os.environ.update(LOCAL)
        use_shared_memory_profile()
        self._context = rclpy.Context()
        rclpy.init(
            context=self._context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO, args=[]
        )
        self.node = Node('station', context=self._context, namespace=NAMESPACE)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        latched = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(TrackedBox, 'bbox', self._on_box, 100)
        self.node.create_subscription(TrackerHealth, 'health', self._on_health, latched)

    def __enter__(self) -> Station:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def spin_until(self, moment: float) -> None:
        """Take in what comes until time.monotonic() reaches `moment`, at least once."""
        while True:
            self._executor.spin_once(timeout_sec=max(0.0, moment - time.monotonic()))
            if time.monotonic() >= moment:
                return

    def wait_for(self, condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> None:
        """Spin until the condition holds. NodeError where it does not in time, or the node ends."""
        end = time.monotonic() + patience_s
        while not condition():
            self.process.check()
            if time.monotonic() > end:
                told = self.health.message if self.health is not None else 'nothing'
                raise NodeError(
                    f'waited {patience_s:g} s in vain for {what}; the node says: {told}; its log is '
                    f'{self.process.log}'
                )
            self._executor.spin_once(timeout_sec=_SPIN_S)

    def wait_active(self) -> None:
        """Until the node listens to its sensors. NodeError, with its words, where it cannot start."""

        def active_or_refused() -> bool:
            told = self.health
            return told is not None and (bool(told.rgb.name) or told.level == TrackerHealth.ERROR)

        self.wait_for(active_or_refused, 'the node to become active')
        assert self.health is not None
        if not self.health.rgb.name:
            raise NodeError(f'the node {self.health.message}')

    def set_target(self, box: Box, stamp_ns: int = 0) -> int:
        """Have the target followed from the frame with this stamp on (0: the newest); its id."""
        request = SetTarget.Request(size_x=float(box.w), size_y=float(box.h))
        request.center_x, request.center_y = map(float, box.center)
        request.header.stamp.sec, request.header.stamp.nanosec = divmod(stamp_ns, _SECOND)
        answer = self.call(SetTarget, 'tracker/set_target', request)
        if not answer.accepted:
            raise NodeError(f'the node refused the target: {answer.message}')
        return int(answer.target_id)

    def drop_target(self) -> None:
        self.call(Trigger, 'tracker/reset', Trigger.Request())

    def change_state(self, transition: int) -> bool:
        """Lead the node through its life cycle; `transition` is one of lifecycle_msgs.msg.Transition."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self.call(ChangeState, 'tracker/change_state', request).success)

    def call(self, service: type, name: str, request: Any) -> Any:
        """The answer of one of the node's services."""
        client = self.node.create_client(service, name)
        try:
            self.wait_for(client.service_is_ready, f'the service {name}')
            future = client.call_async(request)
            self.wait_for(future.done, f'an answer of the service {name}')
            return future.result()
        finally:
            self.node.destroy_client(client)

    def _on_box(self, message: TrackedBox) -> None:
        self.on_box(message, time.monotonic_ns())

    def _on_health(self, message: TrackerHealth) -> None:
        self.health = message
        self.on_health(message, time.monotonic_ns())
