"""Clients of a server under measurement: wrk, a crowd that notes each answer's time, and what the server's processes cost."""

import os
import selectors
import socket
import subprocess
import time
from collections import defaultdict
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from bench.skeleton import children

TICKS = os.sysconf("SC_CLK_TCK")
BOUNDARY = "------------------------8c5e0c2ab9d1f3a7"  # as curl makes them


class Load(NamedTuple):
    """What wrk saw, and what it cost the server."""

    rate: float  # images/s
    p50: float  # ms
    p99: float
    failed: int
    cpu: float  # ms of all processes an answered image


class Target(NamedTuple):
    home: Path  # for the client's script and body
    url: str
    pid: int


def wrk(server: Target, kind: str, body: bytes, connections: int, seconds: int) -> Load:
    """Latencies of the 2xx alone: what was shed has none worth a figure."""
    script, data = server.home / "post.lua", server.home / "body"
    if kind == "multipart":
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        data.write_bytes(head.encode() + body + f"\r\n--{BOUNDARY}--\r\n".encode())
        content = f"multipart/form-data; boundary={BOUNDARY}"
    else:
        data.write_bytes(body)
        content = "image/jpeg"
    script.write_text(LUA.replace("BODY", str(data)).replace("TYPE", content))
    before = cpu_ms(server.pid)
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), server.url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    figures = dict(line.split(": ") for line in out.splitlines() if line.startswith("@"))
    good = float(figures["@good"])
    return Load(
        good / seconds,
        float(figures["@p50"]),
        float(figures["@p99"]),
        int(figures["@bad"]),
        (cpu_ms(server.pid) - before) / max(1, good),
    )


LUA = """
local file = io.open("BODY", "rb")
wrk.method, wrk.body = "POST", file:read("*a")
wrk.headers["Content-Type"] = "TYPE"
done = function(summary, latency)
  local refused = summary.errors.status
  print("@good: " .. (summary.requests - refused))
  print("@bad: " .. (refused + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
  print("@p50: " .. latency:percentile(50) / 1000)
  print("@p99: " .. latency:percentile(99) / 1000)
end
"""


def crowd(url: str, body: bytes, connections: int, seconds: float, *, patient: bool) -> dict[int, list[float]]:
    """Milliseconds from the last byte of a request to the first of its answer, by status.

    A `patient` client that is told Retry-After waits so long, as it is asked to; any other sends its next request at once.
    """
    to = urlsplit(url)
    head = f"POST {to.path} HTTP/1.1\r\nHost: {to.netloc}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    request, found, sent, waiting = head.encode() + body, defaultdict(list), {}, []
    selector, end = selectors.DefaultSelector(), time.monotonic() + seconds

    def send(sock: socket.socket) -> None:
        sock.sendall(request)
        sent[sock] = time.monotonic()

    for _ in range(connections):
        sock = socket.create_connection((to.hostname, to.port))
        selector.register(sock, selectors.EVENT_READ)
        send(sock)
    while (now := time.monotonic()) < end:
        while waiting and waiting[0][0] <= now:
            send(waiting.pop(0)[1])
        for key, _ in selector.select(0.01):
            took, answer = time.monotonic() - sent[key.fileobj], key.fileobj.recv(65536)
            status = int(answer.split(b" ", 2)[1]) if answer else 0
            found[status].append(1000 * took)
            if not answer:
                selector.unregister(key.fileobj)
            elif status == 503 and patient:
                waiting.append((time.monotonic() + 1, key.fileobj))
            else:
                send(key.fileobj)
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    return found


def cpu_ms(pid: int) -> float:
    """User and system time of a process and all below it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = 1000 * (int(fields[11]) + int(fields[12])) / TICKS
    return own + sum(cpu_ms(child) for child in children(pid))


def photo(size: int) -> bytes:
    """A photo-like JPEG (noise over soft shapes) of about `size` bytes at quality 85."""
    rng = np.random.default_rng(0)
    side = 320 if size < 100_000 else 1280
    for amount in range(4, 80, 2):
        soft = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize(
            (side * 4 // 3, side), Image.Resampling.BICUBIC
        )
        noisy = np.clip(np.asarray(soft, np.int16) + rng.normal(0, amount, (side, side * 4 // 3, 1)), 0, 255).astype(
            np.uint8
        )
        out = BytesIO()
        Image.fromarray(noisy).save(out, "JPEG", quality=85)
        if out.tell() >= size:
            return out.getvalue()
    return out.getvalue()
