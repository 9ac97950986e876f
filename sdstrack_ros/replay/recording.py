"""A bag as the tracker is to see it: which topic goes where, and its messages as they were recorded."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from ..errors import DatasetError
from ..evaluation.bag_reader import BagReader
from ..evaluation.bag_topics import TopicChoice, choose_topics
from ..evaluation.bag_types import CAMERA_INFO, COMPRESSED, stamp_of
from ..evaluation.bags import open_bag
from ..evaluation.sequences import EvaluationSequence
from ..sensing.events import EVENT_PACKET_TYPE
from ..types import Modality
from .player import Outgoing

RGB, X, CAMERA = 'rgb/image_raw', 'x/image_raw', 'rgb/camera_info'


class Recording:
    """A bag with true boxes; DatasetError, with the bag's topics, where something lacks.

    sequence: the same bag for the evaluation. parameters: what the node has to know about its transports.
    topics: where the tracker listens, and the types.
    """

    def __init__(
        self, path: Path, modality: Modality, wanted: TopicChoice | None = None, truth: Path | None = None
    ) -> None:
        self.path = path
        self.modality = modality
        self.sequence: EvaluationSequence = open_bag(path, modality, topics=wanted, truth=truth)
        self.parameters: dict[str, object] = {'modality': modality.value}
        self.topics: dict[str, type] = {}
        self._routes: dict[str, str] = {}
        with BagReader(path) as bag:
            chosen = choose_topics(bag, modality, wanted)
            self._add(bag, chosen.rgb, RGB, 'rgb_transport')
            if chosen.x is not None:
                self._add(bag, chosen.x, X, 'x_transport')
            camera = chosen.rgb.rpartition('/')[0] + '/camera_info'  # beside its images, as REP 2003 has it
            if bag.topics.get(camera) == CAMERA_INFO:
                self._add(bag, camera, CAMERA)

    @property
    def rgb_topic(self) -> str:
        """Where the RGB images go, which may be compressed."""
        return next(ours for ours in self._routes.values() if ours.startswith(RGB))

    @property
    def x_topic(self) -> str:
        """Where the X images go."""
        return next(ours for ours in self._routes.values() if ours.startswith(X))

    def outgoing(self) -> Iterator[Outgoing]:
        """The messages in the order and at the times of their recording."""
        with BagReader(self.path) as bag:
            for message in bag.messages(list(self._routes)):
                ours = self._routes[message.topic]
                yield Outgoing(message.received_ns, ours, stamp_of(message.raw), bytes(message.raw))

    def _add(self, bag: BagReader, topic: str, ours: str, transport: str = '') -> None:
        kind = bag.topics[topic]
        if kind == COMPRESSED:
            name = _compression(bag, topic)
            self.parameters[transport] = name
            ours = f'{ours}/{name}'
        elif kind == EVENT_PACKET_TYPE:
            self.parameters[transport] = 'event_packet'
        self._routes[topic] = ours
        self.topics[ours] = _message_class(topic, kind)


def _compression(bag: BagReader, topic: str) -> str:
    """The node's name for it, which the first message tells."""
    for message in bag.messages([topic]):
        return 'compressedDepth' if 'compressedDepth' in str(bag.decode(message).format) else 'compressed'
    return 'compressed'


def _message_class(topic: str, kind: str) -> type:
    package, _, name = kind.partition('/msg/')
    try:
        found: type = getattr(import_module(f'{package}.msg'), name)
    except ImportError:
        raise DatasetError(
            f'{topic}: to send {kind} over DDS, the package {package} has to be installed; `sdstrack '
            f'evaluate` reads the bag without it'
        ) from None
    return found
