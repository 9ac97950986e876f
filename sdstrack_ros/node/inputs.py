"""Input topics: a subscription in message_filters' shape, and what the middleware tells of its publishers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.event_handler import (
    QoSMessageLostInfo,
    QoSRequestedIncompatibleQoSInfo,
    QoSSubscriptionMatchedInfo,
    SubscriptionEventCallbacks,
)
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions

try:
    from message_filters import Subscriber
except ImportError:  # not installable by pip; the same shape from a plain subscription

    class Subscriber:  # type: ignore[no-redef]
        """What is used of message_filters.Subscriber."""

        def __init__(self, node: Node, msg_type: type, topic: str, **options: Any) -> None:
            self._callbacks: list[Callable[[Any], None]] = []
            self.sub = node.create_subscription(msg_type, topic, self._call, **options)

        def registerCallback(self, callback: Callable[[Any], None]) -> None:  # noqa: N802
            self._callbacks.append(callback)

        def _call(self, msg: Any) -> None:
            for callback in self._callbacks:
                callback(msg)


class Input:
    """One sensor topic: best effort and shallow by default, both open to qos_overrides parameters.

    publishers: how many are matched. incompatible_qos: the policy in which a publisher does not suit.
    lost: messages that were sent but that the middleware lost on their way.

    DEADLINE is not requested: a camera that does not offer it would become incompatible and stay silent.
    """

    def __init__(
        self, node: Node, msg_type: type, topic: str, callback: Callable[[Any], None], depth: int
    ) -> None:
        self._node = node
        self.publishers = 0
        self.incompatible_qos = ''
        self.lost = 0
        self._source = Subscriber(
            node,
            msg_type,
            topic,
            qos_profile=QoSProfile(depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT),
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=self._on_incompatible, matched=self._on_matched, message_lost=self._on_lost
            ),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._source.registerCallback(callback)

    @property
    def topic(self) -> str:
        """The full name, after remapping."""
        return str(self._source.sub.topic_name)

    def destroy(self) -> None:
        self._node.destroy_subscription(self._source.sub)

    def _on_matched(self, event: QoSSubscriptionMatchedInfo) -> None:
        self.publishers = event.current_count

    def _on_incompatible(self, event: QoSRequestedIncompatibleQoSInfo) -> None:
        self.incompatible_qos = qos_policy_name_from_kind(event.last_policy_kind)
        self._node.get_logger().error(
            f'{self.topic}: a publisher offers another {self.incompatible_qos} than is asked for, so nothing '
            f'of it arrives; set qos_overrides.{self.topic}.subscription.{self.incompatible_qos.lower()}'
        )

    def _on_lost(self, event: QoSMessageLostInfo) -> None:
        self.lost = event.total_count
