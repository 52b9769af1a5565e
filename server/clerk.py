"""Writes down what requests cost, a moment after their answers have gone and many at a time.

After a model's run nothing of a log's or a counter's code is in the processor's cache: one line then takes three times as long as each of twenty.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

log = logging.getLogger("imago.server")

WAIT_S = 0.05


class Clerk:
    """What is not written when the process is killed is lost; `write` is called before one that ends by itself ends."""

    def __init__(self) -> None:
        self._notes: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._come = threading.Event()
        threading.Thread(target=self._work, name="clerk", daemon=True).start()

    def note(self, note: Callable[[], None]) -> None:
        """From any thread."""
        self._notes.append(note)
        if not self._come.is_set():
            self._come.set()

    def write(self) -> None:
        """All that has been noted, in order; returns when it is written, by whomever."""
        with self._lock:
            while self._notes:
                try:
                    self._notes.popleft()()
                except Exception:
                    log.exception("error in the clerk")

    def _work(self) -> None:
        while True:
            self._come.wait()
            time.sleep(WAIT_S)
            self._come.clear()
            self.write()
