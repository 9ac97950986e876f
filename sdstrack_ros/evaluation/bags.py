"""A rosbag2 as a sequence: topics found, frames checked and paired as in the node, truth from topic or file.

    sequence = open_bag(Path('run_1'), Modality.DEPTH)
    for observation in sequence.frames: ...

Pairing runs on the times at which the recorder received the messages, so it is the same every time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DatasetError, EventDataError, ImageError
from ..sensing import encodings
from ..sensing.appearance import registration_problem
from ..sensing.content import ContentCheck
from ..sensing.events import EVENT_PACKET_TYPE, EventAccumulator, EventPacket
from ..sensing.synchronizer import Stream, Synchronizer, SynchronizerSettings
from ..types import Frame, Image, Modality, Observation
from .bag_reader import BagMessage, BagReader
from .bag_topics import TopicChoice, choose_topics
from .bag_types import IMAGE, stamp_of
from .sequences import DEFAULT_RATE, EvaluationSequence, read_boxes
from .truth import StampedTruth, name_of, read_truth, stamped, truth_path


@dataclass(frozen=True)
class BagFrames:
    """The observations of a bag, read and paired anew for each iteration."""

    path: Path
    topics: TopicChoice
    modality: Modality | None
    settings: SynchronizerSettings

    def __iter__(self) -> Iterator[Observation]:
        with BagReader(self.path) as bag:
            pairing = _Pairing(bag, self)
            for message in bag.messages(self.topics.images):
                yield from pairing.take(message)
            yield from pairing.finish()


def open_bag(
    path: Path,
    modality: Modality | None,
    *,
    topics: TopicChoice | None = None,
    truth: Path | None = None,
    settings: SynchronizerSettings | None = None,
) -> EvaluationSequence:
    """A bag with its truth: from `truth` (CSV with stamps, or one row per RGB frame), else from the truth
    topic that is named, else from the CSV file beside the bag, which somebody wrote on purpose, else from a
    truth topic that is found. DatasetError, with the bag's topics, if something lacks."""
    with BagReader(path) as bag:
        chosen = choose_topics(bag, modality, topics)
        images = bag.messages(chosen.images)  # X as well: what is damaged there is to be told too
        stamps = [stamp_of(message.raw) for message in images if message.topic == chosen.rgb]
        if not stamps:
            raise DatasetError(f'{path}: no message on {chosen.rgb}; the bag has\n{bag.describe_topics()}')
        notes = []
        if truth is None and not (topics and topics.truth) and truth_path(path).exists():
            truth = truth_path(path)
            if chosen.truth:
                notes.append(
                    f'true boxes from {truth}; for those of the bag, give --truth-topic {chosen.truth}'
                )
        known = _truth(bag, chosen, truth, stamps)
        if bag.damage:
            notes.append(bag.damage)
    period = float(np.median(np.diff(stamps))) if len(stamps) > 1 else 1e9 / DEFAULT_RATE
    return EvaluationSequence(
        name=name_of(path),
        benchmark='bag',
        modality=modality,
        frames=BagFrames(path, chosen, modality, settings or SynchronizerSettings()),
        stamps_ns=np.array(sorted(stamps), dtype=np.int64),
        truth=known,
        tolerance_ns=round(period / 2),
        notes=tuple(notes),
    )


def _truth(bag: BagReader, topics: TopicChoice, file: Path | None, rgb_stamps: list[int]) -> StampedTruth:
    if file is not None:
        return read_truth(file) if file.suffix == '.csv' else _truth_by_frame(file, rgb_stamps)
    if topics.truth is not None:
        messages = list(bag.messages([topics.truth]))
        boxes = [bag.decode(message) for message in messages]
        rows = [
            [b.center_x - b.size_x / 2, b.center_y - b.size_y / 2, b.size_x, b.size_y]
            if b.size_x > 0 and b.size_y > 0
            else [np.nan] * 4
            for b in boxes
        ]
        return stamped([stamp_of(m.raw) for m in messages], rows, f'{bag.path}: {topics.truth}')
    raise DatasetError(
        f'{bag.path}: no true boxes: name their topic with --truth-topic or a file with --truth, or write '
        f'{truth_path(bag.path)} with `sdstrack annotate`. The bag has\n{bag.describe_topics()}'
    )


def _truth_by_frame(file: Path, rgb_stamps: list[int]) -> StampedTruth:
    boxes = read_boxes(file)
    if len(boxes) != len(rgb_stamps):
        raise DatasetError(f'{file}: {len(boxes)} rows for {len(rgb_stamps)} RGB frames')
    return stamped(rgb_stamps, boxes.tolist(), str(file))


