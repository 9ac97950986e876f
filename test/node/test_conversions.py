from __future__ import annotations

import array
import struct

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image as ImageMsg
from std_msgs.msg import Header

from sdstrack_ros.errors import ImageError
from sdstrack_ros.node.conversions import header_of, image_message, stamp_of
from sdstrack_ros.sensing import encodings
from sdstrack_ros.types import Frame, Modality

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (6, 8), dtype=np.uint16)


def message(pixels: np.ndarray, encoding: str, padding: int = 0, big: bool = False) -> ImageMsg:
    """Built by hand, byte by byte, so that the converter is not tested against itself."""
    stored = pixels.astype(pixels.dtype.newbyteorder('>' if big else '<'))
    rows = [stored[i].tobytes() + b'\xaa' * padding for i in range(len(stored))]
    return ImageMsg(
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=big,
        step=len(rows[0]),
        data=array.array('B', b''.join(rows)),
    )


def with_alpha(picture: np.ndarray) -> np.ndarray:
    return np.dstack([picture, np.full(picture.shape[:2], 7, np.uint8)])


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(
    ('encoding', 'stored'),
    [
        ('rgb8', RGB),
        ('bgr8', RGB[..., ::-1]),
        ('8UC3', RGB[..., ::-1]),
        ('rgba8', with_alpha(RGB)),
        ('bgra8', with_alpha(RGB[..., ::-1])),
        ('rgb16', RGB.astype(np.uint16) << 8),
        ('bgr16', RGB[..., ::-1].astype(np.uint16) << 8),
    ],
)
def test_every_colour_order_gives_the_same_rgb(encoding: str, stored: np.ndarray, padding: int) -> None:
    got = encodings.rgb_from_image(message(stored, encoding, padding))
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, RGB)


@pytest.mark.parametrize('encoding', ['yuv422', 'yuv422_yuy2'])
def test_yuv_of_a_grey_picture_is_grey(encoding: str) -> None:
    luma = RGB[..., 0]
    chroma = np.full_like(luma, 128)
    pair = (chroma, luma) if encoding == 'yuv422' else (luma, chroma)
    got = encodings.rgb_from_image(message(np.dstack(pair), encoding))
    expected = cv2.cvtColor(np.dstack([luma, chroma]), cv2.COLOR_YUV2RGB_YUY2)
    np.testing.assert_array_equal(got, expected)
    assert np.abs(np.diff(got.astype(int), axis=2)).max() == 0


def test_bayer_red_filter_gives_red() -> None:
    mosaic = np.zeros((8, 8), np.uint8)
    mosaic[::2, ::2] = 200  # the red cells of RGGB
    red, green, blue = encodings.rgb_from_image(message(mosaic, 'bayer_rggb8'))[3, 3]
    assert red > 100
    assert green == blue == 0


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding', ['16UC1', 'mono16'])
def test_depth_in_millimetres_keeps_its_numbers(encoding: str, padding: int, big: bool) -> None:
    got = encodings.x_from_image(message(GREY16, encoding, padding, big), Modality.DEPTH)
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got, GREY16)


@pytest.mark.parametrize('big', [False, True])
def test_depth_in_metres_keeps_nan_and_infinity(big: bool) -> None:
    metres = RNG.random((6, 8)).astype(np.float32)
    metres[0, 0], metres[1, 1] = np.nan, np.inf
    got = encodings.x_from_image(message(metres, '32FC1', 4, big), Modality.DEPTH)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, metres)


def test_thermal_in_8_and_16_bit_and_pseudo_colour() -> None:
    grey = RGB[..., 0]
    np.testing.assert_array_equal(encodings.x_from_image(message(grey, 'mono8', 3), Modality.THERMAL), grey)
    np.testing.assert_array_equal(encodings.x_from_image(message(GREY16, '16UC1'), Modality.THERMAL), GREY16)
    colour = encodings.x_from_image(message(RGB[..., ::-1], 'bgr8'), Modality.THERMAL)
    np.testing.assert_array_equal(colour, RGB)


