"""The gunicorn worker: one loop owns every socket, threads answer whole requests; gunicorn stays the process manager.

Its own threaded worker parks a thread on each body that does not come.
"""

import contextlib
import ctypes
import os
import threading
import time
import warnings
from typing import Any

from gunicorn.workers.base import Worker

from server.loop import Loop

# Of malloc.h: larger blocks go back to the system when they are freed. Left alone, glibc raises this to 32 MB, and each of
# the request threads then keeps the pixels of the largest picture that it has seen. Setting it sets the slack at a heap's
# end back to 128 KB, which costs 40 % of a decode in page faults, so that is set too.
M_MMAP_THRESHOLD, LARGE = -3, 1 << 20
M_TRIM_THRESHOLD, SLACK = -1, 16 << 20


# The parent kills a worker that has said nothing for half a minute.
NOTIFY_S = 1.0


class Settings:
    """gunicorn's configuration, each of its values looked up once: a request asks for twenty, and each costs a call or three."""

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._cfg, name)
        setattr(self, name, value)
        return value


class Front(Worker):
    """Runs the loop until a SIGTERM, and then until every request that came before has its answer."""

    loop: Loop
    said = 0.0

    def load_wsgi(self) -> None:
        with contextlib.suppress(AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
            ctypes.CDLL(None).mallopt(M_TRIM_THRESHOLD, SLACK)
        # Pillow warns of broken EXIF in ever new words; Python would print and remember each of them.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        super().load_wsgi()
        self.loop = Loop(self.wsgi, Settings(self.cfg), self.wsgi.extensions["imago"].config)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """A SIGTERM makes it unready first, and closes the listener a moment later, when the orchestrator has noticed."""
        models = self.wsgi.extensions["imago"]
        if self.alive and models.drain():
            self.loop.leaving = True
            later = threading.Timer(models.config.unready_ms / 1000, self._stop)
            later.daemon = True
            later.start()

    def _stop(self) -> None:
        self.alive = False
        self.loop.wake()

    def run(self) -> None:
        self.loop.listen(self.sockets)
        while self.alive and self.ppid == os.getppid():
            self.loop.turn()
            self._say_alive()
        for left in self.loop.drain():
            self._say_alive()
            if not left:
                break
        self.loop.close()

    def _say_alive(self) -> None:
        if (now := time.monotonic()) - self.said > NOTIFY_S:
            self.said = now
            self.notify()
