"""The first box of a bag: which frame, and where the target is in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import cv2
import numpy as np

from ..errors import BoxError, DatasetError
from ..sensing import encodings
from ..tracking.crops import checked_box
from ..types import Box, Frame, Image
from .bag_reader import BagReader
from .bag_topics import TopicChoice, choose_topics
from .bag_types import IMAGE, stamp_of


def first_frame(path: Path, rgb_topic: str = '') -> Frame:
    """The first RGB image of a bag. DatasetError, with the bag's topics, if there is none."""
    with BagReader(path) as bag:
        topics = choose_topics(bag, None, TopicChoice(rgb_topic, '', ''))
        for message in bag.messages([topics.rgb]):
            decoded = bag.decode(message)
            read = encodings.rgb_from_image if message.type_name == IMAGE else encodings.rgb_from_compressed
            return Frame(stamp_of(message.raw), read(decoded), decoded.header.frame_id)
        raise DatasetError(f'{path}: no message on {topics.rgb}; the bag has\n{bag.describe_topics()}')


def parse_box(text: str, width: int, height: int) -> Box:
    """x,y,w,h in pixels; BoxError where the tracker would refuse it."""
    try:
        box = Box.of([float(part) for part in text.split(',')])
    except ValueError:
        raise BoxError(f'box {text!r} is not x,y,w,h') from None
    return checked_box(box, width, height)


def pick_box(image: Image) -> Box | None:
    """Let the user draw it in a window; None without a display, or if nothing was drawn."""
    if sys.platform == 'linux' and not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        return None
    title = 'Draw the target, then press Enter'
    try:
        drawn = cv2.selectROI(title, np.ascontiguousarray(image[..., ::-1]), showCrosshair=False)
        cv2.destroyWindow(title)
    except cv2.error:
        return None  # OpenCV was built without windows
    return Box.of(drawn) if drawn[2] > 0 and drawn[3] > 0 else None
