"""S24: few file descriptors, no place to write, no shared memory, little address space."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from server.worker import _settings

ROOT = Path(__file__).parents[3]


@contextmanager
def poor(limit, tiny, port, log, **environment):
    """A server behind a shell's `limit`, ready or not."""
    words = f"{limit}; exec {sys.executable} -m imago serve --bundle {tiny} --listen 127.0.0.1:{port} --unready-ms 0"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["/bin/sh", "-c", words], cwd=ROOT, stdout=out, stderr=out, env={**os.environ, **environment}
        )
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while time.monotonic() < until and process.poll() is None and not answers(url):
            time.sleep(0.05)
        yield url, SimpleNamespace(process=process)
    finally:
        process.terminate()
        process.wait(60)


def answers(url):
    try:
        return requests.get(url + "/readyz", timeout=60).ok
    except requests.RequestException:
        return False


def classify(url, data):
    return requests.post(url + "/classify", data=data, headers={"Content-Type": "image/jpeg"}, timeout=60)


def test_s24_with_64_file_descriptors_too_many_clients_are_told_so(
    tiny, free_port, tmp_path, connect, jpeg, used_s, until
):
    with poor("ulimit -n 64", tiny, free_port, tmp_path / "log") as (url, server), ExitStack() as stack:
        assert classify(url, jpeg).status_code == 200
        for _ in range(200):
            stack.enter_context(connect(url)).sendall(b"POST /classify HTTP/1.1\r\n")
        time.sleep(0.5)
        cpu = used_s(server)
        time.sleep(1)
        assert used_s(server) - cpu < 0.5  # it does not spin
        stack.close()
        assert until(lambda: answers(url))
        assert classify(url, jpeg).status_code == 200
        assert server.process.poll() is None
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_s24_silent_clients_give_way_where_descriptors_are_few(tiny, free_port, tmp_path, connect, jpeg):
    with poor("ulimit -n 64", tiny, free_port, tmp_path / "log") as (url, _), ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(url))
        time.sleep(3)  # one is silent after a second, and some may have been let in late
        assert [classify(url, jpeg).status_code for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("environment", [{"TMPDIR": "/nowhere"}, {"TMPDIR": "/proc"}, {"HOME": "/proc/nowhere"}])
def test_s24_without_a_folder_to_write_to_it_serves(tiny, free_port, tmp_path, jpeg, environment):
    with poor("true", tiny, free_port, tmp_path / "log", **environment) as (url, _):
        assert classify(url, jpeg).status_code == 200


def test_s24_without_shared_memory_the_heartbeat_has_another_place(monkeypatch):
    from server.config import read

    monkeypatch.setattr(os, "access", lambda *_: False)
    assert _settings(read())["worker_tmp_dir"] is None


def test_s24_full_disk_does_not_reach_a_raw_body(tiny, free_port, tmp_path, photo):
    """A limit of 0 on what files may grow to is a full disk to whoever writes."""
    with poor("exec 2>/dev/null; ulimit -f 0", tiny, free_port, tmp_path / "log") as (url, _):
        assert classify(url, photo(2000, 2000, quality=95)).status_code == 200


def test_s24_full_disk_does_not_reach_a_large_part(tiny, free_port, tmp_path, photo):
    data = photo(4000, 4000, quality=98)
    assert len(data) > 600_000
    with poor("exec 2>/dev/null; ulimit -f 0", tiny, free_port, tmp_path / "log") as (url, _):
        answer = requests.post(url + "/classify", files={"image": ("a.jpg", data)}, timeout=60)
    assert answer.status_code == 200


def test_s24_too_little_memory_is_an_end_with_a_word(tiny, free_port, tmp_path):
    with poor("ulimit -v 200000", tiny, free_port, tmp_path / "log") as (_, server):
        assert server.process.wait(60) != 0
    assert (tmp_path / "log").read_text().strip()
