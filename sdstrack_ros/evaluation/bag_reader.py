"""Reads a rosbag2 without ROS: sqlite3 or mcap, a folder or a single file, also one that breaks off.

with BagReader(Path('run_1')) as bag:
    for message in bag.messages(['/camera/image_raw']):
        image = bag.decode(message)
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from rosbags.highlevel import AnyReader, AnyReaderError

from ..errors import DatasetError
from .bag_salvage import salvage
from .bag_types import bag_types

# What rosbags lets through from a damaged file, besides its own errors.
_DAMAGE = (AnyReaderError, EOFError, ValueError, TypeError, KeyError, IndexError, OSError, struct.error)
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
        self._reader = self._open()
        self.topics: dict[str, str] = {c.topic: c.msgtype for c in self._reader.connections}
        self.counts: dict[str, int] = {}
        for connection in self._reader.connections:
            self.counts[connection.topic] = self.counts.get(connection.topic, 0) + connection.msgcount

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Messages of these topics in the order of the recording; stops where the file is damaged."""
        connections = [c for c in self._reader.connections if c.topic in topics]
        if not connections:
            return
        try:
            for connection, received_ns, raw in self._reader.messages(connections):
                yield BagMessage(connection.topic, received_ns, raw, connection.msgtype)
        except _DAMAGE as error:
            self.damage = f'reading stopped early: {error}'

    def decode(self, message: BagMessage) -> Any:
        """The message as an object with its fields; DatasetError if its bytes are damaged."""
        try:
            return self._reader.deserialize(message.raw, message.type_name)
        except _DAMAGE as error:
            raise DatasetError(f'{self.path}: a message on {message.topic} is damaged: {error}') from None

    def describe_topics(self) -> str:
        """One line per topic with type and number of messages, for error messages."""
        lines = (
            f'  {name}  [{kind}]  {self.counts[name]} messages' for name, kind in sorted(self.topics.items())
        )
        return '\n'.join(lines) or '  (no topics)'

    def _open(self) -> AnyReader:
        if not self.path.exists():
            raise DatasetError(f'{self.path}: no such bag')
        try:
            return self._enter([self.path])
        except (FileNotFoundError, *_DAMAGE) as error:
            self.damage = f'opened after repair, the file breaks off: {error}'
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix='sdstrack_bag_')))
        files = _storage_files(self.path) if self.path.is_dir() else [self.path]
        if not files:
            raise DatasetError(f'{self.path}: holds no {" or ".join(BAG_SUFFIXES)} file')
        try:
            return self._enter([_readable(file, folder) for file in files])
        except _DAMAGE as error:
            self._stack.close()
            raise DatasetError(f'{self.path}: not a readable rosbag2: {error}') from None

    def _enter(self, paths: list[Path]) -> AnyReader:
        reader = AnyReader(paths, default_typestore=bag_types())
        reader.open()
        self._stack.callback(reader.close)
        return reader


def _storage_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix in BAG_SUFFIXES)


def _readable(file: Path, folder: Path) -> Path:
    """The file itself if it opens, else a mended copy."""
    try:
        with AnyReader([file], default_typestore=bag_types()):
            return file
    except _DAMAGE:
        return salvage(file, folder)
