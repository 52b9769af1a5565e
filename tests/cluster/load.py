"""Clients that send pictures all the time, and count what is not answered with a 200."""

import threading
import time
from collections import Counter
from contextlib import contextmanager

import urllib3

# Between two pictures of one client, once, twice or not at all: a connection is used again at once, or after a while.
PAUSE_S = 0.05


class Load:
    def __init__(self) -> None:
        self.answers, self.failures, self.slowest_s = Counter(), [], 0.0
        self.ended = threading.Event()

    def __str__(self) -> str:
        share = ", ".join(f"{count} of {model}" for model, count in self.answers.items())
        return f"{sum(self.answers.values())} answers ({share}), {len(self.failures)} failed, slowest {self.slowest_s:.2f} s"


@contextmanager
def sending(address: str, pictures: list[bytes], *, clients: int = 8, pause_s: float = PAUSE_S):
    """A Load of that many clients at address:port; every second one opens a connection for each picture. None tries anything again."""
    load = Load()
    threads = [
        threading.Thread(target=_client, args=(load, address, pictures, number % 2 == 0, pause_s))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.ended.set()
        for thread in threads:
            thread.join(60)


def _client(load: Load, address: str, pictures: list[bytes], stays: bool, pause_s: float) -> None:
    headers = {} if stays else {"Connection": "close"}
    with urllib3.PoolManager(maxsize=1, retries=False, timeout=30, headers=headers) as pool:
        number = 0
        while not load.ended.is_set():
            number += 1
            begun = time.monotonic()
            fields = {"image": ("photo.jpg", pictures[number % len(pictures)], "image/jpeg")}
            try:
                answer = pool.request("POST", f"http://{address}/classify", fields=fields)
                if answer.status == 200:
                    load.answers[answer.json()["model"]["id"][:8]] += 1
                else:
                    load.failures.append(f"{answer.status}: {answer.data[:200]}")
            except urllib3.exceptions.HTTPError as error:
                load.failures.append(f"{'kept' if stays else 'new'} connection: {error!r}")
            load.slowest_s = max(load.slowest_s, time.monotonic() - begun)
            load.ended.wait(pause_s * (number % 3))
