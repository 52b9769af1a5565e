"""RecordIO, as MXNet's im2rec writes it: .rec files of pictures with their labels, and the .idx that says where each begins.

A frame is the magic, a word of three bits of kind and 29 of length, and the bytes, filled up to four. A payload that holds the magic at
a multiple of four is split there, the magic itself left out. An image record begins with flag, label and two ids; a flag above zero counts
labels that follow. Little endian.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bundle.errors import DataError

MAGIC = 0xCED7230A
_MAGIC_BYTES = struct.pack("<I", MAGIC)
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_HEADER = struct.Struct("<IfQQ")


@dataclass(frozen=True, kw_only=True)
class Record:
    offset: int  # bytes from the start of the file
    id: int
    labels: tuple[float, ...]
    payload: bytes  # the encoded picture


def read(path: Path) -> Iterator[Record]:
    """All records in order, one in memory at a time. Raises DataError that names the byte, OSError."""
    with path.open("rb") as file:
        while (at := file.tell()) < _size(file):
            yield _record(path, at, _payload(path, file))


def read_at(path: Path, offset: int) -> Record:
    """Raises DataError where no record begins at that byte, OSError."""
    with path.open("rb") as file:
        file.seek(offset)
        return _record(path, offset, _payload(path, file))


def offsets(path: Path) -> list[int]:
    """Of an .idx file, in its order: a line is a key, a tab and the byte where the record begins. Raises DataError, OSError."""
    found = []
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        _, tab, offset = line.partition("\t")
        if not tab or not offset.strip().isdecimal():
            raise DataError(f"{path}: line {number}: {line[:60]!r}, wanted KEY<TAB>BYTE; fetch the file again")
        found.append(int(offset))
    return found


def _payload(path: Path, file: BinaryIO) -> bytes:
    """The bytes of the record that begins here, the magic put back between its parts."""
    parts: list[bytes] = []
    while True:
        at = file.tell()
        kind, part = _frame(path, file)
        if kind not in ((_MIDDLE, _LAST) if parts else (_WHOLE, _FIRST)):
            raise DataError(f"{path}: byte {at}: part of a record without its start; fetch the file again")
        parts.append(part)
        if kind in (_WHOLE, _LAST):
            return _MAGIC_BYTES.join(parts)


def _frame(path: Path, file: BinaryIO) -> tuple[int, bytes]:
    at = file.tell()
    head = file.read(8)
    if head[:4] != _MAGIC_BYTES[: len(head)] or not head:
        raise DataError(f"{path}: byte {at}: no RecordIO record begins here; fetch the file again")
    length = struct.unpack("<I", head[4:])[0] & 0x1FFFFFFF if len(head) == 8 else 0
    padded = -length % 4 + length
    # Before anything is read: a damaged length must not cost half a gigabyte.
    if len(head) < 8 or at + 8 + padded > _size(file):
        raise DataError(f"{path}: byte {at}: the file ends within a record; fetch it again")
    return head[7] >> 5, file.read(padded)[:length]


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _record(path: Path, offset: int, payload: bytes) -> Record:
    flag = struct.unpack_from("<I", payload)[0] if len(payload) >= _HEADER.size else 0
    start = _HEADER.size + 4 * flag
    if len(payload) < start or len(payload) < _HEADER.size:
        raise DataError(
            f"{path}: byte {offset}: {len(payload)} bytes, too few for a picture and its labels; pack it again"
        )
    _, label, number, _ = _HEADER.unpack_from(payload)
    labels = struct.unpack_from(f"<{flag}f", payload, _HEADER.size) if flag else (label,)
    return Record(offset=offset, id=number, labels=labels, payload=payload[start:])
