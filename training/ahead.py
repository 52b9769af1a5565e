"""Batches are made by a thread while the network works on the one before."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from typing import TypeVar

Made = TypeVar("Made")

# Batches made ahead of the step that is being trained.
AHEAD = 4


def ahead(make: Callable[[int], Made], start: int, end: int | None = None) -> Iterator[Made]:
    """make(start), make(start + 1), ... up to `end`, in order; None: without an end."""
    steps = count(start) if end is None else iter(range(start, end))
    with ThreadPoolExecutor(1) as pool:
        try:
            waiting = [pool.submit(make, step) for step in islice(steps, AHEAD)]
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(make, step) for step in islice(steps, 1)]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
