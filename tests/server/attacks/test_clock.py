"""S30: a clock that jumps moves no deadline, and minutes of full load leave no more memory than one of them."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).parents[3]
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

# libfaketime 0.9.10 refuses to sleep until a time of the monotonic clock (EINVAL), which is how Python sleeps since 3.11.
SLEEP = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    return syscall(SYS_clock_nanosleep, clock, flags, until, left) ? errno : 0;
}
"""


@pytest.mark.parametrize("path", sorted((ROOT / "server").glob("*.py")), ids=lambda path: path.name)
def test_s30_no_deadline_is_of_the_clock_on_the_wall(path):
    """time.time() jumps; what is shown to people may use it, but nothing is waited for by it."""
    waits = [line for line in path.read_text().splitlines() if re.search(r"\btime\.time\(|datetime\.now\(", line)]
    assert [line for line in waits if re.search(r"until|deadline|left|timeout|[<>]", line)] == []


@pytest.fixture
def libraries(tmp_path):
    """What a process must load for a clock of its own."""
    if LIBRARY is None or not shutil.which("cc"):
        pytest.skip("faketime or a C compiler is not installed; as root: apt-get install faketime gcc libc6-dev")
    (tmp_path / "sleep.c").write_text(SLEEP)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "sleep.so", "sleep.c"], cwd=tmp_path, check=True)
    return f"{tmp_path / 'sleep.so'}:{LIBRARY}"


@pytest.fixture
def jumping(tiny, free_port, tmp_path, libraries):
    """A server whose clock is moved by what is written to a file."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    command = [sys.executable, "-m", "imago", "serve", "--bundle", str(tiny), "--listen", f"127.0.0.1:{free_port}"]
    # The monotonic clock of a real machine does not jump, so it is left alone.
    faked = {
        "LD_PRELOAD": libraries,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, **faked})
    yield f"http://127.0.0.1:{free_port}", clock, process
    process.terminate()
    assert process.wait(60) == 0


def classify(url, data):
    return requests.post(url + "/classify", data=data, headers={"Content-Type": "image/jpeg"}, timeout=60).status_code


def wait_ready(url):
    for _ in range(400):
        try:
            if requests.get(url + "/readyz", timeout=60).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.05)


@pytest.mark.soak
def test_s30_jumps_of_an_hour_fail_no_request(jumping, jpeg):
    url, clock, process = jumping
    wait_ready(url)
    for jump in ("+1h", "-1h", "+3650d", "-10y", "+0"):
        clock.write_text(jump)
        until = time.monotonic() + 35  # longer than gunicorn waits for a sign of life
        while time.monotonic() < until:
            assert classify(url, jpeg) == 200
            time.sleep(0.1)
    assert process.poll() is None


@pytest.mark.soak
def test_s30_five_minutes_of_load_leave_no_memory_behind(target, swarm, request_of, photo, worker, memory):
    pid, sizes = worker(target), []
    requests_ = [request_of(photo(640, 480, seed=seed)) for seed in range(4)]
    for _ in range(10):
        found, broken = swarm(target.url, requests_, 30)
        assert (broken, {status for status, *_ in found}) == ([], {200})
        sizes.append(memory(pid, "VmRSS"))
    print("\nMB after each half minute:", [round(size) for size in sizes])
    assert (
        max(sizes[-3:]) < sizes[1] * 1.05
    )  # S30 asks for 5 % in an hour; a leak shows in the first thousands of requests
