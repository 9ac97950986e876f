"""Reads a rosbag2 without ROS: sqlite3 or mcap, a folder or a single file, also one that breaks off.

with BagReader(Path('run_1')) as bag:
    for message in bag.messages(['/camera/image_raw']):
        image = bag.decode(message)
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from rosbags.rosbag2 import Reader

from ..errors import DatasetError
from .bag_salvage import salvage
from .bag_types import bag_types

BAG_SUFFIXES = ('.mcap', '.db3')


class BagMessage(NamedTuple):
    """One message as recorded: raw CDR, and when the recorder received it, ns."""

    topic: str
    received_ns: int
    raw: bytes
    type_name: str


def is_bag(path: Path) -> bool:
    """Whether a path is a rosbag2: its folder, or one storage file of it."""
    return path.suffix in BAG_SUFFIXES or (path.is_dir() and bool(_storage_files(path)))


class BagReader:
    """See the module. `damage` says what is wrong with the bag, empty if nothing was found so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage = ''
        self._stack = ExitStack()
        self._readers = self._open()
        self.topics: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        for connection in (c for reader in self._readers for c in reader.connections):
            self.topics[connection.topic] = connection.msgtype
            self.counts[connection.topic] = self.counts.get(connection.topic, 0) + connection.msgcount

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Messages of these topics in the order of their receipt; stops where the file is damaged.

        Every topic has a reader of its own: recorders write topics not quite in order, which rosbags refuses
        where a file has no index.
        """
        try:
            streams = [
                own.messages([c for c in own.connections if c.topic == topic])
                for reader in self._readers
                for topic in dict.fromkeys(c.topic for c in reader.connections if c.topic in topics)
                for own in [self._enter(Path(str(reader.path)))]
            ]
            for connection, received_ns, raw in heapq.merge(*streams, key=lambda message: message[1]):
                yield BagMessage(connection.topic, received_ns, raw, connection.msgtype)
        except Exception as error:  # of rosbags, its database, its decompressors: they have none in common
            self.damage = f'reading stopped early: {_said(error)}'

    def decode(self, message: BagMessage) -> Any:
        """The message as an object with its fields; DatasetError if its bytes are damaged.

        The definitions are ours, not the bag's: some recorders leave them out, or store them unreadably.
        """
        try:
            return bag_types().deserialize_cdr(message.raw, message.type_name)
        except Exception as error:  # damaged bytes may mean anything
            raise DatasetError(
                f'{self.path}: a message on {message.topic} is damaged: {_said(error)}'
            ) from None

    def describe_topics(self) -> str:
        """One line per topic with type and number of messages, for error messages."""
        lines = (
            f'  {name}  [{kind}]  {self.counts[name]} messages' for name, kind in sorted(self.topics.items())
        )
        return '\n'.join(lines) or '  (no topics)'

    def _open(self) -> list[Reader]:
        """The folder as its metadata describe it, else its files one by one, mended where they break off."""
        if not self.path.exists():
            raise DatasetError(f'{self.path}: no such bag')
        try:
            return [self._enter(self.path)]
        except Exception as error:
            reason = _said(error)
        files = _storage_files(self.path) if self.path.is_dir() else [self.path]
        if not files:
            raise DatasetError(f'{self.path}: holds no {" or ".join(BAG_SUFFIXES)} file')
        try:
            return [self._enter_mended(file, reason) for file in files]
        except DatasetError:
            self._stack.close()
            raise
        except Exception as error:
            self._stack.close()
            raise DatasetError(f'{self.path}: not a readable rosbag2: {_said(error)}') from None

    def _enter_mended(self, file: Path, reason: str) -> Reader:
        try:
            if file != self.path:  # which was tried
                return self._enter(file)
        except Exception as error:
            reason = _said(error)
        self.damage = f'{file.name} breaks off and is read up to there: {reason}'
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix='sdstrack_bag_')))
        return self._enter(salvage(file, folder))

    def _enter(self, path: Path) -> Reader:
        return self._stack.enter_context(Reader(path))


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _storage_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix in BAG_SUFFIXES)