def test_grey_camera_as_rgb_and_as_event_picture_has_three_equal_channels() -> None:
    grey = RGB[..., 0]
    for got in (
        encodings.rgb_from_image(message(grey, 'mono8')),
        encodings.x_from_image(message(grey, 'mono8'), Modality.EVENT),
        encodings.rgb_from_image(message(grey.astype(np.uint16) << 8, 'mono16')),
    ):
        np.testing.assert_array_equal(got, np.dstack([grey] * 3))


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8'])
def test_no_copy_of_a_colour_frame(encoding: str) -> None:
    msg = message(RGB if encoding != 'rgba8' else with_alpha(RGB), encoding)
    assert np.shares_memory(encodings.rgb_from_image(msg), np.frombuffer(msg.data, np.uint8))


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'encoding': 'mono12'}, 'mono12'),
        ({'encoding': ''}, "encoding ''"),
        ({'encoding': '32FC1'}, 'depth'),
        ({'data': array.array('B', bytes(10))}, 'truncated'),
        ({'data': array.array('B')}, 'truncated'),
        ({'step': 3}, 'step 3'),
        ({'width': 0}, 'empty'),
        ({'height': 0}, 'empty'),
        ({'height': 4_000_000_000}, 'truncated'),
    ],
)
def test_what_cannot_be_read_is_named(change: dict, words: str) -> None:
    msg = message(RGB, 'rgb8')
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(ImageError, match=words):
        encodings.rgb_from_image(msg)


def test_colour_picture_is_not_depth() -> None:
    with pytest.raises(ImageError, match=r'rgb8.*16UC1'):
        encodings.x_from_image(message(RGB, 'rgb8'), Modality.DEPTH)


def test_depth_is_not_thermal() -> None:
    with pytest.raises(ImageError, match=r'32FC1.*modality'):
        encodings.x_from_image(message(RNG.random((4, 4)).astype(np.float32), '32FC1'), Modality.THERMAL)


def compressed(picture: np.ndarray, suffix: str, described: str) -> CompressedImage:
    data = cv2.imencode(suffix, picture)[1].tobytes()
    return CompressedImage(format=described, data=array.array('B', data))


def test_png_is_exact_and_jpeg_is_rgb() -> None:
    png = compressed(RGB[..., ::-1], '.png', 'rgb8; png compressed bgr8')
    np.testing.assert_array_equal(encodings.rgb_from_compressed(png), RGB)
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    jpeg = encodings.rgb_from_compressed(compressed(red[..., ::-1], '.jpg', 'jpeg'))
    assert np.abs(jpeg.astype(int) - red).max() < 12


def test_compressed_depth_of_both_kinds() -> None:
    png = compressed(GREY16, '.png', '16UC1; png compressed')
    np.testing.assert_array_equal(encodings.x_from_compressed(png, Modality.DEPTH), GREY16)

    body = cv2.imencode('.png', GREY16)[1].tobytes()
    millimetres = CompressedImage(
        format='16UC1; compressedDepth png', data=array.array('B', struct.pack('<iff', 0, 0, 0) + body)
    )
    np.testing.assert_array_equal(encodings.x_from_compressed(millimetres, Modality.DEPTH), GREY16)

    a, b = 10100.0, 0.9  # depth = a / (value - b)
    metres = np.array([[1.0, 2.5], [7.0, np.nan]], np.float32)
    coded = np.where(np.isnan(metres), 0, np.round(a / metres + b)).astype(np.uint16)
    body = cv2.imencode('.png', coded)[1].tobytes()
    quantised = CompressedImage(
        format='32FC1; compressedDepth png', data=array.array('B', struct.pack('<iff', 0, a, b) + body)
    )
    np.testing.assert_allclose(encodings.x_from_compressed(quantised, Modality.DEPTH), metres, rtol=1e-3)


@pytest.mark.parametrize(
    ('msg', 'words'),
    [
        (CompressedImage(format='jpeg'), 'empty'),
        (CompressedImage(format='jpeg', data=array.array('B', b'\xff\xd8\xff nonsense')), 'damaged'),
        (CompressedImage(format='16UC1; compressedDepth rvl', data=array.array('B', bytes(40))), 'rvl'),
        (CompressedImage(format='16UC1; compressedDepth png', data=array.array('B', bytes(9))), 'truncated'),
        (compressed(RGB, '.jpg', 'jpeg'), '16-bit'),
    ],
)
def test_damaged_compressed_depth_is_named(msg: CompressedImage, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        encodings.x_from_compressed(msg, Modality.DEPTH)


def test_message_and_back() -> None:
    header = Header(frame_id='camera')
    for image, encoding in ((RGB, 'rgb8'), (RGB[..., ::-1], 'rgb8'), (RGB[1:5, 2:6], 'rgb8')):
        msg = image_message(image, encoding, header)
        assert (msg.header, msg.encoding, msg.step) == (header, 'rgb8', image.shape[1] * 3)
        np.testing.assert_array_equal(encodings.rgb_from_image(msg), image)
    msg = image_message(GREY16, '16UC1', header)
    np.testing.assert_array_equal(encodings.x_from_image(msg, Modality.DEPTH), GREY16)


def test_header_goes_round() -> None:
    frame = Frame(1_700_000_000_123_456_789, RGB, 'camera')
    header = header_of(frame)
    assert stamp_of(header) == frame.stamp_ns
    assert header.frame_id == 'camera'
