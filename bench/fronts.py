"""Our application behind our own loop and behind gunicorn's workers: what a picture costs, and what half-sent requests do to it.

`make bench-peers` installs what the others need into .peers/fronts, `make bench-fronts` runs this (wrk is the client) and adds to
bench/RESULTS.md. A bundle may be given; without, the embedded default is served.
"""

import os
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from http.client import HTTPConnection
from math import inf
from pathlib import Path
from typing import NamedTuple

import requests

from bench.load import Load, Target, cpu_ms, photo, wrk
from bench.results import ROOT
from bench.serving import PEERS, warm
from bench.skeleton import free_port, resident, running

FRONTS = {
    "own": "own loop",
    "own-c": "own loop, C parser (gunicorn_h1c)",
    "gthread": "gthread, as many threads",
    "gthread-128": "gthread, 128 threads",
    "gthread-deadline": "gthread, whole-request deadline",
    "asgi-whole": "asgi, body read whole by an adapter",
    "asgi-whole-c": "the same, C parser and uvloop",
    "asgi-a2wsgi": "asgi, a2wsgi",
    "gevent": "gevent, thread pool",
}
ROUNDS, SECONDS, CROWD, ALONE = 7, 4, 60, 60
PATIENCE_S = 4.0  # below the deadline, which is 5 s here
WATCHED_S = 36.0  # gunicorn's own time-outs are 30 s
ENV = os.environ | {"PYTHONPATH": f"{ROOT}:{PEERS / 'fronts'}"}
HALF_HEAD = b"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\n"


class Slow(NamedTuple):
    """What half-sent requests do, and what is done with them."""

    idle: float  # ms of a good request without them
    crowd: float  # and with them; inf: no answer
    kept: list[float]  # s until a half-sent body, and a half-sent head, is answered or closed; inf: not while watched


