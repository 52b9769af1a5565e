"""The figures of the main job: set-up, start, memory, `--help`, training on real photos, equal answers, hostile uploads.

`python -m bench.skeleton` (make bench) prints them and adds them, dated, to bench/RESULTS.md. IMAGO_DATA names the folder
with clothing8 and weights; what needs it is left out without.
"""

import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import requests

from bench.results import ROOT, Row, publish

IMAGO = [sys.executable, "-m", "imago"]


def main() -> None:
    rows = [*help_time(), *fresh_clone(), *server()]
    data = Path(os.environ.get("IMAGO_DATA", "/nowhere"))
    if data.is_dir():
        rows += clothing(data)
    else:
        print("IMAGO_DATA is not set: the figures on real photos are left out", file=sys.stderr)
    publish("skeleton", rows)


def help_time() -> list[Row]:
    """Pairs in turn, so that a noisy machine is noisy for both."""
    imago = [str(Path(sys.executable).with_name("imago")), "--help"]
    pairs = [(wall(imago), wall([sys.executable, "-c", "pass"])) for _ in range(21)]
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    return [("`imago --help` over `python -c pass`, median of 21 pairs", f"{ratio:.1f} times", "<= 5 times")]


def wall(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd="/")
    return time.perf_counter() - start


def fresh_clone() -> list[Row]:
    """`make serve` as a newcomer runs it, with empty caches."""
    with tempfile.TemporaryDirectory() as folder:
        clone, port = Path(folder) / "imago", free_port()
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        env = os.environ | {"UV_CACHE_DIR": f"{folder}/uv", "PIP_CACHE_DIR": f"{folder}/pip", "PIP_NO_CACHE_DIR": "1"}
        start = time.perf_counter()
        command = ["make", "-s", "serve", f"LISTEN=127.0.0.1:{port}", "PYTHON=" + sys.base_prefix + "/bin/python3"]
        with running(command, port, cwd=clone, env=env, patience_s=300):
            took = time.perf_counter() - start
        heavy = list(clone.glob(".venv/lib/*/site-packages/tensorflow*"))
    return [
        (
            "`make serve`, fresh clone, empty caches, to the first 200 of /readyz",
            f"{took:.1f} s, {len(heavy)} tensorflow packages",
            "<= 60 s, none",
        )
    ]


def server() -> list[Row]:
    """Start, memory, and what hostile uploads cost, with the embedded default."""
    starts = []
    for _ in range(5):
        port, start = free_port(), time.perf_counter()
        with running([*IMAGO, "serve", "--listen", f"127.0.0.1:{port}"], port) as (process, url):
            starts.append(time.perf_counter() - start)
            memory = resident(process.pid)
            worker = children(process.pid)[0]
            requests.post(f"{url}/classify", data=giant_png(100), headers={"Content-Type": "image/png"}, timeout=30)
            before, peak = high_water(worker, reset=True), 0.0
            giant, times = giant_png(13000), []
            for _ in range(10):
                sent = time.perf_counter()
                answer = requests.post(f"{url}/classify", data=giant, headers={"Content-Type": "image/png"}, timeout=30)
                times.append(1000 * (time.perf_counter() - sent))
            peak = high_water(worker, reset=False)
            statuses = [status for _, status in hostile(url)]
    worst = f"{answer.status_code}, {statistics.median(times):.1f} ms, {peak - before:+.1f} MB"
    return [
        ("server start to ready, default bundle, median of 5", f"{statistics.median(starts):.2f} s", "<= 1.5 s"),
        ("resident memory, both processes", f"{memory:.0f} MB", "<= 200 MB"),
        ("13000 x 13000 1-bit PNG", worst, "4xx, < 50 ms, < 20 MB"),
        ("empty, random, truncated, text as .jpg, 100 MB", ", ".join(map(str, statuses)), "4xx each"),
    ]


def hostile(url: str) -> Iterator[tuple[str, int]]:
    rng = np.random.default_rng(0)
    cases = {
        "empty": b"",
        "random": rng.bytes(10_000),
        "truncated": giant_png(100)[:60],
        "text": b"hello",
        "100 MB": bytes(100_000_000),
    }
    for name, data in cases.items():
        answer = requests.post(f"{url}/classify", files={"image": ("a.jpg", data)}, timeout=60)
        assert answer.headers["Content-Type"] == "application/problem+json", name
        yield name, answer.status_code