class _Pairing:
    """Feeds messages to the synchroniser in the order and at the times of the recording."""

    def __init__(self, bag: BagReader, frames: BagFrames) -> None:
        self._bag = bag
        self._topics = frames.topics
        self._modality = frames.modality
        self._synchronizer = Synchronizer(frames.settings)
        if frames.modality is None:
            self._synchronizer.set_alive('x', False, 'no X stream')
        self._checks: dict[Stream, ContentCheck] = {'rgb': ContentCheck('rgb')}
        if frames.modality is not None:
            self._checks['x'] = ContentCheck(frames.modality.value)
        self._events = EventAccumulator()
        self._rgb_shape: tuple[int, ...] | None = None
        self._rgb_frame_id = ''
        self._events_due: deque[int] = deque(maxlen=frames.settings.queue)  # RGB stamps without a picture yet

    def take(self, message: BagMessage) -> Iterator[Observation]:
        now = message.received_ns
        yield from self._due_before(now)
        if message.topic == self._topics.rgb:
            self._add(message, 'rgb', self._synchronizer.add_rgb, self._rgb)
            self._events_due.append(stamp_of(message.raw))
        elif message.type_name != EVENT_PACKET_TYPE:
            self._add(message, 'x', self._synchronizer.add_x, self._x)
        else:
            self._take_events(message)
        yield from self._synchronizer.poll(now)

    def finish(self) -> Iterator[Observation]:
        """What still waits when the bag ends."""
        while (deadline := self._synchronizer.next_deadline_ns) is not None:
            yield from self._synchronizer.poll(deadline)

    def _due_before(self, now_ns: int) -> Iterator[Observation]:
        deadline = self._synchronizer.next_deadline_ns
        while deadline is not None and deadline < now_ns:
            yield from self._synchronizer.poll(deadline)
            later = self._synchronizer.next_deadline_ns
            if later == deadline:
                return
            deadline = later

    def _add(
        self,
        message: BagMessage,
        stream: Stream,
        add: Callable[[Frame, int], None],
        convert: Callable[[BagMessage], tuple[Image, str]],
    ) -> None:
        stamp = stamp_of(message.raw)
        try:
            image, frame_id = convert(message)
            problem = self._checks[stream].problem(image) or self._unregistered(stream, image, frame_id)
        except (ImageError, DatasetError) as error:
            problem = str(error)
        if problem is not None:
            self._synchronizer.reject(stream, stamp, message.received_ns, problem)
            return
        add(Frame(stamp, image, frame_id), message.received_ns)

    def _unregistered(self, stream: Stream, image: Image, frame_id: str) -> str | None:
        """Why an X frame does not lie on the RGB frame's pixels; only depth is judged by its frame_id too."""
        if stream == 'rgb':
            self._rgb_shape, self._rgb_frame_id = image.shape, frame_id
        elif self._rgb_shape is not None:
            ids = (self._rgb_frame_id, frame_id) if self._modality is Modality.DEPTH else ('', '')
            return registration_problem(self._rgb_shape, image.shape, *ids)
        return None

    def _rgb(self, message: BagMessage) -> tuple[Image, str]:
        decoded = self._bag.decode(message)
        read = encodings.rgb_from_image if message.type_name == IMAGE else encodings.rgb_from_compressed
        return read(decoded), str(decoded.header.frame_id)

    def _x(self, message: BagMessage) -> tuple[Image, str]:
        assert self._modality is not None
        decoded = self._bag.decode(message)
        read = encodings.x_from_image if message.type_name == IMAGE else encodings.x_from_compressed
        return read(decoded, self._modality), str(decoded.header.frame_id)

    def _take_events(self, message: BagMessage) -> None:
        try:
            self._events.add(EventPacket.from_message(self._bag.decode(message)))
        except (EventDataError, DatasetError):
            return  # counted by the accumulator as a lost packet; the next one decodes again
        while self._events_due and self._events.covers(self._events_due[0]):
            stamp = self._events_due.popleft()
            picture = self._events.picture(stamp)
            if picture is None:
                continue
            problem = self._unregistered('x', picture, self._rgb_frame_id)
            if problem is not None:
                self._synchronizer.reject('x', stamp, message.received_ns, problem)
            else:
                self._synchronizer.add_x(Frame(stamp, picture), message.received_ns)
