"""Writes sequences as rosbag2 (mcap): images, camera_info and the true boxes. No ROS needed.

with BagWriter(Path('demo_bag'), Modality.DEPTH) as bag:
    bag.write_rgb(stamp_ns, rgb)
    bag.write_x(stamp_ns, depth)
    bag.write_truth(stamp_ns, box)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from ..errors import DatasetError
from ..types import Box, Image, Modality, TargetState
from .bag_types import CAMERA_INFO, IMAGE, TRACKED_BOX, bag_types

ENCODINGS = {(3, 'uint8'): 'rgb8', (2, 'uint8'): 'mono8', (2, 'uint16'): '16UC1', (2, 'float32'): '32FC1'}


@dataclass(frozen=True)
class BagTopics:
    """Topic names of a bag; `for_modality` gives the usual ones."""

    rgb: str
    x: str
    camera_info: str
    truth: str

    @classmethod
    def for_modality(cls, modality: Modality) -> BagTopics:
        return cls(
            rgb='/camera/rgb/image_raw',
            x=f'/camera/{modality.value}/image_raw',
            camera_info='/camera/rgb/camera_info',
            truth='/truth/bbox',
        )


class BagWriter:
    """See the module; the folder must not exist yet. Messages are received when they are stamped."""

    def __init__(
        self,
        folder: Path,
        modality: Modality,
        *,
        topics: BagTopics | None = None,
        frame_id: str = 'camera_optical_frame',
        storage: StoragePlugin = StoragePlugin.MCAP,
    ) -> None:
        self.topics = topics or BagTopics.for_modality(modality)
        self._frame_id = frame_id
        self._types = bag_types()
        self._connections: dict[str, Connection] = {}
        try:
            self._writer = Writer(folder, version=8, storage_plugin=storage)
            self._writer.open()
        except (WriterError, OSError) as error:
            raise DatasetError(f'{folder}: cannot write a bag there: {error}') from None

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write_rgb(self, stamp_ns: int, image: Image, received_ns: int | None = None) -> None:
        """uint8 (H,W,3) RGB."""
        self._write_image(self.topics.rgb, stamp_ns, image, received_ns)

    def write_x(self, stamp_ns: int, image: Image, received_ns: int | None = None) -> None:
        """uint16 or float32 depth (H,W), uint8 or uint16 thermal (H,W), or uint8 (H,W,3)."""
        self._write_image(self.topics.x, stamp_ns, image, received_ns)

    def write_camera_info(self, stamp_ns: int, width: int, height: int, camera: Iterable[float]) -> None:
        """camera: fx, fy, cx, cy in pixels, of the RGB image and the X image registered to it."""
        fx, fy, cx, cy = camera
        types = self._types.types
        no_roi = types['sensor_msgs/msg/RegionOfInterest'](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        message = types[CAMERA_INFO](
            header=self._header(stamp_ns),
            height=height,
            width=width,
            distortion_model='plumb_bob',
            d=np.zeros(5),
            k=np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1], dtype=np.float64),
            r=np.eye(3).ravel(),
            p=np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0], dtype=np.float64),
            binning_x=0,
            binning_y=0,
            roi=no_roi,
        )
        self._write(self.topics.camera_info, CAMERA_INFO, stamp_ns, message)

    def write_truth(
        self, stamp_ns: int, box: Box | None, position: tuple[float, float, float] | None = None
    ) -> None:
        """The true box, None = not visible; position in the camera's optical frame, m."""
        x, y, z = position if position is not None else (0.0, 0.0, 0.0)
        center = box.center if box is not None else (0.0, 0.0)
        message = self._types.types[TRACKED_BOX](
            header=self._header(stamp_ns),
            target_id=1,
            state=int(TargetState.TRACKING if box is not None else TargetState.LOST),
            held=False,
            center_x=center[0],
            center_y=center[1],
            size_x=box.w if box is not None else 0.0,
            size_y=box.h if box is not None else 0.0,
            score=1.0 if box is not None else 0.0,
            mode=0,
            inference_time=0.0,
            has_position=position is not None,
            position=self._types.types['geometry_msgs/msg/Point'](x=x, y=y, z=z),
        )
        self._write(self.topics.truth, TRACKED_BOX, stamp_ns, message)

    def _write_image(self, topic: str, stamp_ns: int, image: Image, received_ns: int | None) -> None:
        encoding = ENCODINGS.get((image.ndim, image.dtype.name))
        if encoding is None:
            raise DatasetError(f'{topic}: no image encoding for {image.dtype} {image.shape}')
        pixels = np.ascontiguousarray(image)
        height, width = pixels.shape[:2]
        message = self._types.types[IMAGE](
            header=self._header(stamp_ns),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=pixels.nbytes // height,
            data=pixels.reshape(-1).view(np.uint8),
        )
        self._write(topic, IMAGE, stamp_ns if received_ns is None else received_ns, message)

    def _header(self, stamp_ns: int) -> Any:
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        types = self._types.types
        stamp = types['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds)
        return types['std_msgs/msg/Header'](stamp=stamp, frame_id=self._frame_id)

    def _write(self, topic: str, type_name: str, received_ns: int, message: Any) -> None:
        connection = self._connections.get(topic)
        if connection is None:
            connection = self._writer.add_connection(topic, type_name, typestore=self._types)
            self._connections[topic] = connection
        self._writer.write(connection, received_ns, self._types.serialize_cdr(message, type_name))
