"""Finds the RGB, X and truth topics of a bag by type, encoding and name, or takes the names given.

Nothing is guessed: two topics that would do, or none, are an error that lists what the bag has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import DatasetError
from ..sensing.events import EVENT_PACKET_TYPE
from ..types import Modality
from .bag_reader import BagReader
from .bag_types import COMPRESSED, IMAGE, TRACKED_BOX

_DEPTH = re.compile(r'^(16UC1|mono16|32FC1|64FC1)|compressedDepth')
_COLOR = re.compile(r'^(rgb|bgr|yuv|uyvy|yuyv|bayer|8UC[34]|jpe?g|png)', re.IGNORECASE)
_X_NAMES = {
    Modality.DEPTH: re.compile(r'depth', re.IGNORECASE),
    Modality.THERMAL: re.compile(
        r'thermal|infra|lwir|flir|boson|lepton|(^|[/_])(t?ir)([/_0-9]|$)', re.IGNORECASE
    ),
    Modality.EVENT: re.compile(r'event|dvs', re.IGNORECASE),
}
_TRUTH_NAME = re.compile(r'truth|ground', re.IGNORECASE)


@dataclass(frozen=True)
class TopicChoice:
    """Topic names; x is None for RGB alone, truth is None where the bag has no truth topic."""

    rgb: str
    x: str | None
    truth: str | None

    @property
    def images(self) -> list[str]:
        return [name for name in (self.rgb, self.x) if name]

    @property
    def names(self) -> list[str]:
        return [name for name in (self.rgb, self.x, self.truth) if name]


def choose_topics(
    bag: BagReader, modality: Modality | None, wanted: TopicChoice | None = None
) -> TopicChoice:
    """The topics to evaluate; names given in `wanted` ('' = to be found) must exist."""
    wanted = wanted or TopicChoice('', '', '')
    for name in wanted.names:
        if name not in bag.topics:
            raise DatasetError(f'{bag.path}: no topic {name}; the bag has\n{bag.describe_topics()}')
    images = {n: _encoding(bag, n) for n, kind in bag.topics.items() if kind in (IMAGE, COMPRESSED)}
    x = None
    if modality is not None:
        x = wanted.x or _only(bag, _x_candidates(bag, images, modality), modality.value, '--x-topic')
    rgb = wanted.rgb or _only(bag, _rgb_candidates(images, x), 'RGB', '--rgb-topic')
    return TopicChoice(rgb, x, wanted.truth or _truth_topic(bag))


def _encoding(bag: BagReader, topic: str) -> str:
    """The first image's encoding, or its compression's format; empty without a message."""
    for message in bag.messages([topic]):
        image = bag.decode(message)
        return str(image.encoding if message.type_name == IMAGE else image.format)
    return ''


def _x_candidates(bag: BagReader, images: dict[str, str], modality: Modality) -> list[str]:
    if modality is Modality.DEPTH:
        return [name for name, encoding in images.items() if _DEPTH.search(encoding) and not _other_x(name)]
    named = [name for name in images if _X_NAMES[modality].search(name)]
    if modality is Modality.EVENT:
        return named or [name for name, kind in bag.topics.items() if kind == EVENT_PACKET_TYPE]
    return named


def _other_x(name: str) -> bool:
    """Thermal cameras send 16 bit as well: a name that says so, and not depth, is no depth."""
    return bool(_X_NAMES[Modality.THERMAL].search(name)) and not _X_NAMES[Modality.DEPTH].search(name)


def _rgb_candidates(images: dict[str, str], x: str | None) -> list[str]:
    return [
        name
        for name, encoding in images.items()
        if name != x
        and _COLOR.search(encoding)
        and not _DEPTH.search(encoding)
        and not any(_X_NAMES[m].search(name) for m in (Modality.THERMAL, Modality.EVENT))
    ]


def _truth_topic(bag: BagReader) -> str | None:
    """Only a name that says so: the tracker's own recorded boxes have the same type."""
    found = [n for n, kind in bag.topics.items() if kind == TRACKED_BOX and _TRUTH_NAME.search(n)]
    return _only(bag, found, 'truth', '--truth-topic') if found else None


def _only(bag: BagReader, candidates: list[str], what: str, option: str) -> str:
    raw = [name for name in candidates if bag.topics[name] != COMPRESSED]
    candidates = raw or candidates  # the same camera is often recorded both ways
    if len(candidates) == 1:
        return candidates[0]
    several = f'more than one {what} topic ({", ".join(candidates)})'
    raise DatasetError(
        f'{bag.path}: {several if candidates else f"no {what} topic found"}; name it with {option}. '
        f'The bag has\n{bag.describe_topics()}'
    )
