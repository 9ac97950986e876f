"""The camera's intrinsics, and with them the place of the target."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from ..sensing.position import Camera, target_position
from ..types import Box, Image

TOPICS = ('rgb/camera_info', 'x/camera_info')  # X is registered to RGB, so either will do; RGB's goes first


class CameraInput:
    """Remembers the newest camera_info of either stream. `locate` is what a session asks for positions."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._infos: dict[str, CameraInfo] = {}
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscriptions = [
            node.create_subscription(
                CameraInfo, topic, lambda info, topic=topic: self._infos.__setitem__(topic, info), qos
            )
            for topic in TOPICS
        ]

    def locate(self, depth: Image, box: Box) -> tuple[float, float, float] | None:
        """The target's place, m, camera optical frame; None without usable depth or intrinsics."""
        info = next((self._infos[topic] for topic in TOPICS if topic in self._infos), None)
        if info is None or not (info.k[0] > 0 and info.k[4] > 0):  # an uncalibrated camera sends zeros
            return None
        if info.width and (info.height, info.width) != depth.shape[:2]:
            self._node.get_logger().warning(
                f'no position: camera_info is of {info.width}x{info.height} pixels, depth has '
                f'{depth.shape[1]}x{depth.shape[0]}; remap the camera_info of the registered images',
                throttle_duration_sec=30.0,
            )
            return None
        return target_position(depth, box, Camera(info.k[0], info.k[4], info.k[2], info.k[5]))

    def destroy(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
