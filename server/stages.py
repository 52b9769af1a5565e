"""Where a request's time goes: decode, queue and engine of each picture, noted by who spends it, read when the request ends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Stages:
    """Seconds, one entry a picture."""

    model: str = ""
    decode: list[float] = field(default_factory=list)
    queue: list[float] = field(default_factory=list)
    engine: list[float] = field(default_factory=list)

    @property
    def pictures(self) -> int:
        """Pixels that come as numbers are queued without being decoded; a picture that is none is not queued."""
        return max(len(self.decode), len(self.queue))


_current: ContextVar[Stages] = ContextVar("stages")


def begin() -> Stages:
    """A fresh record for the request that this thread begins."""
    record = Stages()
    _current.set(record)
    return record


def current() -> Stages:
    """The record of this thread's request; outside of any, one that nobody reads."""
    return _current.get(None) or Stages()


@contextmanager
def decoding() -> Iterator[None]:
    """Around the decoding of one picture, whether it succeeds or not."""
    start = time.monotonic()
    try:
        yield
    finally:
        current().decode.append(time.monotonic() - start)
