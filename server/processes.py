"""The parent and its processes: what a SIGHUP means to each, and when a process takes requests."""

import os
import queue
import signal
import time
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.workers.base import Worker

from server import versions
from server.front import Front


class Parent(Arbiter):
    """gunicorn's would start new processes on a SIGHUP, and end with the first that cannot load; ours tells those there are."""

    def handle_hup(self) -> None:
        self.kill_workers(signal.SIGHUP)

    def stop(self, graceful: bool = True) -> None:
        """A process that could not load may be found only now; the others are still to be stopped."""
        try:
            super().stop(graceful)
        except HaltServer:
            super().stop(graceful)


class Process(Front):
    # Set before the others, and never back to the default, which ends a process.
    SIGNALS = [sig for sig in Worker.SIGNALS if sig != signal.SIGHUP]

    def init_process(self) -> None:
        self.told: queue.SimpleQueue[bool] = queue.SimpleQueue()
        signal.signal(signal.SIGHUP, self.handle_hup)
        signal.siginterrupt(signal.SIGHUP, False)
        self.app.first = self.age == 1 or self.cfg.workers == 1
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        versions.Watch(self.wsgi.extensions["imago"], self.told).start()

    def handle_exit(self, sig: int, frame: Any) -> None:
        if not hasattr(self, "loop"):  # nothing is served yet, so there is nothing to drain
            os._exit(0)
        super().handle_exit(sig, frame)

    def handle_hup(self, sig: int, frame: Any) -> None:
        self.told.put(True)

    def run(self) -> None:
        """One of several takes requests only when it can answer them: the others would have."""
        models = self.wsgi.extensions["imago"]
        while self.cfg.workers > 1 and not models.ready() and self.alive and self.ppid == os.getppid():
            self.notify()
            time.sleep(0.05)
        super().run()
