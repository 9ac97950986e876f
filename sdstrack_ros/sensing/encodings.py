"""sensor_msgs images as NumPy arrays, from any object with the message's fields (rclpy's or rosbags').

This converter is used always, also where cv_bridge is installed: cv_bridge and rosbags-image read rows
without their padding (`step` larger than a row). Nothing is copied where the pixels can be seen in place:
rgb8, bgr8, rgba8, bgra8 and all depth come out as views of the message.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from ..errors import ImageError
from ..types import Image, Modality


class ImageMessage(Protocol):
    """The fields of sensor_msgs/Image that matter here."""

    height: int
    width: int
    encoding: str
    is_bigendian: Any
    step: int
    data: Any


class CompressedMessage(Protocol):
    """The fields of sensor_msgs/CompressedImage that matter here."""

    format: str
    data: Any


class _Layout(NamedTuple):
    """How the pixels of an encoding lie in memory, and what makes RGB of them."""

    dtype: str
    channels: int
    order: slice | None = None  # picks R, G, B from the channels
    code: int | None = None  # or an OpenCV conversion does


_FORWARD, _BACKWARD, _BACKWARD_ALPHA = slice(0, 3), slice(None, None, -1), slice(2, None, -1)
_LAYOUTS = {
    'rgb8': _Layout('u1', 3, _FORWARD),
    'bgr8': _Layout('u1', 3, _BACKWARD),
    '8UC3': _Layout('u1', 3, _BACKWARD),  # OpenCV's order, as cv_bridge writes it
    'rgba8': _Layout('u1', 4, _FORWARD),
    'bgra8': _Layout('u1', 4, _BACKWARD_ALPHA),
    '8UC4': _Layout('u1', 4, _BACKWARD_ALPHA),
    'rgb16': _Layout('u2', 3, _FORWARD),
    'bgr16': _Layout('u2', 3, _BACKWARD),
    'mono8': _Layout('u1', 1),
    '8UC1': _Layout('u1', 1),
    'mono16': _Layout('u2', 1),
    '16UC1': _Layout('u2', 1),
    '32FC1': _Layout('f4', 1),
    '64FC1': _Layout('f8', 1),
    'yuv422': _Layout('u1', 2, code=cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': _Layout('u1', 2, code=cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': _Layout('u1', 2, code=cv2.COLOR_YUV2RGB_YUY2),
    'yuyv': _Layout('u1', 2, code=cv2.COLOR_YUV2RGB_YUY2),
    'bayer_rggb8': _Layout('u1', 1, code=cv2.COLOR_BayerRGGB2RGB),
    'bayer_bggr8': _Layout('u1', 1, code=cv2.COLOR_BayerBGGR2RGB),
    'bayer_gbrg8': _Layout('u1', 1, code=cv2.COLOR_BayerGBRG2RGB),
    'bayer_grbg8': _Layout('u1', 1, code=cv2.COLOR_BayerGRBG2RGB),
}
_DEPTH_ENCODINGS = ('16UC1', 'mono16', '32FC1', '64FC1')
_COMPRESSED_DEPTH_HEADER = struct.Struct('<iff')  # format, and A and B of depth = A / (value - B)


def rgb_from_image(msg: ImageMessage) -> Image:
    """The RGB stream's picture: uint8 (H,W,3) RGB. Raises ImageError, naming the encoding and the remedy."""
    if msg.encoding in ('32FC1', '64FC1', '16UC1'):
        raise ImageError(f'encoding {msg.encoding!r} is depth, not a colour picture: check the RGB topic')
    return _three_channels(_to_rgb(msg))


def x_from_image(msg: ImageMessage, modality: Modality) -> Image:
    """The X stream's picture as the sensor gave it.

    depth: uint16 mm or float m (H,W) (REP 118). thermal: uint8 or uint16 (H,W), or uint8 (H,W,3).
    event: uint8 (H,W,3). Raises ImageError, naming the encoding and the remedy.
    """
    if modality is Modality.DEPTH:
        if msg.encoding not in _DEPTH_ENCODINGS:
            raise ImageError(
                f'encoding {msg.encoding!r} is not depth: publish 16UC1 or mono16 (mm) or 32FC1 (m)'
            )
        return _pixels(msg)
    if msg.encoding in ('32FC1', '64FC1'):
        raise ImageError(f'encoding {msg.encoding!r} is depth: set modality to depth or check the X topic')
    picture = _to_rgb(msg)
    return _three_channels(picture) if modality is Modality.EVENT else picture


def rgb_from_compressed(msg: CompressedMessage) -> Image:
    """As rgb_from_image, from JPEG or PNG."""
    return _three_channels(_color_order(_decompress(_bytes(msg), msg.format)))


