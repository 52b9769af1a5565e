"""Where feedback is kept: lists in a folder, or objects in S3; knows no request.

A list has one JSON object a line, as SageMaker's augmented manifest has it, so that it is training data as it stands.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import tempfile
import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from bundle import pull, storage
from bundle.errors import BundleError, Unreachable
from bundle.storage import Place
from server.config import Config, ConfigError, flag
from server.errors import NotKept

log = logging.getLogger("imago.server")

# What may wait for S3: some hundred photos, or a hundred thousand answers. Each counts for so much more than its bytes.
MOST_WAITING, EACH = 64 << 20, 512
# Between tries of storage that does not answer; each try is three, of five seconds at most.
PAUSES_S = (0.0, 1.0, 4.0, 16.0)
# How long the end of the process waits for what is still to be written.
CLOSE_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Note:
    """What one person said to one answer."""

    model: str
    label: str | list[str] | None  # None: none of the model's labels, or nobody knows
    sha256: str  # of the picture's bytes
    about: dict[str, Any]  # what else is known; no part of the training data
    picture: bytes | None = None
    suffix: str = ""  # of the picture's file
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def name(self) -> str:
        """Of the picture's file, there or not."""
        return self.sha256 + self.suffix

    def line(self, ref: str) -> bytes:
        row = {"source-ref": ref, "label": self.label, "label-metadata": self._metadata()}
        return json.dumps(row).encode() + b"\n"

    def _metadata(self) -> dict[str, Any]:
        stamp = self.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        said = {"human-annotated": "yes", "creation-date": stamp, "job-name": "imago-feedback"}
        return {**said, "sha256": self.sha256, "model": self.model, **self.about}

    @property
    def day(self) -> str:
        """The list that it belongs to; a model's name is safe in a path."""
        return f"{self.model}.{self.time:%Y-%m-%d}"


class Notebook(Protocol):
    def keep(self, note: Note) -> None:
        """Raises NotKept."""

    def close(self) -> None: ...


# (kept | dropped)
Count = Callable[[str], None]


def of(config: Config, count: Count) -> Notebook | None:
    """None where no feedback is taken."""
    if not config.feedback:
        return None
    if pull.remote(config.feedback):
        return Bucket(storage.place(config.feedback), count)
    return Folder(Path(config.feedback), count)


def check(where: str) -> None:
    """What can be told before a process is started for it. Raises ConfigError."""
    if not where or pull.remote(where):
        return
    try:
        Path(where).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=where):
            pass
    except OSError as error:
        raise ConfigError(f"{flag('feedback')}: {where}: cannot be written ({error.strerror})") from None


class Folder:
    """A list a model and day, MODEL.YYYY-MM-DD.jsonl; the pictures beside them, each once, under their sha256."""

    def __init__(self, folder: Path, count: Count) -> None:
        self._folder, self._count = folder, count

    def keep(self, note: Note) -> None:
        try:
            if note.picture is not None:
                _whole(self._folder / note.name, note.picture)
            _append(self._folder / f"{note.day}.jsonl", note.line(note.name))
        except OSError as error:
            self._count("dropped")
            log.error("feedback cannot be kept in %s: %s", self._folder, error)
            reason = error.strerror or type(error).__name__
            raise NotKept(f"what you said cannot be kept now ({reason}); say it again later") from None
        self._count("kept")

    def close(self) -> None:
        pass


class Bucket:
    """An object for each feedback, since nothing can be appended there; a thread of its own writes them, no request waits for it."""

    def __init__(self, target: Place, count: Count) -> None:
        self._target, self._count = target, count
        self._waiting: deque[Note] = deque()
        self._held = 0  # bytes
        self._change = threading.Condition()
        self._ending = threading.Event()
        threading.Thread(target=self._work, name="feedback", daemon=True).start()

    def keep(self, note: Note) -> None:
        with self._change:
            if self._held + _size(note) > MOST_WAITING:
                self._drop(note, "too much is waiting to be written")
                raise NotKept("what you said cannot be kept now (the storage is slow); say it again later")
            self._waiting.append(note)
            self._held += _size(note)
            self._change.notify_all()

    def close(self) -> None:
        """Waits a little for what is still to be written."""
        self._ending.set()
        with self._change:
            self._change.wait_for(lambda: not self._waiting, CLOSE_S)
            for note in self._waiting:
                self._drop(note, "the server ends")

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting)
                note = self._waiting[0]
            try:
                self._try(note)
            except BundleError as error:
                self._drop(note, str(error))
            except Exception:
                self._drop(note, "an unexpected error")
                log.exception("error while feedback was written")
            with self._change:
                self._waiting.popleft()
                self._held -= _size(note)
                self._change.notify_all()

    def _try(self, note: Note) -> None:
        """Raises Unreachable when all tries are used up, BundleError for an answer that will stay."""
        for at, pause_s in enumerate(PAUSES_S, start=1):
            self._ending.wait(pause_s)
            try:
                self._write(note)
                return
            except Unreachable:
                if at == len(PAUSES_S) or self._ending.is_set():
                    raise

    def _write(self, note: Note) -> None:
        """The picture first, so that no line speaks of one that is not there."""
        s3 = storage.client(5)
        if note.picture is not None:
            storage.put(s3, self._target / note.name, note.picture)
        name = f"{note.time:%H%M%S%f}-{uuid.uuid4().hex[:8]}.jsonl"
        storage.put(s3, self._target / note.day / name, note.line(str(self._target / note.name)))
        self._count("kept")

    def _drop(self, note: Note, reason: str) -> None:
        self._count("dropped")
        log.warning("feedback to request %s is dropped: %s", note.about.get("request_id"), reason)


def _size(note: Note) -> int:
    return EACH + len(note.picture or b"")


def _whole(path: Path, data: bytes) -> None:
    """Written whole or not at all, and once. Raises OSError."""
    if path.exists():
        return
    handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(handle, 0o640)
            os.fsync(handle)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _append(path: Path, line: bytes) -> None:
    """One write, of a whole line or nothing, also beside other processes. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # nobody appends between a write that failed and its undoing
        before = os.fstat(handle).st_size
        try:
            if os.write(handle, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, before)
            raise
    finally:
        os.close(handle)