def main() -> None:
    """All fronts are up at once and take turns, so that a noisy minute meets all of them."""
    picture = photo(30_000)
    half = b"%sContent-Length: %d\r\n\r\n%s" % (HALF_HEAD, len(picture), picture[: len(picture) // 2])
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = {front: stack.enter_context(serving(front, home, picture)) for front in FRONTS}
        loads = [
            {front: wrk(target, "raw", picture, 8, SECONDS) for front, target in targets.items()} for _ in range(ROUNDS)
        ]
        memory = {front: resident(target.pid) for front, target in targets.items()}
        waits = {front: crowded(target, picture, half) for front, target in targets.items()}
        kept = watched(list(targets.values()), [half, HALF_HEAD])
    slow = {front: Slow(*waits[front], each) for front, each in zip(FRONTS, kept, strict=True)}
    write([*(row(front, loads, slow[front], memory[front]) for front in FRONTS), "", dirty()])


def row(front: str, loads: list[dict[str, Load]], slow: Slow, memory: float) -> str:
    load = Load(*map(statistics.median, zip(*(each[front] for each in loads), strict=True)))
    rates = [each[front].rate / each["own"].rate for each in loads]
    costs = sorted(each[front].cpu / each["own"].cpu for each in loads)
    crowd = f"{slow.crowd:.1f} ms ({slow.crowd / slow.idle:.1f})" if slow.crowd < inf else f"none in {PATIENCE_S:.0f} s"
    cells = [
        FRONTS[front],
        f"{load.rate:.0f} ({statistics.median(rates):.2f})",
        f"{load.p50:.0f} / {load.p99:.0f} ms",
        f"{load.cpu:.2f} ({statistics.median(costs):.2f}, {costs[1]:.2f} to {costs[-2]:.2f})",
        f"{load.failed:.0f}",
        f"{slow.idle:.1f} ms",
        crowd,
        " / ".join(map(seconds, slow.kept)),
        f"{memory:.0f} MB",
    ]
    return f"| {' | '.join(cells)} |"


def seconds(kept: float) -> str:
    return f"{kept:.1f} s" if kept < WATCHED_S else f"> {WATCHED_S:.0f} s"


def write(rows: list[str]) -> None:
    heads = [
        "front",
        "images/s (over own)",
        "p50 / p99",
        "CPU-ms an image (over own, most rounds)",
        "not 2xx",
        "one good request",
        f"with {CROWD} half-sent (times)",
        "half a body / head kept open",
        "memory",
    ]
    about = (
        f"The same application, model, threads (two a core) and a 30 KB JPEG; 8 connections, {ROUNDS} rounds in turn of {SECONDS} s, medians, "
        "ratios within a round. The deadline of a request is 5 s; a good request with half-sent ones open is wanted under 2 times."
    )
    table = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *rows]
    section = "\n".join([f"## {date.today()}: fronts ({os.cpu_count()} cores)", "", about, "", *table])
    print(section)
    results = ROOT / "bench" / "RESULTS.md"
    results.write_text(f"{results.read_text().rstrip()}\n\n{section}\n")


@contextmanager
def serving(front: str, home: Path, picture: bytes) -> Iterator[Target]:
    """A front, warm."""
    free = free_port()
    command = [sys.executable, "-m", "bench.peers.fronts_app", front, str(free), *sys.argv[1:]]
    with running(command, free, env=ENV) as (process, url):
        warm(url, picture)
        yield Target(home, f"{url}/classify", process.pid)


def crowded(target: Target, picture: bytes, half: bytes) -> tuple[float, float]:
    """ms of a good request alone, and while so many others are half sent."""
    idle = good(target, picture)
    socks = [half_sent(target, half) for _ in range(CROWD)]
    time.sleep(0.2)
    crowd = good(target, picture)
    for sock in socks:
        sock.close()
    return idle, crowd


def good(target: Target, picture: bytes) -> float:
    """ms of a good request on a connection of its own, median; inf: one had no answer."""
    times = []
    for _ in range(ALONE):
        start = time.perf_counter()
        connection = HTTPConnection("127.0.0.1", port(target), timeout=PATIENCE_S)
        try:
            connection.request("POST", "/classify", picture, {"Content-Type": "image/jpeg"})
            assert connection.getresponse().status == 200
        except TimeoutError:
            return inf
        finally:
            connection.close()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def half_sent(target: Target, data: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port(target)))
    sock.sendall(data)
    return sock


def port(target: Target) -> int:
    return int(target.url.split(":")[2].partition("/")[0])


def watched(targets: list[Target], halves: list[bytes]) -> list[list[float]]:
    """Of each target and each half-sent request, seconds until the server says anything or closes."""
    time.sleep(PATIENCE_S)  # for those who have yet to notice that the crowd has left
    start = time.monotonic()
    with selectors.DefaultSelector() as waiting, ExitStack() as stack:
        socks = [[stack.enter_context(half_sent(target, half)) for half in halves] for target in targets]
        kept = {sock: inf for pair in socks for sock in pair}
        for sock in kept:
            waiting.register(sock, selectors.EVENT_READ)
        while waiting.get_map() and time.monotonic() - start < WATCHED_S:
            for key, _ in waiting.select(1):
                waiting.unregister(key.fileobj)
                kept[key.fileobj] = time.monotonic() - start
    return [[kept[sock] for sock in pair] for pair in socks]


def dirty() -> str:
    """What it costs to hand a picture to gunicorn's dirty worker, whatever the model then does."""
    free = free_port()
    with running([sys.executable, "-m", "bench.peers.dirty_app", str(free)], free) as (process, url):
        before, wall = cpu_ms(process.pid), []
        for _ in range(ROUNDS):
            wall.append(float(requests.get(f"{url}/ask", timeout=60).text))
        cpu = (cpu_ms(process.pid) - before) / 500 / ROUNDS
    return (
        f"gunicorn's dirty worker, 150 KB of pixels to its process and 4 KB of scores back: {statistics.median(wall):.2f} ms, "
        f"{cpu:.2f} CPU-ms a picture, before any model has run."
    )


if __name__ == "__main__":
    main()