def x_from_compressed(msg: CompressedMessage, modality: Modality) -> Image:
    """As x_from_image, from JPEG or PNG, and for depth from compressedDepth."""
    if 'compressedDepth' in msg.format:
        depth = _compressed_depth(msg)
        if modality is not Modality.DEPTH:
            raise ImageError(f'format {msg.format!r} is depth, but modality is {modality.value}')
        return depth
    picture = _decompress(_bytes(msg), msg.format)
    if modality is Modality.DEPTH:
        if picture.ndim != 2 or picture.dtype != np.uint16:
            raise ImageError(f'format {msg.format!r} does not hold 16-bit depth: use PNG or compressedDepth')
        return picture
    picture = _color_order(picture)
    return _three_channels(picture) if modality is Modality.EVENT else picture


def _pixels(msg: ImageMessage) -> Image:
    """A view of the message's pixels: (H,W) or (H,W,C), padding skipped, in this machine's byte order."""
    layout = _LAYOUTS.get(msg.encoding)
    if layout is None:
        raise ImageError(f'encoding {msg.encoding!r} is not supported; use one of {", ".join(_LAYOUTS)}')
    dtype = np.dtype(layout.dtype).newbyteorder('>' if msg.is_bigendian else '<')
    row = msg.width * layout.channels * dtype.itemsize
    if msg.width == 0 or msg.height == 0:
        raise ImageError(f'an image of {msg.width}x{msg.height} pixels is empty')
    if msg.step < row:
        raise ImageError(
            f'step {msg.step} is too small: {msg.width} pixels of {msg.encoding} need {row} bytes'
        )
    needed = msg.step * (msg.height - 1) + row
    if len(msg.data) < needed:
        raise ImageError(
            f'data is truncated: {len(msg.data)} bytes, but {msg.width}x{msg.height} {msg.encoding} '
            f'with step {msg.step} needs {needed}'
        )
    pixels: Image = np.ndarray(
        (msg.height, msg.width, layout.channels),
        dtype,
        buffer=msg.data,
        strides=(msg.step, layout.channels * dtype.itemsize, dtype.itemsize),
    )
    if not dtype.isnative:
        pixels = pixels.astype(dtype.newbyteorder('='))
    return pixels[..., 0] if layout.channels == 1 else pixels


def _to_rgb(msg: ImageMessage) -> Image:
    """(H,W,3) uint8 RGB of a colour encoding, (H,W) uint8 or uint16 of a grey one."""
    pixels = _pixels(msg)
    layout = _LAYOUTS[msg.encoding]
    if layout.code is not None:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), layout.code))
    if layout.order is None:
        return pixels
    ordered = pixels[..., layout.order]
    return (ordered >> 8).astype(np.uint8) if ordered.dtype == np.uint16 else ordered


def _three_channels(picture: Image) -> Image:
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    if picture.ndim == 2:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB))
    return picture


def _bytes(msg: CompressedMessage) -> Image:
    if not len(msg.data):
        raise ImageError('compressed data is empty')
    return np.frombuffer(msg.data, np.uint8)


def _decompress(data: Image, described: str) -> Image:
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(
            f'compressed data of {len(data)} bytes ({described!r}) is unreadable: {error}'
        ) from None
    if picture is None:
        raise ImageError(
            f'compressed data of {len(data)} bytes ({described!r}) is damaged, or not JPEG or PNG'
        )
    return picture


def _color_order(picture: Image) -> Image:
    """RGB of what OpenCV decoded: BGR, BGRA or grey."""
    if picture.ndim == 2:
        return picture
    ordered = picture[..., _BACKWARD if picture.shape[2] == 3 else _BACKWARD_ALPHA]
    return (ordered >> 8).astype(np.uint8) if ordered.dtype == np.uint16 else ordered


def _compressed_depth(msg: CompressedMessage) -> Image:
    """Depth of compressed_depth_image_transport: a header of 12 bytes, then a 16-bit PNG.

    A 16UC1 picture is depth in mm; a 32FC1 one is coded as inverse depth, with 0 where nothing was measured.
    """
    data = _bytes(msg)
    if 'rvl' in msg.format.lower():
        raise ImageError(f'format {msg.format!r} is not supported: set the publisher to png')
    if len(data) <= _COMPRESSED_DEPTH_HEADER.size:
        raise ImageError(f'compressedDepth data is truncated: {len(data)} bytes')
    _, a, b = _COMPRESSED_DEPTH_HEADER.unpack(data[: _COMPRESSED_DEPTH_HEADER.size].tobytes())
    coded = _decompress(data[_COMPRESSED_DEPTH_HEADER.size :], msg.format)
    if coded.ndim != 2 or coded.dtype != np.uint16:
        raise ImageError(f'format {msg.format!r} does not hold 16-bit depth')
    if not msg.format.startswith('32FC1'):
        return coded
    with np.errstate(divide='ignore', invalid='ignore'):
        metres = np.float32(a) / (coded.astype(np.float32) - np.float32(b))
    metres[coded == 0] = np.nan
    return np.asarray(metres, np.float32)
