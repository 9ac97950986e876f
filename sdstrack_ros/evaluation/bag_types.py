"""The message types a bag may hold: ROS 2 Jazzy's, ours, and event packets; and stamps without decoding."""

from __future__ import annotations

import functools
import struct

from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ..sensing.events import EVENT_PACKET_DEFINITION, EVENT_PACKET_TYPE

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
TRACKED_BOX = 'sdstrack/msg/TrackedBox'

# msg/TrackedBox.msg without its comments; a test compares the two.
TRACKED_BOX_DEFINITION = """
uint8 IDLE=0
uint8 TRACKING=1
uint8 UNCERTAIN=2
uint8 LOST=3
uint8 FUSED=0
uint8 RGB_ONLY=1
uint8 X_ONLY=2
uint8 BLIND=3
std_msgs/Header header
uint32 target_id
uint8 state
bool held
float32 center_x
float32 center_y
float32 size_x
float32 size_y
float32 score
uint8 mode
float32 inference_time
bool has_position
geometry_msgs/Point position
"""


@functools.cache
def bag_types() -> Typestore:
    """All types that can be written, and read where a bag does not bring its own definitions."""
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(TRACKED_BOX_DEFINITION, TRACKED_BOX))
    store.register(get_types_from_msg(EVENT_PACKET_DEFINITION, EVENT_PACKET_TYPE))
    return store


def stamp_of(raw: bytes | memoryview) -> int:
    """The header stamp, ns, of a serialised message that begins with a std_msgs/Header."""
    seconds, nanoseconds = struct.unpack_from('<iI' if raw[1] & 1 else '>iI', raw, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
