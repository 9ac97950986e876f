"""What goes out for every processed frame: the box, the same as vision_msgs, and a picture for people."""

from __future__ import annotations

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.qos_overriding_options import QoSOverridingOptions
from sdstrack.msg import TrackedBox
from sensor_msgs.msg import Image as ImageMsg
from std_msgs.msg import Header

from ..tracking.session import Estimate
from ..types import Frame, Image, Mode, Observation, TargetState
from .conversions import header_of, image_message

try:
    from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose
except ImportError:  # not installable by pip; the box topic says the same
    Detection2DArray = None

_COLORS = {
    TargetState.TRACKING: (0, 220, 0),
    TargetState.UNCERTAIN: (255, 180, 0),
    TargetState.LOST: (230, 0, 0),
}


def box_message(header: Header, estimate: Estimate, inference_ns: int) -> TrackedBox:
    message = TrackedBox(
        header=header,
        target_id=estimate.target_id,
        state=int(estimate.state),
        held=estimate.held,
        score=float(estimate.score),
        mode=int(estimate.mode),
        inference_time=inference_ns / 1e9,
    )
    if estimate.box is not None:
        message.center_x, message.center_y = estimate.box.center
        message.size_x, message.size_y = estimate.box.w, estimate.box.h
    if estimate.position is not None:
        message.has_position = True
        message.position.x, message.position.y, message.position.z = map(float, estimate.position)
    return message


class AnswerPublishers:
    """Topics bbox, detections (where vision_msgs is installed), debug_image (while someone listens)."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lead: Frame | None = None
        overridable = QoSOverridingOptions.with_default_policies()
        self._bbox = node.create_publisher(TrackedBox, 'bbox', 10, qos_overriding_options=overridable)
        self._detections = (
            node.create_publisher(Detection2DArray, 'detections', 10, qos_overriding_options=overridable)
            if Detection2DArray is not None
            else None
        )
        # Reliable, so that viewers of either kind see it; only the newest picture waits for a slow one.
        self._debug_image = node.create_publisher(
            ImageMsg, 'debug_image', 1, qos_overriding_options=overridable
        )

    def publish(self, observation: Observation, estimate: Estimate, inference_ns: int) -> None:
        """Tell of one observation; of one without frames under the header of the last that had some.

        inference_ns: what the tracker itself took for it.
        """
        if observation.mode is not Mode.BLIND:
            self._lead = observation.lead
        if self._lead is None:
            return
        header = header_of(self._lead)
        self._bbox.publish(box_message(header, estimate, inference_ns))
        if self._detections is not None:
            self._detections.publish(detections_message(header, estimate))
        if self._debug_image.get_subscription_count() > 0:
            picture = draw(self._lead, estimate)
            self._debug_image.publish(image_message(picture, 'rgb8', header))

    def destroy(self) -> None:
        for publisher in (self._bbox, self._detections, self._debug_image):
            if publisher is not None:
                self._node.destroy_publisher(publisher)


def draw(frame: Frame, estimate: Estimate) -> Image:
    """A copy of the picture with the box (thin where held) and the state: uint8 (H,W,3) RGB."""
    image = frame.image
    if image.dtype != np.uint8:
        finite = np.nan_to_num(image.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        image = cv2.normalize(finite, np.empty_like(finite), 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else np.array(image, order='C')
    color = _COLORS.get(estimate.state, (200, 200, 200))
    if estimate.box is not None:
        x, y, w, h = estimate.box
        corners = (round(x), round(y)), (round(x + w), round(y + h))
        cv2.rectangle(picture, *corners, color, 1 if estimate.held else 2)
    text = f'{estimate.state.name} {estimate.score:.2f} {Mode(estimate.mode).name}'
    cv2.putText(picture, text, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, color, 2, cv2.LINE_AA)
    return np.asarray(picture)


def detections_message(header: Header, estimate: Estimate) -> Detection2DArray:
    """As vision_msgs; empty while there is no target to be seen."""
    message = Detection2DArray(header=header)
    if estimate.box is None or estimate.state in (TargetState.IDLE, TargetState.LOST):
        return message
    detection = Detection2D(header=header, id=str(estimate.target_id))
    detection.bbox.center.position.x, detection.bbox.center.position.y = estimate.box.center
    detection.bbox.size_x, detection.bbox.size_y = estimate.box.w, estimate.box.h
    hypothesis = ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = 'target'
    hypothesis.hypothesis.score = float(estimate.score)
    if estimate.position is not None:
        point = hypothesis.pose.pose.position
        point.x, point.y, point.z = map(float, estimate.position)
    detection.results.append(hypothesis)
    message.detections.append(detection)
    return message
