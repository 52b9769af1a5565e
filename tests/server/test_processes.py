"""Several processes: each is told of a new version, one that dies is replaced, and all are drained."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

JPEG = {"Content-Type": "image/jpeg"}


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def post(server, jpeg, headers=None):
    """On a connection of its own, which any of the processes may take."""
    return requests.post(server.url + "/classify", data=jpeg, headers=JPEG | (headers or {}), timeout=60)


def ids(server, count=24):
    """Of what answered, asked all at once so that no process is left out."""
    with ThreadPoolExecutor(8) as clients:
        found = clients.map(lambda _: requests.get(server.url + "/version", timeout=60).json(), range(count))
    return {answer["models"][0]["id"][:8] for answer in found}


@pytest.fixture
def server(start, link, admin_file, until):
    """Two processes that both serve."""
    with start(link, processes=2, unready_ms=0, log="text", admin_keys=admin_file) as server:
        assert until(lambda: "serves too" in server.log.read_text() and "open http" in server.log.read_text())
        yield server


def test_there_are_as_many_as_asked_for_and_one_greets(server, workers):
    assert len(workers(server)) == 2
    assert server.log.read_text().count("in a browser") == 1


def test_sighup_reaches_every_process(server, link, second, move, until, workers):
    before = workers(server)
    move(link, second)
    server.process.send_signal(signal.SIGHUP)
    assert until(lambda: server.log.read_text().count(f"{second.name[-8:]} is served from now on") == 2)
    assert (ids(server), workers(server)) == ({second.name[-8:]}, before)


def test_reload_by_http_reaches_every_process(server, link, second, move, admin, until):
    move(link, second)
    answer = requests.post(server.url + "/models/tiny/reload", headers=admin, timeout=60).json()
    assert (answer["changed"], answer["others_told"]) == (True, True)
    assert until(lambda: server.log.read_text().count(f"{second.name[-8:]} is served from now on") == 2)
    assert ids(server) == {second.name[-8:]}


def test_broken_version_ends_no_process(server, link, tiny, tmp_path, move, until, workers):
    before = workers(server)
    move(link, tmp_path)
    for _ in range(3):
        server.process.send_signal(signal.SIGHUP)
    assert until(lambda: server.log.read_text().count("the old one stays") >= 2)
    assert (ids(server), workers(server)) == ({tiny.name[-8:]}, before)


def test_killed_process_is_replaced_while_the_other_serves(server, jpeg, until, workers):
    before = workers(server)
    os.kill(min(before), signal.SIGKILL)
    statuses = [post(server, jpeg).status_code for _ in range(30)]
    assert until(lambda: len(workers(server)) == 2 and server.log.read_text().count("serves too") == 2)
    statuses += [post(server, jpeg).status_code for _ in range(30)]
    assert set(statuses) == {200}
    assert len(workers(server) & before) == 1


def test_replacement_that_cannot_load_takes_no_request(server, link, jpeg, tmp_path, move, until, workers):
    move(link, tmp_path)
    os.kill(min(workers(server)), signal.SIGKILL)
    assert until(lambda: "cannot load, and tries again" in server.log.read_text())
    assert {post(server, jpeg).status_code for _ in range(30)} == {200}


def test_sigterm_drains_all_and_leaves_nobody(server, jpeg, workers):
    pids = workers(server)
    with ThreadPoolExecutor(8) as clients:
        jobs = [clients.submit(post, server, jpeg) for _ in range(40)]
        while not jobs[0].done():
            time.sleep(0.005)
        assert server.end() == 0
        done = [job for job in jobs if not job.exception()]
    assert {job.result().status_code for job in done} == {200}
    assert all(gone(pid) for pid in pids)


def test_first_process_that_cannot_load_ends_the_server(imago, tiny_copy, free_port):
    (tiny_copy / "labels.txt").write_text("red\ngreen\ngrue\n")
    done = imago("serve", "--bundle", tiny_copy, "--listen", f"127.0.0.1:{free_port}", "--processes", 2)
    assert done.returncode in (1, 3)
    assert "Traceback" not in done.stderr
    assert f"imago: {tiny_copy}/labels.txt: " in done.stderr