def clothing(data: Path) -> list[Row]:
    """Train on real photos, then ask three ways about each test photo."""
    photos, weights = data / "clothing8", data / "weights" / "mobilenet_v1_0.25_128.weights.h5"
    with tempfile.TemporaryDirectory() as folder:
        command = [*IMAGO, "train", "classifier", str(photos / "train"), "--validation", str(photos / "test"), "--name", "photos",
                   "--out", f"{folder}/bundles", "--backbone", "mobilenet", "--alpha", "0.25", "--size", "128",
                   "--weights", str(weights), "--cache", f"{folder}/cache", "--json"]  # fmt: skip
        walls, result = [], {}
        for _ in range(3):
            shutil.rmtree(f"{folder}/cache", ignore_errors=True)
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
            walls.append(time.perf_counter() - start)
            result = json.loads(done.stdout)
        off, labels, count = three_ways(Path(result["bundle"]), sorted((photos / "test").rglob("*.jpg")))
    accuracy = 100 * result["metrics"]["accuracy"]
    return [
        ("clothing8, mobilenet 0.25 at 128, linear head: test accuracy", f"{accuracy:.1f} %", ">= 73 %"),
        ("the same, cold process to written bundle, median of 3", f"{statistics.median(walls):.1f} s", "<= 15 s"),
        (
            f"{count} photos by predict, POST /classify and Keras",
            f"{labels} other labels, largest difference {off:.1e}",
            "none, 1e-4",
        ),
    ]


def three_ways(bundle: Path, files: list[Path]) -> tuple[float, int, int]:
    """Largest difference of a probability, photos with different best labels, photos."""
    from bundle import model

    keras = model.open(bundle, "keras")
    told = json.loads(
        subprocess.run(
            [*IMAGO, "predict", str(bundle), *map(str, files), "--json", "--top", "1000"],
            capture_output=True,
            check=True,
            cwd=ROOT,
        ).stdout
    )
    port = free_port()
    with (
        running([*IMAGO, "serve", "--bundle", str(bundle), "--listen", f"127.0.0.1:{port}"], port) as (_, url),
        ThreadPoolExecutor(4) as pool,
    ):
        served = list(
            pool.map(
                lambda f: requests.post(f"{url}/classify?top=1000", files={"image": f.read_bytes()}, timeout=60).json(),
                files,
            )
        )
    off, labels = 0.0, 0
    for path, one, two in zip(files, told["results"], served, strict=True):
        row = keras.run(keras.prepare(path.read_bytes())[None])[0]
        ways = [
            {p["label"]: p["probability"] for p in one["predictions"]},
            {p["label"]: p["probability"] for p in two["predictions"]},
            dict(zip(keras.labels, row.tolist(), strict=True)),
        ]
        labels += len({max(way, key=lambda label, way=way: way[label]) for way in ways}) > 1
        off = max(off, *(abs(way[label] - ways[0][label]) for way in ways for label in keras.labels))
    return off, labels, len(files)


# ---- processes -----------------------------------------------------------------------------


@contextmanager
def running(
    command: list[str], port: int, *, patience_s: float = 30, **options: object
) -> Iterator[tuple[subprocess.Popen, str]]:
    """A server that answers /readyz with 200; its whole process group is stopped afterwards."""
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **{"cwd": ROOT, **options})
        try:
            until = time.monotonic() + patience_s
            while not answers(url):
                if time.monotonic() > until or process.poll() is not None:
                    log.seek(0)
                    sys.exit(f"{' '.join(command)}: not ready: {log.read().decode()[-2000:]}")
                time.sleep(0.01)
            yield process, url
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=5).ok
    except requests.ConnectionError:
        return False


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def status_mb(pid: int, key: str) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def resident(pid: int) -> float:
    """MB of a process and its children, shared pages counted once each time: the pessimistic sum."""
    return status_mb(pid, "VmRSS") + sum(resident(child) for child in children(pid))


def high_water(pid: int, *, reset: bool) -> float:
    if reset:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return status_mb(pid, "VmHWM")


def giant_png(side: int) -> bytes:
    """White, 1 bit a pixel: 13000 x 13000 in about 20 KB."""
    packer, row = zlib.compressobj(9), b"\0" + b"\xff" * ((side + 7) // 8)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )


if __name__ == "__main__":
    main()
