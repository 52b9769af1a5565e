"""The server against the raw loop of its own decoder and engine, and against its peers on the same model, one run, one machine.

`make bench-peers` installs the peers into .peers/, `make bench-serving` runs this; wrk (Debian) is the client. Adds to bench/RESULTS.md.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import requests
from PIL import Image

from bench.skeleton import IMAGO, ROOT, children, free_port, resident, running

SECONDS = 6
SIZE = 224
PEERS = ROOT / ".peers"
TICKS = os.sysconf("SC_CLK_TCK")


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


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        bundle = model(home)
        small, large = photo(30_000), photo(500_000)
        raw = raw_loop(bundle, small)
        rows = [
            ("raw loop, one thread: decode, preprocess, MobileNet 1.0 at 224, 30 KB", f"{raw:.2f} CPU-ms an image", "")
        ]
        rows += ours(home, bundle, small, large, raw)
    section = "\n".join(
        [f"## {date.today()}: serving ({os.cpu_count()} cores)", "", "| what | figure | goal |", "|---|---|---|"]
        + [f"| {what} | {figure} | {goal} |" for what, figure, goal in rows]
    )
    print(section)
    results = ROOT / "bench" / "RESULTS.md"
    results.write_text(f"{results.read_text().rstrip()}\n\n{section}\n")


def ours(home: Path, bundle: Path, small: bytes, large: bytes, raw: float) -> list[tuple[str, str, str]]:
    """Every server in turn with each load, three rounds, medians; so a noisy minute meets all of them."""
    servers = {"imago": lambda port: [*IMAGO, "serve", "--bundle", str(bundle), "--listen", f"127.0.0.1:{port}"]}
    if (PEERS / "litserve").is_dir():
        servers["LitServe"] = lambda port: [
            str(PEERS / "litserve/bin/python"),
            str(ROOT / "bench/peers/litserve_app.py"),
            str(bundle / "model.onnx"),
            str(port),
            str(SIZE),
        ]
    if (PEERS / "bentoml").is_dir():
        servers["BentoML"] = lambda port: [
            str(PEERS / "bentoml/bin/bentoml"),
            "serve",
            "bentoml_app:Classifier",
            "--port",
            str(port),
            "--working-dir",
            str(ROOT / "bench/peers"),
        ]
    env = os.environ | {
        "PEER_MODEL": str(bundle / "model.onnx"),
        "PEER_SIZE": str(SIZE),
        "BENTOML_DO_NOT_TRACK": "1",
        "BENTOML_HOME": str(home / "bento"),
        "BENTOML_HOST": "127.0.0.1",
    }
    seen: dict[tuple[str, str], list[Load]] = {}
    memory: list[str] = []
    for _ in range(3):
        for name, command in servers.items():
            with serving(command(port := free_port()), port, small, env) as pid:
                url = f"http://127.0.0.1:{port}/classify"
                target = Target(home, url, pid)
                for load, (kind, body) in {
                    "multipart 30 KB": ("multipart", small),
                    "multipart 500 KB": ("multipart", large),
                    "raw 30 KB": ("raw", small),
                }.items():
                    if name == "imago" or kind == "multipart":
                        seen.setdefault((name, load), []).append(wrk(target, kind, body, 8))
                if name == "imago":
                    before = resident(pid)
                    crowd = wrk(target, "raw", small, 200)
                    memory.append(f"{resident(pid):.0f} MB ({resident(pid) - before:+.0f} under 200 connections)")
                    seen.setdefault((name, "crowd"), []).append(crowd)
                    poison = poisoned(url, small)
    middle = {
        key: Load(*(statistics.median(values) for values in zip(*loads, strict=True))) for key, loads in seen.items()
    }
    rows = []
    for (name, load), one in middle.items():
        rows.append(
            (
                f"{name}, {load}, {200 if load == 'crowd' else 8} connections",
                f"{one.rate:.0f} images/s, p50 {one.p50:.1f} ms, p99 {one.p99:.1f} ms, {one.cpu:.2f} CPU-ms, {one.failed:.0f} not 2xx",
                "",
            )
        )
    rows.append(
        (
            "CPU an image over the raw loop: raw body / multipart",
            f"{middle['imago', 'raw 30 KB'].cpu / raw:.2f} / {middle['imago', 'multipart 30 KB'].cpu / raw:.2f}",
            "<= 1.08 / <= 1.12",
        )
    )
    for size, goal in (("30 KB", ">= 1.2"), ("500 KB", ">= 1.15")):
        best = max(
            (middle[name, f"multipart {size}"].rate for name in servers if name != "imago"), default=float("nan")
        )
        rows.append(
            (
                f"images/s over the better peer, multipart {size}",
                f"{middle['imago', f'multipart {size}'].rate / best:.2f}",
                goal,
            )
        )
    eight = middle["imago", "raw 30 KB"]
    rows.append(("p99 over p50, 8 connections", f"{eight.p99 / eight.p50:.2f}", "<= 1.5"))
    rows.append(("resident memory, both processes", memory[-1], "<= 230 MB"))
    rows.append(("good requests that fail while 2 of 10 clients send broken JPEGs", poison, "0"))
    return rows


def model(home: Path) -> Path:
    """A MobileNet 1.0 at 224 with random weights: speed does not hang on what they are."""
    weights = home / "random.weights.h5"
    code = f"import keras; keras.utils.set_random_seed(0); keras.applications.MobileNet(weights=None).save_weights({str(weights)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    (home / "labels.txt").write_text("".join(f"label {at}\n" for at in range(1000)))
    command = [
        *IMAGO,
        "train",
        "imagenet",
        "--weights",
        str(weights),
        "--labels",
        str(home / "labels.txt"),
        "--resize",
        "squash",
        "--out",
        str(home / "bundles"),
    ]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    return next(path for path in (home / "bundles").iterdir() if path.is_dir())


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


def raw_loop(bundle: Path, picture: bytes) -> float:
    """CPU-ms an image of prepare and run in a loop, best of five rounds."""
    from bundle import model as models

    opened = models.open(bundle, "onnx")
    rounds = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(100):
            opened.run(opened.prepare(picture)[None])
        rounds.append((time.process_time() - start) * 10)
    return min(rounds)


@contextmanager
def serving(command: list[str], port: int, picture: bytes, env: dict[str, str]) -> Iterator[int]:
    """Any of the servers, warm; gives its pid."""
    if command[:3] == IMAGO:
        with running(command, port, env=env) as (process, url):
            warm(url)
            yield process.pid
        return
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until and not warm(f"http://127.0.0.1:{port}", picture):
                time.sleep(0.3)
            yield process.pid
        finally:
            os.killpg(process.pid, 9)
            process.wait(30)


def warm(url: str, picture: bytes = b"") -> bool:
    try:
        return all(
            requests.post(f"{url}/classify", files={"image": ("a.jpg", picture or photo(30_000))}, timeout=20).ok
            for _ in range(20)
        )
    except requests.RequestException:
        return False


def wrk(server: Target, kind: str, body: bytes, connections: int, seconds: int = SECONDS) -> Load:
    """Latencies of the 2xx alone: what was shed has none worth a figure."""
    script, data = server.home / "post.lua", server.home / "body"
    if kind == "multipart":
        head = (
            b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        )
        data.write_bytes(head + body + b"\r\n--x--\r\n")
        content = "multipart/form-data; boundary=x"
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


def cpu_ms(pid: int) -> float:
    """User and system time of a process and all below it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = 1000 * (int(fields[11]) + int(fields[12])) / TICKS
    return own + sum(cpu_ms(child) for child in children(pid))


def poisoned(url: str, picture: bytes) -> str:
    """Ten clients for a few seconds, two of them with broken JPEGs."""

    def client(number: int) -> list[int]:
        data = picture[: len(picture) // 2] if number < 2 else picture
        until, codes = time.monotonic() + 3, []
        with requests.Session() as session:
            while time.monotonic() < until:
                codes.append(
                    session.post(url, data=data, headers={"Content-Type": "image/jpeg"}, timeout=30).status_code
                )
        return codes

    with ThreadPoolExecutor(10) as pool:
        told = list(pool.map(client, range(10)))
    good = [code for codes in told[2:] for code in codes]
    return f"{sum(code != 200 for code in good)} of {len(good)}; the broken ones got {sorted({code for codes in told[:2] for code in codes})}"


if __name__ == "__main__":
    main()
