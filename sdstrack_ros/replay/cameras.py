"""Two small cameras that never stop: rendered frames, forth and back, as messages of the fault catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sensor_msgs.msg import Image as ImageMsg

from ..evaluation.bag_writer import ENCODINGS
from ..node.conversions import header_of, image_message
from ..simulation import render_sequence
from ..simulation.faults import MS, SECOND, Message
from ..types import Box, Frame, Modality
from .player import Outgoing
from .recording import RGB, X

FRAME_ID = 'camera_optical_frame'
TOPICS = {'rgb': RGB, 'x': X}
X_DELAY_NS = 2 * MS  # X is sent so long after RGB


@dataclass(frozen=True, eq=False)
class CameraMessage(Message):
    """A message that knows which frame of its camera it was, whatever a fault makes of it."""

    index: int = -1


class CameraPair:
    """RGB and X of one rendered scene at `rate` Hz; `box` is the truth, px."""

    def __init__(
        self,
        modality: Modality,
        rate: float,
        width: int = 160,
        height: int = 120,
        frames: int = 60,
        seed: int = 1,
    ) -> None:
        self.modality = modality
        self.period_ns = round(SECOND / rate)
        self._sequence = render_sequence(modality, frames, width, height, seed, rate)

    def messages(self, begin_ns: int, end_ns: int, first: int = 0) -> Iterator[CameraMessage]:
        """In order of time; the first frame, number `first`, is taken at `begin_ns`."""
        for index in range(first, first + -(-(end_ns - begin_ns) // self.period_ns)):
            stamp = begin_ns + (index - first) * self.period_ns
            shown = self._shown(index)
            yield CameraMessage(stamp, 'rgb', stamp, self._sequence.rgb[shown], index=index)
            yield CameraMessage(stamp + X_DELAY_NS, 'x', stamp, self._sequence.x[shown], index=index)

    def box(self, index: int) -> Box:
        return Box.of(self._sequence.boxes[self._shown(index)])

    def _shown(self, index: int) -> int:
        last = len(self._sequence) - 1
        place = index % (2 * last)
        return min(place, 2 * last - place)


def outgoing(message: Message) -> Outgoing:
    """The message as ROS has it, with the faults of its encoding and length."""
    image = message.image
    encoding = message.encoding or ENCODINGS[image.ndim, image.dtype.name]
    made: ImageMsg = image_message(image, encoding, header_of(Frame(message.stamp_ns, image, FRAME_ID)))
    if message.payload < 1.0:
        made.data = made.data[: round(len(made.data) * message.payload)]
    return Outgoing(message.time_ns, TOPICS[message.stream], message.stamp_ns, made)
