"""One bounded queue and the threads that run a model; batch size 1 is a batch."""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from bundle.engine import cores
from bundle.errors import Busy, Expired
from server import stages
from server.config import Config


class Gone:
    """Whether the client of a running request has closed its connection; tells whoever works for it."""

    def __init__(self) -> None:
        self.is_set = False
        self._calls: list[Callable[[], object]] = []

    def then(self, call: Callable[[], object]) -> None:
        self._calls.append(call)
        if self.is_set:
            call()

    def set(self) -> None:
        self.is_set = True
        for call in list(self._calls):
            call()


# A batch that runs for so many deadlines will not end: everybody who waited for it has left. At least so many seconds.
STUCK_DEADLINES, STUCK_S = 4, 1.0


class Runs(Protocol):
    """What the threads run: an engine, or a model that makes documents."""

    @property
    def device(self) -> str: ...

    @property
    def run(self) -> Callable[..., Any]: ...


@dataclass(eq=False)
class Job:
    item: Any  # uint8 (h, w, 3), or whatever else is run
    deadline: float  # of time.monotonic(), as the times below
    row: "Future[Any]" = field(default_factory=Future)
    queued: float = field(default_factory=time.monotonic)
    began: float = 0.0
    ended: float = 0.0

    def note(self) -> None:
        """How long it waited and ran, in the record of the request that waits for it."""
        record = stages.current()
        record.queue.append((self.began or time.monotonic()) - self.queued)
        if self.ended:
            record.engine.append(self.ended - self.began)


def stack(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures as the batch that an engine takes."""
    return pictures[0][None] if len(pictures) == 1 else np.stack(pictures)


class Pool:
    """On a CPU a thread for each core and pictures one by one; on a GPU one thread and batches."""

    def __init__(self, engine: Runs, config: Config, together: Callable[[list[Any]], Any] = stack) -> None:
        gpu = engine.device == "gpu"
        self._run, self._together = engine.run, together
        self._batch = config.max_batch if gpu else 1
        self._wait_s = config.max_wait_ms / 1000
        self._stuck_s = max(STUCK_S, STUCK_DEADLINES * config.deadline_ms / 1000)
        self._running: dict[int, float] = {}  # thread -> since when its batch runs
        self._sizes: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._queue: queue.Queue[Job | None] = queue.Queue(config.queue)
        count = 1 if gpu else config.engine_threads or max(1, cores() // config.processes)
        # What one request may have in the queue: enough to keep every engine at work, and room for everybody else.
        self._share = min(config.queue, 2 * count * self._batch)
        self._threads = [threading.Thread(target=self._work, name=f"engine-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def row(self, item: Any, *, timeout_s: float, gone: Gone | None = None) -> Any:
        """The scores of one picture, float32 (k,). Raises as `rows`."""
        return self.rows([item], timeout_s=timeout_s, gone=gone)[0]

    @contextmanager
    def holding(self, item: Any, *, timeout_s: float, gone: Gone | None = None) -> Iterator[Job]:
        """A job that is waited for in another way than by `rows`; dropped at the end where it has not begun. Raises Busy."""
        job = self._put(Job(item, time.monotonic() + timeout_s), gone)
        try:
            yield job
        finally:
            job.row.cancel()
            job.note()

    def rows(self, items: Iterable[Any], *, timeout_s: float, gone: Gone | None = None) -> list[Any]:
        """What comes of several items of one request, in order (of pictures the scores); they may still be made while the first ones run.

        Raises Busy where the queue is full, Expired after `timeout_s` or when the client is `gone`; what waits is then dropped.
        """
        jobs: list[Job] = []
        until = time.monotonic() + timeout_s
        try:
            for item in items:
                if len(jobs) >= self._share:
                    self._result(jobs[-self._share], timeout_s)
                jobs.append(self._put(Job(item, until), gone))
            return [self._result(job, timeout_s) for job in jobs]
        finally:
            for job in jobs:
                job.row.cancel()
                job.note()

    def _put(self, job: Job, gone: Gone | None) -> Job:
        """Raises Busy where nobody has given up whose place could be had."""
        if gone:
            gone.then(job.row.cancel)
        for try_again in (self._sweep, None):
            try:
                self._queue.put_nowait(job)
                return job
            except queue.Full:
                if not (try_again and try_again()):
                    break
        raise Busy(f"{self._queue.maxsize} pictures are waiting already; send it again in a second")

    def _result(self, job: Job, timeout_s: float) -> Any:
        try:
            return job.row.result(max(0.0, job.deadline - time.monotonic()))
        except (TimeoutError, CancelledError):
            job.row.cancel()
            raise Expired(f"no answer within {timeout_s:g} s; send it again later") from None

    def _sweep(self) -> bool:
        """Takes out those whose client has given up, before an engine thread comes to them; whether there were any."""
        with self._queue.mutex:
            waiting = self._queue.queue
            wanted = [job for job in waiting if job is None or not job.row.cancelled()]
            swept = len(wanted) < len(waiting)
            waiting.clear()
            waiting.extend(wanted)
            self._queue.not_full.notify_all()
        return swept

    def alive(self) -> bool:
        """The threads run, and none is stuck in a batch that does not end."""
        oldest = min([*self._running.values()], default=float("inf"))
        return all(thread.is_alive() for thread in self._threads) and time.monotonic() - oldest < self._stuck_s

    def waiting(self) -> int:
        return self._queue.qsize()

    def sizes(self) -> dict[int, int]:
        """How many batches of each size have been run."""
        with self._lock:
            return dict(self._sizes)

    def close(self) -> None:
        """Lets the threads finish what is queued, and ends them."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            jobs = [job for job in self._gather(first) if self._wanted(job)]
            if not jobs:
                continue
            try:
                for job, row in zip(jobs, self._timed(jobs), strict=True):
                    job.row.set_result(row)
            except Exception as error:  # whatever the engine raises belongs to those who wait, and the thread goes on
                for job in jobs:
                    if not job.row.done():
                        job.row.set_exception(error)

    def _timed(self, jobs: list[Job]) -> Any:
        """One batch run, its times noted in its jobs."""
        began = self._running[threading.get_ident()] = time.monotonic()
        for job in jobs:
            job.began = began
        try:
            return self._run(self._together([job.item for job in jobs]))
        finally:
            del self._running[threading.get_ident()]
            with self._lock:
                self._sizes[len(jobs)] += 1
            for job in jobs:
                job.ended = time.monotonic()

    def _gather(self, first: Job) -> list[Job]:
        """The first job and those that come before its batch is full or it has waited long enough."""
        jobs, until = [first], time.monotonic() + self._wait_s
        while len(jobs) < self._batch:
            try:
                job = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                self._queue.put(None)  # the end: this batch first, then the loop sees it
                break
            jobs.append(job)
        return jobs

    def _wanted(self, job: Job) -> bool:
        """False for one whose client has given up; nobody is asked to run it."""
        if time.monotonic() > job.deadline:
            job.row.cancel()
        return job.row.set_running_or_notify_cancel()
