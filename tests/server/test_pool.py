"""The queue between requests and a model: bounded, in order, and no job's failure is another's."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bundle.engine import Engine
from bundle.errors import Busy, Expired
from server.config import read
from server.pool import Gone, Pool


def pixels(number):
    return np.full((2, 2, 3), number, np.uint8)


def first_values(batch):
    """An engine whose score is the picture's first value, so that a swapped answer shows."""
    return batch[:, 0, 0, :1].astype(np.float32)


class Gate:
    """An engine that runs when it is let to, and remembers its batches."""

    def __init__(self):
        self.open, self.entered, self.batches = threading.Event(), threading.Event(), []

    def run(self, batch):
        self.batches.append(batch[:, 0, 0, 0].tolist())
        self.entered.set()
        assert self.open.wait(60)
        return first_values(batch)


@pytest.fixture
def pool():
    """(function, device=, **knobs) -> a pool that is closed when the test ends."""
    pools = []

    def make(run, device="cpu", **knobs):
        pools.append(Pool(Engine(name="test", device=device, run=run), read(**knobs)))
        return pools[-1]

    yield make
    for one in pools:
        one.close()


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def clients(gate):
    """Threads that submit; the gate opens before they are waited for."""
    with ThreadPoolExecutor(200) as threads:
        yield threads
        gate.open.set()


def test_row_is_the_pictures_own(pool):
    assert pool(first_values).row(pixels(7), timeout_s=60).tolist() == [7.0]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_200_at_once_each_get_their_own_row(pool, device):
    one = pool(first_values, device, queue=200)
    with ThreadPoolExecutor(200) as threads:
        rows = list(threads.map(lambda n: one.row(pixels(n), timeout_s=60), range(200)))
    assert [row.tolist() for row in rows] == [[float(n)] for n in range(200)]


def test_full_queue_is_busy_at_once(pool, gate, clients, until):
    one = pool(gate.run, queue=2, engine_threads=1)
    clients.submit(one.row, pixels(0), timeout_s=60)
    assert gate.entered.wait(60)
    for n in (1, 2):
        clients.submit(one.row, pixels(n), timeout_s=60)
    assert until(one._queue.full)
    with pytest.raises(Busy, match="^2 pictures are waiting already; send it again in a second$"):
        one.row(pixels(3), timeout_s=60)


def test_deadline_is_expired(pool, gate):
    with pytest.raises(Expired, match=r"^no answer within 0\.05 s; send it again later$"):
        pool(gate.run).row(pixels(1), timeout_s=0.05)
    gate.open.set()


def test_expired_job_is_never_run(pool, gate, clients):
    one = pool(gate.run, engine_threads=1)
    slow = clients.submit(one.row, pixels(0), timeout_s=60)
    assert gate.entered.wait(60)
    with pytest.raises(Expired):
        one.row(pixels(1), timeout_s=0.05)
    gate.open.set()
    assert (slow.result(60).tolist(), one.row(pixels(2), timeout_s=60).tolist()) == ([0.0], [2.0])
    assert gate.batches == [[0], [2]]


def refuse_13(batch):
    if (batch == 13).any():
        raise ArithmeticError("13 is not for me")
    return first_values(batch)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_error_of_the_engine_reaches_who_asked(pool, device):
    with pytest.raises(ArithmeticError, match="13 is not for me"):
        pool(refuse_13, device).row(pixels(13), timeout_s=60)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_thread_outlives_an_error_of_the_engine(pool, device):
    one = pool(refuse_13, device, engine_threads=1)
    for _ in range(3):
        with pytest.raises(ArithmeticError):
            one.row(pixels(13), timeout_s=60)
    assert one.alive()
    assert one.row(pixels(1), timeout_s=60).tolist() == [1.0]


def test_error_of_the_engine_reaches_only_its_own_picture(pool):
    one = pool(refuse_13, engine_threads=2)
    with ThreadPoolExecutor(20) as threads:
        jobs = [threads.submit(one.row, pixels(n), timeout_s=60) for n in range(20)]
    assert [n for n, job in enumerate(jobs) if job.exception()] == [13]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_engine_that_gives_too_few_rows_is_an_error_and_nobody_waits(pool, device):
    one = pool(lambda batch: first_values(batch)[1:], device)
    with pytest.raises(ValueError, match="shorter"):
        one.row(pixels(1), timeout_s=60)


def test_gpu_runs_what_waits_as_one_batch(pool, gate, clients, until):
    one = pool(gate.run, "gpu", max_wait_ms=0)
    jobs = [clients.submit(one.row, pixels(0), timeout_s=60)]
    assert gate.entered.wait(60)
    for n in range(1, 6):
        jobs.append(clients.submit(one.row, pixels(n), timeout_s=60))
        assert until(lambda n=n: one._queue.qsize() == n)
    gate.open.set()
    assert [job.result(60).tolist() for job in jobs] == [[float(n)] for n in range(6)]
    assert gate.batches == [[0], [1, 2, 3, 4, 5]]


