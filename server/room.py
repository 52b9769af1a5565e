"""How much memory pictures that are being decoded take together; knows no picture."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from bundle.errors import Busy, Expired
from server.pool import Gone

# Bytes that need no room: a screen of 1920 x 1080, or a phone's photo, since JPEG shrinks while it is decoded.
SMALL = 20 << 20


class Room:
    """First come, first served; larger ones than `most` are let in alone."""

    def __init__(self, most: int, places: int) -> None:
        """`most` bytes in use together, `places` for those who have room or wait for it."""
        self._most = self._free = most
        self._places = threading.BoundedSemaphore(places)
        self._line: deque[object] = deque()
        self._change = threading.Condition()

    @contextmanager
    def hold(self, size: int, *, timeout_s: float, gone: Gone | None = None) -> Iterator[None]:
        """Raises Busy where too many wait, Expired after `timeout_s` or when the client is `gone`."""
        if size <= SMALL:
            yield
            return
        if not self._places.acquire(blocking=False):
            raise Busy("too many large pictures are being decoded already; send it again in a second, or smaller")
        size = min(size, self._most)
        try:
            self._take(size, timeout_s, gone or Gone())
            try:
                yield
            finally:
                self._give(size)
        finally:
            self._places.release()

    def _take(self, size: int, timeout_s: float, gone: Gone) -> None:
        me = object()
        gone.then(self._look)
        with self._change:
            self._line.append(me)
            mine = self._change.wait_for(lambda: gone.is_set or (self._line[0] is me and self._free >= size), timeout_s)
            self._line.remove(me)
            self._change.notify_all()  # another one is the first now
            if not mine or gone.is_set:
                raise Expired(f"no memory to decode a large picture was free within {timeout_s:g} s; send it smaller")
            self._free -= size

    def _give(self, size: int) -> None:
        with self._change:
            self._free += size
            self._change.notify_all()

    def _look(self) -> None:
        with self._change:
            self._change.notify_all()
