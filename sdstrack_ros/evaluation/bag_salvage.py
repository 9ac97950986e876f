"""Makes what is left of a truncated bag file readable: a recorder that was killed, a copy that broke off.

The damaged file is never touched; a mended copy is written elsewhere.
"""

from __future__ import annotations

import shutil
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import DatasetError

_MAGIC = b'\x89MCAP0\r\n'
_RECORD = struct.Struct('<BQ')  # opcode, length of the content
_CHUNK_HEAD = struct.Struct('<QQQII')  # first and last time, size, checksum, length of the compression's name
_CHUNK, _DATA_END = 0x06, 0x0F
_END = _RECORD.pack(_DATA_END, 4) + bytes(4) + _RECORD.pack(0x02, 20) + bytes(20) + _MAGIC


def salvage(damaged: Path, folder: Path) -> Path:
    """Write a readable copy of a .mcap or .db3 file into `folder`, up to where the file breaks off."""
    mended = folder / damaged.name
    if damaged.suffix == '.mcap':
        _salvage_mcap(damaged, mended)
    elif damaged.suffix == '.db3':
        _salvage_sqlite(damaged, mended)
    else:
        raise DatasetError(f'{damaged}: neither .mcap nor .db3, it cannot be salvaged')
    return mended


def _salvage_mcap(damaged: Path, mended: Path) -> None:
    """Complete records are kept; of an uncompressed chunk that breaks off, its complete records as well.

    Source: the MCAP format, https://mcap.dev/spec. The index at the end is left out: readers then scan.
    """
    with damaged.open('rb') as source:
        if source.read(len(_MAGIC)) != _MAGIC:
            raise DatasetError(f'{damaged}: not an MCAP file')
        size = damaged.stat().st_size
        end, rest = len(_MAGIC), b''
        for opcode, start, stop in _records(source, end, size):
            if opcode == _DATA_END:
                break
            if stop > size:
                rest = _whole_records_of_chunk(source, start, size) if opcode == _CHUNK else b''
                break
            end = stop
    shutil.copyfile(damaged, mended)
    with mended.open('r+b') as out:
        out.truncate(end)
        out.seek(end)
        out.write(rest + _END)


def _records(source: BinaryIO, position: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(opcode, start of the content, end) of each record; the last one may end beyond the file."""
    while position + _RECORD.size <= size:
        source.seek(position)
        opcode, length = _RECORD.unpack(source.read(_RECORD.size))
        start = position + _RECORD.size
        position = start + length
        yield opcode, start, position


def _whole_records_of_chunk(source: BinaryIO, start: int, size: int) -> bytes:
    source.seek(start)
    head = source.read(_CHUNK_HEAD.size)
    if len(head) < _CHUNK_HEAD.size or _CHUNK_HEAD.unpack(head)[4] != 0:
        return b''  # compressed: half a block cannot be unpacked
    first = end = start + _CHUNK_HEAD.size + 8  # the length of the records comes before them
    for _, _, stop in _records(source, first, size):
        if stop > size:
            break
        end = stop
    source.seek(first)
    return source.read(end - first)


def _salvage_sqlite(damaged: Path, mended: Path) -> None:
    """Missing pages are replaced by empty ones, then tables are copied row by row until one is damaged."""
    with damaged.open('rb') as source:
        head = source.read(100)
    if len(head) < 100 or not head.startswith(b'SQLite format 3\0'):
        raise DatasetError(f'{damaged}: not an SQLite bag')
    page = struct.unpack_from('>H', head, 16)[0]
    pages = struct.unpack_from('>I', head, 28)[0]
    padded = mended.with_suffix('.padded')
    shutil.copyfile(damaged, padded)
    with padded.open('r+b') as out:
        out.truncate(pages * (65536 if page == 1 else page))
    source_db, target = sqlite3.connect(padded), sqlite3.connect(mended)
    try:
        tables = source_db.execute(
            'SELECT name, sql FROM sqlite_master WHERE type = ? AND sql NOT NULL', ('table',)
        )
        for name, sql in tables.fetchall():
            target.execute(sql)
            _copy_rows(source_db, target, name)
        target.commit()
    except sqlite3.DatabaseError as error:
        raise DatasetError(f'{damaged}: too much is missing to read it: {error}') from None
    finally:
        source_db.close()
        target.close()
        padded.unlink()


def _copy_rows(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> None:
    rows = source.execute(f'SELECT * FROM "{table}" ORDER BY rowid')
    insert = f'INSERT INTO "{table}" VALUES ({",".join("?" * len(rows.description))})'
    while True:
        try:
            row = rows.fetchone()
        except sqlite3.DatabaseError:
            return  # here the file breaks off
        if row is None:
            return
        target.execute(insert, row)
