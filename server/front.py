"""The gunicorn worker: one loop owns every socket, threads answer whole requests; gunicorn stays the process manager.

Its own threaded worker parks a thread on each body that does not come.
"""

import contextlib
import ctypes
import os
import threading
import warnings
from typing import Any

from gunicorn.workers.base import Worker

from server.loop import Loop

# Of malloc.h: larger blocks go back to the system when they are freed. Left alone, glibc raises this to 32 MB, and each of
# the request threads then keeps the pixels of the largest picture that it has seen. Setting it sets the slack at a heap's
# end back to 128 KB, which costs 40 % of a decode in page faults, so that is set too.
M_MMAP_THRESHOLD, LARGE = -3, 1 << 20
M_TRIM_THRESHOLD, SLACK = -1, 16 << 20


class Front(Worker):
    """Runs the loop until a SIGTERM, and then until every request that came before has its answer."""

    loop: Loop

    def load_wsgi(self) -> None:
        with contextlib.suppress(AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
            ctypes.CDLL(None).mallopt(M_TRIM_THRESHOLD, SLACK)
        # Pillow warns of broken EXIF in ever new words; Python would print and remember each of them.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        super().load_wsgi()
        self.loop = Loop(self.wsgi, self.cfg, self.wsgi.extensions["imago"].config)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """A SIGTERM makes it unready first, and closes the listener a moment later, when the orchestrator has noticed."""
        models = self.wsgi.extensions["imago"]
        if self.alive and models.drain():
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
            self.notify()
        for left in self.loop.drain():
            self.notify()
            if not left:
                break
        self.loop.close()
