"""The server against the raw loop of its own decoder and engine, and against its peers on the same model, one run, one machine.

`make bench-peers` installs the peers into .peers/, `make bench-serving` runs this; wrk (Debian) is the client. Adds to bench/RESULTS.md.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import requests

from bench.load import Load, Target, crowd, photo, wrk
from bench.results import ROOT, Row, publish
from bench.skeleton import IMAGO, children, free_port, resident, running

ROUNDS, SECONDS, SIZE = 3, 6, 224
REQUESTS = 10_000  # for the memory
PEERS = ROOT / ".peers"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        bundle = model(home, "mobilenet", "MobileNet")
        rows = [*against_peers(home, bundle), *alone(home, bundle), *inception(home)]
    publish("serving", rows)


# ---- beside the raw loop and the peers ------------------------------------------------------


def against_peers(home: Path, bundle: Path) -> list[Row]:
    """Raw loop and every server in turn with each load, some rounds, medians; so a noisy minute meets all of them."""
    small, large = photo(30_000), photo(500_000)
    seen: dict[tuple[str, str], list[Load]] = {}
    raw: list[float] = []
    servers = commands(bundle)
    for _ in range(ROUNDS):
        for name, command in servers.items():
            raw.append(raw_loop(bundle, small)[0])
            with serving(command(port := free_port()), port, small, environment(home, bundle)) as pid:
                target = Target(home, f"http://127.0.0.1:{port}/classify", pid)
                for load, kind, body in (
                    ("multipart 30 KB", "multipart", small),
                    ("multipart 500 KB", "multipart", large),
                    ("raw 30 KB", "raw", small),
                ):
                    if name == "imago" or kind == "multipart":
                        seen.setdefault((name, load), []).append(wrk(target, kind, body, 8, SECONDS))
    middle = {
        key: Load(*(statistics.median(values) for values in zip(*loads, strict=True))) for key, loads in seen.items()
    }
    return [
        (
            "raw loop, one thread: decode, preprocess, MobileNet 1.0 at 224, 30 KB",
            f"{statistics.median(raw):.2f} CPU-ms an image",
            "",
        ),
        *((f"{name}, {load}, 8 connections", told(one), "") for (name, load), one in middle.items()),
        *ratios(middle, statistics.median(raw), [name for name in servers if name != "imago"]),
    ]


def ratios(middle: dict[tuple[str, str], Load], raw: float, peers: list[str]) -> list[Row]:
    eight, form = middle["imago", "raw 30 KB"], middle["imago", "multipart 30 KB"]
    rows = [
        (
            "CPU an image over the raw loop: raw body / multipart",
            f"{eight.cpu / raw:.2f} / {form.cpu / raw:.2f}",
            "<= 1.08 / <= 1.12",
        )
    ]
    for size, goal in (("30 KB", ">= 1.2"), ("500 KB", ">= 1.15")):
        load = f"multipart {size}"
        best = max((middle[name, load].rate for name in peers), default=float("nan"))
        figure = f"{middle['imago', load].rate / best:.2f}"
        rows.append((f"images/s over the better peer, {load}", figure, goal))
    return [*rows, ("p99 over p50, 8 connections", f"{eight.p99 / eight.p50:.2f}", "<= 1.5")]


def told(one: Load) -> str:
    return f"{one.rate:.0f} images/s, p50 {one.p50:.1f} ms, p99 {one.p99:.1f} ms, {one.cpu:.2f} CPU-ms, {one.failed:.0f} not 2xx"


def commands(bundle: Path) -> dict:
    found = {"imago": lambda port: [*IMAGO, "serve", "--bundle", str(bundle), "--listen", f"127.0.0.1:{port}"]}
    if (PEERS / "litserve").is_dir():
        script, python = str(ROOT / "bench/peers/litserve_app.py"), str(PEERS / "litserve/bin/python")
        found["LitServe"] = lambda port: [python, script, str(bundle / "model.onnx"), str(port), str(SIZE)]
    if (PEERS / "bentoml").is_dir():
        serve = [str(PEERS / "bentoml/bin/bentoml"), "serve", "bentoml_app:Classifier"]
        found["BentoML"] = lambda port: [*serve, "--port", str(port), "--working-dir", str(ROOT / "bench/peers")]
    return found


def environment(home: Path, bundle: Path) -> dict[str, str]:
    return os.environ | {
        "PEER_MODEL": str(bundle / "model.onnx"),
        "PEER_SIZE": str(SIZE),
        "BENTOML_DO_NOT_TRACK": "1",
        "BENTOML_HOME": str(home / "bento"),
        "BENTOML_HOST": "127.0.0.1",
    }


# ---- by itself ------------------------------------------------------------------------------


def alone(home: Path, bundle: Path) -> list[Row]:
    small = photo(30_000)
    with serving(commands(bundle)["imago"](port := free_port()), port, small, environment(home, bundle)) as pid:
        target = Target(home, f"http://127.0.0.1:{port}/classify", pid)
        rows = [memory(target, small)]
        rows.append(
            ("good requests that fail while 2 of 10 clients send broken JPEGs", poisoned(target.url, small), "0")
        )
        rows += crowds(target.url, small)
        time.sleep(2)  # the last of the crowd's requests
        rows.append(("in-flight requests answered on SIGTERM", terminated(target, small), "all"))
    return rows


def memory(target: Target, body: bytes) -> Row:
    """After a tenth of the requests and after all of them."""
    done, seen = 0, []
    for wanted in (REQUESTS // 10, REQUESTS):
        while done < wanted:
            done += int(SECONDS * wrk(target, "raw", body, 8, SECONDS).rate)
        seen.append((done, resident(target.pid)))
    (few, before), (many, after) = seen
    figure = f"{after:.0f} MB after {many}, {after - before:+.1f} MB since request {few}"
    return "resident memory, both processes", figure, "<= 230 MB, slope 0"


def crowds(url: str, body: bytes) -> list[Row]:
    """200 connections: those who wait a second when they are told to, and those who send again at once."""
    rows = []
    for patient in (True, False):
        found = crowd(url, body, 200, 2 * SECONDS, patient=patient)
        good, shed = found.get(200, []), found.get(503, [])
        parts = [f"{len(good)} accepted, p99 {percentile(good, 99):.0f} ms", f"{len(shed)} shed"]
        if shed:
            parts.append(f"p50 {percentile(shed, 50):.1f}, p99 {percentile(shed, 99):.1f} ms")
        parts.append(f"other statuses: {sorted({*found} - {200, 503}) or 'none'}")
        what = "clients that heed Retry-After" if patient else "clients that send again at once"
        rows.append(
            (f"200 connections, {what}", ", ".join(parts), "p99 <= the deadline (10 s), the rest shed in < 10 ms")
        )
    return rows


def percentile(values: list[float], rank: int) -> float:
    return float(np.percentile(values, rank)) if values else float("nan")


def poisoned(url: str, picture: bytes) -> str:
    """Ten clients for a few seconds, two of them with broken JPEGs."""

    def client(number: int) -> list[int]:
        data = picture[: len(picture) // 2] if number < 2 else picture
        until, codes = time.monotonic() + 3, []
        with requests.Session() as session:
            while time.monotonic() < until:
                codes.append(post(url, data, session).status_code)
        return codes

    with ThreadPoolExecutor(10) as pool:
        seen = list(pool.map(client, range(10)))
    good = [code for codes in seen[2:] for code in codes]
    return f"{sum(code != 200 for code in good)} of {len(good)}; the broken ones got {sorted({code for codes in seen[:2] for code in codes})}"


def terminated(target: Target, picture: bytes) -> str:
    """Eight clients that go on until they are refused; the signal comes amid their requests. Whoever was sent before gets its answer."""
    codes: list[int | str] = []

    def client() -> None:
        while True:
            try:
                codes.append(post(target.url, picture, requests).status_code)
            except requests.ConnectionError as error:
                # The listener has closed: nothing was taken that went unanswered.
                if "refused" not in str(error):
                    codes.append(type(error).__name__)
                return

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    os.kill(target.pid, signal.SIGTERM)
    for thread in threads:
        thread.join()
    return f"{sum(code == 200 for code in codes)} of {len(codes)}"


def post(url: str, data: bytes, session: requests.Session) -> requests.Response:
    return session.post(url, data=data, headers={"Content-Type": "image/jpeg"}, timeout=30)


def inception(home: Path) -> list[Row]:
    """Images/s over those of the raw loop on as many threads, in turns."""
    bundle, small, ours, loop = model(home, "inception_v3", "InceptionV3"), photo(30_000), [], []
    with serving(commands(bundle)["imago"](port := free_port()), port, small, environment(home, bundle)) as pid:
        target = Target(home, f"http://127.0.0.1:{port}/classify", pid)
        for _ in range(ROUNDS):
            loop.append(raw_loop(bundle, small, threads=os.cpu_count() or 1, rounds=1)[1])
            ours.append(wrk(target, "raw", small, 8, SECONDS).rate)
    rate, raw = statistics.median(ours), statistics.median(loop)
    figure = f"{rate / raw:.2f} ({rate:.1f} over {raw:.1f})"
    return [("InceptionV3, images/s over the raw loop on as many threads", figure, ">= 0.95")]


# ---- models and processes -------------------------------------------------------------------


def model(home: Path, backbone: str, maker: str) -> Path:
    """With random weights: speed does not hang on what they are."""
    weights, labels = home / f"{backbone}.weights.h5", home / "labels.txt"
    code = f"import keras; keras.utils.set_random_seed(0); keras.applications.{maker}(weights=None).save_weights({str(weights)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    labels.write_text("".join(f"label {at}\n" for at in range(1000)))
    command = [*IMAGO, "train", "imagenet", "--backbone", backbone, "--weights", str(weights), "--labels", str(labels)]
    out = home / backbone
    subprocess.run([*command, "--resize", "squash", "--out", str(out)], check=True, cwd=ROOT, capture_output=True)
    return next(path for path in out.iterdir() if path.is_dir() and path.suffix != ".report")


def raw_loop(bundle: Path, picture: bytes, *, threads: int = 1, rounds: int = 3) -> tuple[float, float]:
    """CPU-ms an image and images/s of prepare and run in a loop, medians of some rounds."""
    from bundle import model as models

    opened = models.open(bundle, "onnx")

    def loop(count: int) -> None:
        for _ in range(count):
            opened.run(opened.prepare(picture)[None])

    loop(5)
    each, cpu, rate = 100, [], []
    for _ in range(rounds):
        start, wall = time.process_time(), time.monotonic()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(loop, [each] * threads))
        cpu.append(1000 * (time.process_time() - start) / (each * threads))
        rate.append(each * threads / (time.monotonic() - wall))
    return statistics.median(cpu), statistics.median(rate)


@contextmanager
def serving(command: list[str], port: int, picture: bytes, env: dict[str, str]) -> Iterator[int]:
    """Any of the servers, warm; gives its pid."""
    if command[:3] == IMAGO:
        with running(command, port, env=env) as (process, url):
            warm(url, picture)
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
            for pid in [*family(process.pid), process.pid]:  # BentoML's workers are in sessions of their own
                os.kill(pid, signal.SIGKILL)
            process.wait(30)


def family(pid: int) -> list[int]:
    """All below a process, the youngest first."""
    return [one for child in children(pid) for one in (*family(child), child)]


def warm(url: str, picture: bytes) -> bool:
    try:
        return all(
            requests.post(f"{url}/classify", files={"image": ("a.jpg", picture)}, timeout=20).ok for _ in range(20)
        )
    except requests.RequestException:
        return False


if __name__ == "__main__":
    main()
