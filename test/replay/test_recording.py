"""Which topic of a bag goes where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image as ImageMsg

from sdstrack_ros.errors import DatasetError
from sdstrack_ros.evaluation.bag_types import bag_types
from sdstrack_ros.evaluation.bag_writer import BagWriter
from sdstrack_ros.evaluation.truth import truth_path, write_truth
from sdstrack_ros.replay.recording import Recording
from sdstrack_ros.sensing.events import EVENT_PACKET_TYPE
from sdstrack_ros.types import Box, Modality

STAMPS = [1_000_000_000 + 33_000_000 * i for i in range(4)]


def test_raw_images_and_the_intrinsics_beside_them(tmp_path: Path) -> None:
    with BagWriter(tmp_path / 'bag', Modality.DEPTH) as bag:
        for stamp in STAMPS:
            bag.write_camera_info(stamp, 8, 6, (10.0, 10.0, 4.0, 3.0))
            bag.write_rgb(stamp, np.full((6, 8, 3), 90, np.uint8))
            bag.write_x(stamp, np.full((6, 8), 1000, np.uint16))
            bag.write_truth(stamp, Box(1, 1, 3, 3))
    recording = Recording(tmp_path / 'bag', Modality.DEPTH)
    assert (recording.rgb_topic, recording.x_topic) == ('rgb/image_raw', 'x/image_raw')
    assert recording.parameters == {'modality': 'depth'}
    assert recording.topics['x/image_raw'] is ImageMsg
    sent = [(message.due_ns, message.topic, message.stamp_ns) for message in recording.outgoing()]
    topics = ('rgb/camera_info', 'rgb/image_raw', 'x/image_raw')
    assert sent == [(stamp, topic, stamp) for stamp in STAMPS for topic in topics]


def compressed_bag(path: Path, x_type: str, x_format: str) -> Path:
    types = bag_types()
    header_type, time_type = types.types['std_msgs/msg/Header'], types.types['builtin_interfaces/msg/Time']
    kind = 'sensor_msgs/msg/CompressedImage'
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as bag:
        rgb = bag.add_connection('/cam/color/compressed', kind, typestore=types)
        x = bag.add_connection('/cam/depth/compressedDepth', x_type, typestore=types)
        for stamp in STAMPS:
            header = header_type(stamp=time_type(sec=stamp // 10**9, nanosec=stamp % 10**9), frame_id='c')
            for connection, described in ((rgb, 'jpeg'), (x, x_format)):
                fields = {'header': header, 'format': described, 'data': np.zeros(40, np.uint8)}
                if connection.msgtype != kind:
                    zeros = {'height': 6, 'width': 8, 'seq': 1, 'time_base': 0, 'encoding': 'evt3'}
                    fields = {'header': header, **zeros, 'is_bigendian': 0, 'events': np.zeros(8, np.uint8)}
                message = types.types[connection.msgtype](**fields)
                bag.write(connection, stamp, types.serialize_cdr(message, connection.msgtype))
    write_truth(truth_path(path), STAMPS[0], Box(1, 1, 3, 3))
    return path


def test_compressed_images_go_where_the_node_looks_for_them(tmp_path: Path) -> None:
    path = compressed_bag(tmp_path / 'bag', 'sensor_msgs/msg/CompressedImage', '16UC1; compressedDepth png')
    recording = Recording(path, Modality.DEPTH)
    assert recording.rgb_topic == 'rgb/image_raw/compressed'
    assert recording.x_topic == 'x/image_raw/compressedDepth'
    assert recording.parameters['rgb_transport'] == 'compressed'
    assert recording.parameters['x_transport'] == 'compressedDepth'
    assert set(recording.topics.values()) == {CompressedImage}


def test_messages_whose_package_is_not_installed_are_named(tmp_path: Path) -> None:
    try:
        import event_camera_msgs  # noqa: F401
    except ImportError:
        path = compressed_bag(tmp_path / 'bag', EVENT_PACKET_TYPE, '')
        with pytest.raises(DatasetError, match=r'event_camera_msgs.*sdstrack evaluate'):
            Recording(path, Modality.EVENT)
    else:
        pytest.skip('it is installed here')
