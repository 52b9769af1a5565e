"""What image to XML must show: pages, pages from few pairs, disturbed pages, garment patterns, valid answers to anything, speed.

`python -m bench.xml` (make bench-xml) drives the real commands, prints the figures and adds them, dated, to bench/RESULTS.md.
IMAGO_DATA names the folder with pix2code-web and freesewing. Three trainings of 10 minutes a part: --only chooses parts, --work keeps
what was trained, so that a run that was broken off goes on where it was.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from bench import pairs
from bench.results import Row, publish
from bundle import model, store
from bundle.xml.model import XmlModel
from training import pieces, xml_metrics

IMAGO = [sys.executable, "-m", "imago"]
NOISY = 300  # pictures of nothing in particular


@dataclass(frozen=True)
class Bench:
    data: Path
    work: Path
    seeds: tuple[int, ...]
    drawn: int  # own pieces among the patterns that train
    flags: tuple[str, ...]  # more words for `imago train xml`


def train(bench: Bench, folder: Path, seed: int, *more: str, name: str = "") -> dict[str, Any]:
    """What `imago train xml --json` says, with seconds and CPU seconds; kept in `work`."""
    name = f"{name or folder.name}-{seed}"
    kept = bench.work / f"{name}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    out = str(bench.work / "bundles")
    words = ["train", "xml", str(folder), "--name", name, "--out", out, "--seed", str(seed), "--json", *more]
    before, start = _cpu(), time.perf_counter()
    found = imago(*words, *bench.flags)
    found |= {"wall_s": time.perf_counter() - start, "cpu_s": _cpu() - before}
    kept.write_text(json.dumps(found))
    return found


def imago(*words: str) -> dict[str, Any]:
    """The JSON that a command prints; what it says on the way is on stderr. Exits where it fails."""
    done = subprocess.run([*IMAGO, *words], cwd=pairs.ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout.lstrip().startswith("{"):
        sys.exit(f"imago {' '.join(words)}: exit status {done.returncode}")
    return dict(json.loads(done.stdout))


def evaluate(found: dict[str, Any], folder: Path, *words: str) -> dict[str, Any]:
    return imago("evaluate", found["bundle"], str(folder), "--json", *words)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# ---- parts ---------------------------------------------------------------------------------


def pages(bench: Bench) -> list[Row]:
    whole, _, held = _pages(bench)
    runs = [train(bench, whole, seed) for seed in bench.seeds]
    figures = [evaluate(run, held)["metrics"] for run in runs]
    count = len(list(whole.glob("*.png")))
    return [
        *_exact(f"pages, {count} pairs", figures, ">= 99 %, <= 0.1 %"),
        ("the same: BLEU-4, tree, valid", _means(figures, "bleu", "tree", "valid"), ""),
        ("the same: sure, of them wrong", _means(figures, "sure", "sure_wrong"), "wrong <= 1 %"),
        ("training to that, wall", _spread([run["wall_s"] for run in runs], "{:.0f} s", max), "<= 600 s"),
        ("the same, processor", _spread([run["cpu_s"] for run in runs], "{:.0f} s", max), ""),
        ("parameters", f"{runs[0]['parameters']:,}", "<= 600,000"),
    ]


def small(bench: Bench) -> list[Row]:
    _, few, held = _pages(bench)
    runs = [train(bench, few, seed) for seed in bench.seeds]
    rows = _exact(f"pages, {pairs.SMALL} pairs", [evaluate(run, held)["metrics"] for run in runs], "exact >= 90 %")
    return [*rows, ("training to that, wall", _spread([run["wall_s"] for run in runs], "{:.0f} s", max), "")]


def robust(bench: Bench) -> list[Row]:
    whole, _, held = _pages(bench)
    found = [evaluate(train(bench, whole, seed), held, "--robust")["robust"] for seed in bench.seeds]
    return [
        (f"pages, {name}: exact", _spread([rows[name]["exact"] for rows in found], "{:.1%}", min), ">= 95 %")
        for name in found[0]
    ]


def frozen(bench: Bench) -> list[Row]:
    """The other encoder, on the same pages."""
    whole, _, held = _pages(bench)
    weights = bench.data / "weights" / "mobilenet_v1_0.25_128.weights.h5"
    words = ("--encoder", "frozen:mobilenet", "--alpha", "0.25", "--weights", str(weights))
    run = train(bench, whole, bench.seeds[0], *words, name="frozen")
    rows = _exact("pages, frozen:mobilenet 0.25, one seed", [evaluate(run, held)["metrics"]], "to compare")
    return [*rows, ("training to that, processor", f"{run['cpu_s']:.0f} s", "")]


def patterns(bench: Bench) -> list[Row]:
    source = bench.data / "freesewing" / "train.jsonl"
    whole, sizes, designs = pairs.patterns(source, bench.work / "data", bench.drawn)
    runs = [train(bench, whole, seed) for seed in bench.seeds]
    rows = []
    for what, folder, goal in (("sizes", sizes, ".97"), ("designs", designs, ".92")):
        for way, words in (("fitted", "--fit"), ("not fitted", "--no-fit")):
            figures = [evaluate(run, folder, words)["metrics"] for run in runs]
            wanted = f">= {goal}, <= 1.2" if way == "fitted" else ""
            ratio = _spread([row["command_ratio"] for row in figures], "{:.2f}", max)
            iou = _spread([row["iou"] for row in figures], "{:.3f}", min)
            rows.append((f"patterns, unseen {what}, {way}: IoU; commands", f"{iou}; {ratio}", wanted))
    wall = _spread([run["wall_s"] for run in runs], "{:.0f} s", max)
    return [*rows, (f"training to that, {len(list(whole.glob('*.png')))} pairs, wall", wall, "")]


def embedded(bench: Bench) -> list[Row]:
    """What make serve has, on outlines of others, of which it never saw any."""
    (bundle,) = (path for path in store.find(pairs.ROOT / "server" / "bundles") if path.name.startswith("sheets-"))
    _, sizes, designs = pairs.patterns(bench.data / "freesewing" / "train.jsonl", bench.work / "data", bench.drawn)
    rows = []
    for what, folder, goal in (("sizes", sizes, ".97"), ("designs", designs, ".92")):
        found = imago("evaluate", str(bundle), str(folder), "--json")["metrics"]
        figure = f"{found['iou']:.3f}; {found['command_ratio']:.2f}; {found['sure']:.1%}, {found['sure_wrong']:.1%}"
        rows.append(
            (
                f"{what} of patterns, embedded model, fitted: IoU; commands; sure, of them wrong",
                figure,
                f">= {goal}, <= 1.2",
            )
        )
    return rows


def valid(bench: Bench) -> list[Row]:
    """Noise, soft colours, and photographs where there are some, to the first bundle of pages."""
    folder = bench.work / "data" / "anything"
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(NOISY):
        (folder / f"{at}.png").write_bytes(pieces.png(_anything(np.random.default_rng(at))))
    photos = sorted((bench.data / "clothing8").rglob("*.jp*g"))[:NOISY]
    bundle = train(bench, _pages(bench)[0], bench.seeds[0])["bundle"]
    words = [*map(str, photos), "--json", "--force", "--out", str(bench.work / "said")]
    results = imago("predict", bundle, str(folder), *words)["results"]
    good, sure = (sum(result.get(key, False) for result in results) for key in ("valid", "sure"))
    what = f"{NOISY} pictures of noise and colours, {len(photos)} photographs: valid; sure"
    return [(what, f"{good / len(results):.1%}; {sure / len(results):.1%}", "100 %; <= 1 %")]


def speed(bench: Bench) -> list[Row]:
    """One thread: the engine has one a run. What a picture costs before it is the model's pixels is left out."""
    whole, _, held = _pages(bench)
    opened = model.open(Path(train(bench, whole, bench.seeds[0])["bundle"]), "onnx")
    assert isinstance(opened, XmlModel)
    pictures = [opened.prepare(path.read_bytes()) for path in sorted(held.glob("*.png"))]
    opened.convert(pictures[0])
    seconds, events = [], 0
    for picture in pictures:
        start = time.perf_counter()
        answer = opened.decoder.decode(picture.pixels)
        seconds.append(time.perf_counter() - start)
        events += len(xml_metrics.events(opened.codec.canonical(answer.xml)))
    mean, worst = 1000 * statistics.mean(seconds), 1000 * max(seconds)
    figure = f"{mean:.1f} ms, median {1000 * statistics.median(seconds):.1f}, worst {worst:.1f}"
    rate = f"{events / sum(seconds):,.0f} a second, {events / len(pictures):.0f} a page"
    return [
        ("decoding a page, one thread, encoder and masks included", figure, "<= 12 ms"),
        ("the same, start, value and end events of its XML", rate, "1,030 tokens a second, cached TensorFlow"),
    ]


PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    "pages": pages,
    "small": small,
    "robust": robust,
    "frozen": frozen,
    "patterns": patterns,
    "embedded": embedded,
    "valid": valid,
    "speed": speed,
}


def _pages(bench: Bench) -> tuple[Path, Path, Path]:
    return pairs.pages(bench.data / "pix2code-web", bench.work / "data")


def _anything(rng: np.random.Generator) -> Image.Image:
    if rng.random() < 0.5:
        return Image.fromarray(rng.integers(0, 256, (200, 300, 3), np.uint8))
    coarse = Image.fromarray(rng.integers(0, 256, (int(rng.integers(2, 9)), int(rng.integers(2, 9)), 3), np.uint8))
    return coarse.resize((300, 200), Image.Resampling.BICUBIC)


# ---- figures -------------------------------------------------------------------------------


def _exact(what: str, figures: list[dict[str, float]], goal: str) -> list[Row]:
    exact = _spread([row["exact"] for row in figures], "{:.1%}", min)
    error = _spread([row["token_error"] for row in figures], "{:.3%}", max)
    return [(f"{what}: exact; token error", f"{exact}; {error}", goal)]


def _means(figures: list[dict[str, float]], *names: str) -> str:
    return ", ".join(f"{statistics.mean(row[name] for row in figures):.4f}" for name in names)


