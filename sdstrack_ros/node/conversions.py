"""Headers and pictures into ROS messages; reading them is sensing/encodings.py's."""

from __future__ import annotations

import array
import sys

import numpy as np
from sensor_msgs.msg import Image as ImageMsg
from std_msgs.msg import Header

from ..types import Frame, Image

_SECOND = 1_000_000_000


def stamp_of(header: Header) -> int:
    """The stamp in nanoseconds."""
    return int(header.stamp.sec) * _SECOND + int(header.stamp.nanosec)


def header_of(frame: Frame) -> Header:
    """The header that the frame came with."""
    header = Header(frame_id=frame.frame_id)
    header.stamp.sec, header.stamp.nanosec = divmod(frame.stamp_ns, _SECOND)
    return header


def image_message(image: Image, encoding: str, header: Header) -> ImageMsg:
    """An Image message of a (H,W) or (H,W,C) array.

    Through array.array, which rclpy takes as it is: an ndarray given to `Image.data` is walked through byte
    by byte, 50 ms a frame.
    """
    contiguous = np.ascontiguousarray(image)
    data = array.array('B')
    data.frombytes(contiguous.data.cast('B'))
    height, width = image.shape[:2]
    return ImageMsg(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=sys.byteorder == 'big',
        step=contiguous.nbytes // height,
        data=data,
    )