def test_gpu_batch_is_never_larger_than_max_batch(pool, gate, clients):
    one = pool(gate.run, "gpu", max_batch=4, max_wait_ms=0)
    jobs = [clients.submit(one.row, pixels(n), timeout_s=60) for n in range(20)]
    gate.open.set()
    assert all(job.result(60) is not None for job in jobs)
    assert max(map(len, gate.batches)) <= 4


def test_gpu_waits_a_moment_for_its_batch_to_fill(pool, gate, clients):
    gate.open.set()
    one = pool(gate.run, "gpu", max_batch=3, max_wait_ms=1000)
    jobs = [clients.submit(one.row, pixels(n), timeout_s=60) for n in range(3)]
    assert [job.result(60).tolist() for job in jobs] == [[0.0], [1.0], [2.0]]
    assert [len(batch) for batch in gate.batches] == [3]


def test_cpu_runs_pictures_one_by_one(pool, gate, clients):
    gate.open.set()
    one = pool(gate.run, max_wait_ms=50)
    assert all(
        job.result(60) is not None for job in [clients.submit(one.row, pixels(n), timeout_s=60) for n in range(20)]
    )
    assert {len(batch) for batch in gate.batches} == {1}


@pytest.mark.parametrize("count", [1, 3])
def test_cpu_has_as_many_threads_as_it_is_told(pool, gate, clients, count, until):
    one = pool(gate.run, engine_threads=count)
    for n in range(5):
        clients.submit(one.row, pixels(n), timeout_s=60)
    assert until(lambda: len(gate.batches) == count and one._queue.qsize() == 5 - count)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_close_finishes_what_is_queued(gate, clients, device, until):
    one = Pool(Engine(name="test", device=device, run=gate.run), read(engine_threads=1))
    jobs = [clients.submit(one.row, pixels(n), timeout_s=60) for n in range(5)]
    assert until(lambda: gate.batches and sum(map(len, gate.batches)) + one._queue.qsize() >= 5)
    closing = clients.submit(one.close)
    gate.open.set()
    assert closing.result(60) is None
    assert [job.result(60).tolist() for job in jobs] == [[float(n)] for n in range(5)]


def test_closed_pool_is_not_alive():
    one = Pool(Engine(name="test", device="cpu", run=first_values), read())
    alive = one.alive()
    one.close()
    assert (alive, one.alive()) == (True, False)


# ---- several pictures of one request -------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("queue", [1, 100])
def test_rows_of_several_pictures_come_in_order(pool, device, queue):
    rows = pool(first_values, device, queue=queue).rows((pixels(n) for n in range(64)), timeout_s=60)
    assert [row.tolist() for row in rows] == [[float(n)] for n in range(64)]


def test_several_pictures_run_at_once_and_leave_room_for_others(pool, gate, clients, until):
    one = pool(gate.run, engine_threads=2, queue=64)
    jobs = clients.submit(one.rows, [pixels(n) for n in range(20)], timeout_s=60)
    assert until(lambda: len(gate.batches) == 2 and one._queue.qsize() == 2)
    gate.open.set()
    assert [row.tolist() for row in jobs.result(60)] == [[float(n)] for n in range(20)]


def test_error_in_one_picture_drops_the_others_from_the_queue(pool, gate, clients):
    def pictures():
        yield from (pixels(1), pixels(2))
        raise ArithmeticError("no third")

    one = pool(gate.run, engine_threads=1)
    clients.submit(one.row, pixels(0), timeout_s=60)
    assert gate.entered.wait(60)
    with pytest.raises(ArithmeticError, match="no third"):
        one.rows(pictures(), timeout_s=60)
    gate.open.set()
    assert (one.row(pixels(3), timeout_s=60).tolist(), gate.batches) == ([3.0], [[0], [3]])


def test_client_that_is_gone_takes_all_its_pictures_along(pool, gate, clients, until):
    gone, one = Gone(), pool(gate.run, engine_threads=1)
    clients.submit(one.row, pixels(0), timeout_s=60)
    assert gate.entered.wait(60)
    job = clients.submit(one.rows, [pixels(1), pixels(2)], timeout_s=60, gone=gone)
    assert until(lambda: one._queue.qsize() == 2)
    gone.set()
    assert isinstance(job.exception(60), Expired)
    gate.open.set()
    assert (one.row(pixels(3), timeout_s=60).tolist(), gate.batches) == ([3.0], [[0], [3]])
