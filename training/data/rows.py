"""Rows of numbers kept by key in one file that only ever grows; a file that is damaged or cannot be written is a slow one, not an error."""

import fcntl
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path

import numpy as np

KEY = 36  # bytes

# Rows are written in batches: more often than that costs, and a run that is killed loses no more.
MOST_WAITING, MOST_WAIT_S = 64, 2.0
# A write takes milliseconds; who holds the file for longer has been stopped.
LOCK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Records of one length: key, float32 row, CRC of both.

    A writer locks the file, cuts off what a killed one left after the last whole record, and appends. Readers take whole
    records, which nobody changes, so they need no lock.
    """

    path: Path
    width: int

    @cached_property
    def record(self) -> np.dtype[np.void]:
        return np.dtype([("key", f"V{KEY}"), ("row", "<f4", (self.width,)), ("crc", "<u4")])

    def read(self, keys: Sequence[bytes], into: np.ndarray) -> list[int]:
        """Fills `into` (n, width) where a key is known; the places where it is not."""
        records, where = self._records()
        unknown = []
        for place, key in enumerate(keys):
            at = where.get(key)
            if at is not None and _is_whole(records[at].tobytes()):
                into[place] = records[at]["row"]
            else:
                unknown.append(place)
        return unknown

    def lacks(self, keys: Sequence[bytes]) -> list[int]:
        """The places of keys that are not known, by their name alone."""
        _, where = self._records()
        return [place for place, key in enumerate(keys) if key not in where]

    @contextmanager
    def appending(self) -> Iterator[Callable[[bytes, np.ndarray], None]]:
        """A function that keeps a key's row; all of them are written in the end, whatever ends it."""
        waiting: list[bytes] = []
        written = time.monotonic()

        def keep(key: bytes, row: np.ndarray) -> None:
            nonlocal written
            waiting.append(self._sealed(key, row))
            if len(waiting) >= MOST_WAITING or time.monotonic() - written > MOST_WAIT_S:
                self._append(b"".join(waiting))
                waiting.clear()
                written = time.monotonic()

        try:
            yield keep
        finally:
            if waiting:
                self._append(b"".join(waiting))

    def _records(self) -> tuple[np.ndarray, dict[bytes, int]]:
        """All whole records, and where each key is."""
        try:
            count = self.path.stat().st_size // self.record.itemsize
            records = np.memmap(self.path, self.record, "r", shape=(count,))
        except (OSError, ValueError):  # not there, or without a whole record
            return np.empty(0, self.record), {}
        keys = records["key"].tobytes()
        return records, {keys[at * KEY : (at + 1) * KEY]: at for at in range(count)}

    def _sealed(self, key: bytes, row: np.ndarray) -> bytes:
        content = key + np.ascontiguousarray(row, "<f4").tobytes()
        return content + zlib.crc32(content).to_bytes(4, "little")

    def _append(self, content: bytes) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab", buffering=0) as file:
                _lock(file)
                file.truncate(file.seek(0, 2) // self.record.itemsize * self.record.itemsize)
                while content:  # a disk that is nearly full takes a part, and says so when it is asked again
                    content = content[file.write(content) or 0 :]
        except OSError:
            return


def _is_whole(record: bytes) -> bool:
    return zlib.crc32(record[:-4]).to_bytes(4, "little") == record[-4:]


def _lock(file: FileIO) -> None:
    """Until the file is closed. Raises OSError where there are no locks, or another writer was stopped in the middle."""
    until = time.monotonic() + LOCK_S
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.005)
