"""How people and programs set the target: by topic, by service, by parameter; and how they drop it."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from sdstrack.msg import TrackedBox
from sdstrack.srv import SetTarget
from std_srvs.srv import Trigger

from ..errors import SdstrackError
from ..types import Box
from .conversions import stamp_of
from .inference import Inference


class TargetInputs:
    """Topic `target` (a TrackedBox: its header, centre and size), services `~/set_target` and `~/reset`.

    on_reset: called by `~/reset` after the target is dropped.
    """

    def __init__(self, node: Node, inference: Inference, on_reset: Callable[[], None]) -> None:
        self._node = node
        self._inference = inference
        self._on_reset = on_reset
        self._topic = node.create_subscription(TrackedBox, 'target', self._on_target, 1)
        self._set_target = node.create_service(SetTarget, '~/set_target', self._on_set_target)
        self._reset = node.create_service(Trigger, '~/reset', self._on_reset_call)

    def destroy(self) -> None:
        self._node.destroy_subscription(self._topic)
        self._node.destroy_service(self._set_target)
        self._node.destroy_service(self._reset)

    def set_target(self, box: Box, stamp_ns: int) -> tuple[int, str]:
        """Id of the new target, or 0 where it is refused, and what is to be said about it. Logs either."""
        logger = self._node.get_logger()
        try:
            target_id, message = self._inference.set_target(box, stamp_ns)
        except SdstrackError as error:
            logger.warning(f'target refused: {error}')
            return 0, str(error)
        message = f'target {target_id} at {", ".join(f"{v:.1f}" for v in box)} (x, y, w, h): {message}'
        logger.info(message)
        return target_id, message

    def _on_target(self, msg: TrackedBox) -> None:
        self.set_target(_box(msg), stamp_of(msg.header))

    def _on_set_target(self, request: SetTarget.Request, response: SetTarget.Response) -> SetTarget.Response:
        response.target_id, response.message = self.set_target(_box(request), stamp_of(request.header))
        response.accepted = response.target_id > 0
        return response

    def _on_reset_call(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._inference.reset()
        self._on_reset()
        response.success, response.message = True, 'target dropped'
        self._node.get_logger().info(response.message)
        return response


def _box(message: TrackedBox | SetTarget.Request) -> Box:
    return Box.from_center(message.center_x, message.center_y, message.size_x, message.size_y)