def _spread(values: list[float], form: str, worst: Callable[[list[float]], float]) -> str:
    """Mean and worst over the seeds."""
    mean = form.format(statistics.mean(values))
    return mean if len(values) == 1 else f"{mean}, worst {form.format(worst(values))}"


@click.command(help=__doc__, context_settings={"ignore_unknown_options": True})
@click.option("--only", default=",".join(PARTS), show_default=True, help="Parts, with commas between.")
@click.option("--seeds", type=click.IntRange(1, 20), default=3, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), help="Keeps data and bundles.  [default: a temporary folder]")
@click.option("--drawn", type=click.IntRange(0), default=0, show_default=True, help="Own pieces among the patterns.")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def main(only: str, seeds: int, work: Path | None, drawn: int, flags: tuple[str, ...]) -> None:
    data = Path(os.environ.get("IMAGO_DATA", "/nowhere"))
    if not (data / "pix2code-web").is_dir():
        sys.exit("set IMAGO_DATA to the folder that holds pix2code-web and freesewing")
    if unknown := set(only.split(",")) - PARTS.keys():
        sys.exit(f"--only {', '.join(sorted(unknown))}: no such part; there are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(data.resolve(), (work or Path(temporary)).resolve(), tuple(range(seeds)), drawn, flags)
        bench.work.mkdir(parents=True, exist_ok=True)
        rows = [row for part in only.split(",") for row in PARTS[part](bench)]
    publish(f"image to XML, {seeds} seed{'s' * (seeds > 1)}", rows)


if __name__ == "__main__":
    main()
