"""S22, S23: SIGTERM under load, twice, while a model loads; and a worker that is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[3]
JPEG = {"Content-Type": "image/jpeg"}


def keep_asking(url, data, stop, found):
    """Statuses of one request after the other, each on a connection of its own, until the server refuses connections."""
    while not stop.is_set():
        try:
            found.append(requests.post(url + "/classify", data=data, headers=JPEG, timeout=60).status_code)
        except requests.ConnectionError as error:
            found.append("refused" if "refused" in str(error) else "lost")
            if found[-1] == "refused":
                return


@pytest.fixture
def under_load(until, jpeg):
    """(server, act) -> what 8 clients got while `act(server, found)` happened; they had all got something before."""

    def run(server, act):
        found, stop = [], threading.Event()
        with ThreadPoolExecutor(8) as clients:
            for _ in range(8):
                clients.submit(keep_asking, server.url, jpeg, stop, found)
            try:
                assert until(lambda: len(found) > 16)
                act(server, found)
            finally:
                stop.set()
        return found

    return run


def gone(pid):
    return not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_s22_sigterm_under_load_loses_no_request(start, slow, worker, under_load, times):
    def act(server, _):
        for _ in range(times):
            server.process.terminate()
            time.sleep(0.1)
        assert server.process.wait(60) == 0

    with start(slow(5), unready_ms=200) as server:
        pid = worker(server)
        found = under_load(server, act)
        assert gone(pid)
    assert set(found) - {"refused", "lost"} == {200}
    assert found.count(200) > 8
    assert found.count("lost") <= 1  # the kernel may take a connection between our last accept and the close


def test_s22_sigterm_to_everybody_at_once_loses_no_request(start, slow, worker, under_load):
    """As a terminal or a container's runtime sends it: to the worker too."""

    def act(server, _):
        os.kill(worker(server), signal.SIGTERM)
        server.process.terminate()
        assert server.process.wait(60) == 0

    with start(slow(5), unready_ms=200) as server:
        found = under_load(server, act)
    assert set(found) - {"refused", "lost"} == {200}
    assert found.count("lost") <= 8  # the parent listens until it has the signal too


@pytest.mark.parametrize("after_s", [0.05, 0.5, 0.8])
def test_s22_sigterm_during_the_start_ends_it(tiny, free_port, after_s, tmp_path):
    command = [sys.executable, "-m", "imago", "serve", "--bundle", str(tiny), "--listen", f"127.0.0.1:{free_port}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    time.sleep(after_s)
    process.terminate()
    assert process.wait(60) in (0, -signal.SIGTERM)
    assert b"Traceback" not in (tmp_path / "log").read_bytes()


def test_s23_killed_worker_is_replaced(start, slow, workers, under_load, until):
    def ready(server):
        try:
            return requests.get(server.url + "/readyz", timeout=60).ok
        except requests.RequestException:
            return False

    def act(server, found):
        before = workers(server)
        os.kill(*before, signal.SIGKILL)
        assert until(lambda: ready(server) and not workers(server) & before)
        count = len(found)
        assert until(lambda: len(found) > count + 24)  # those that waited meanwhile are among them

    with start(slow(5), unready_ms=0) as server:
        found = under_load(server, act)
    assert found.count("lost") <= 8
    assert set(found) <= {200, 503, "lost"}
    assert found[-8:] == [200] * 8


def test_s23_worker_without_its_parent_ends_too(start, tiny, worker, until):
    with start(tiny, unready_ms=0) as server:
        pid = worker(server)
        server.process.kill()
        ended = until(lambda: gone(pid))
        server.process.wait(60)
        server.end = lambda: 0  # it was no ordinary end
    assert ended
