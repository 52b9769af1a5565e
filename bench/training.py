"""Training of classifiers: seconds from a cold process to a verified bundle, accuracy of each recipe, and what of it is served.

Everything goes through `imago train classifier`, as a person would call it; each recipe was chosen by validation (training/LOG.md).
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from scipy.stats import t as student

from bench.results import ROOT, Row, publish
from bundle import canonical, store
from bundle.engine import cores
from training import backbones, features
from training.data.cache import Cache
from training.data.photos import Photo
from training.progress import Progress
from training.run import Run as TrainingRun

ROUNDS = 3  # of what is timed
ADDED = 10  # photos

SMALL = ("--alpha", "0.25", "--size", "128", "--weights", "mobilenet_v1_0.25_128.weights.h5")
LARGE = ("--size", "224", "--weights", "mobilenet_v1_1.0_224_embedding_extractor.weights.h5")
ONE = ("--weights", "mobilenet_v1_1.0_224_embedding_extractor.weights.h5")

# Recipes: what is said beside data and network.
BANK = ("--augment", "crop_color", "--copies", "4")
TUNED = (*BANK, "--fine-tune", "all", "--epochs", "15", "--learning-rate", "3e-4")
CARDS = (
    *("--size", "320", "--resize", "squash", "--augment", "crop_color_transform", "--copies", "0"),
    *("--fine-tune", "all", "--epochs", "24", "--batch-size", "16", "--learning-rate", "3e-4"),
)


@dataclass(frozen=True)
class Bench:
    data: Path
    work: Path
    seeds: tuple[int, ...]

    @property
    def clothing(self) -> tuple[str, ...]:
        """Train, validation and test folders."""
        home = self.data / "clothing8"
        return str(home / "train"), "--validation", str(home / "validation"), "--test", str(home / "test")


@dataclass(frozen=True)
class Run:
    report: dict[str, Any]  # what --json says
    wall_s: float
    cpu_s: float

    def of(self, figure: str, judged: str = "test") -> float:
        return float(self.report["sets"][judged]["metrics"][figure])


def train(bench: Bench, words: tuple[str, ...], cache: Path) -> Run:
    """A process of its own; what it says on the way is on stderr. Exits where it fails."""
    weights = {name for name in words if name.endswith(".h5")}
    words = tuple(str(bench.data / "weights" / word) if word in weights else word for word in words)
    line = ["train", "classifier", *words, "--cache", str(cache), "--out", str(bench.work / "bundles"), "--json"]
    before, start = _cpu(), time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "imago", *line], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    wall, cpu = time.perf_counter() - start, _cpu() - before
    if done.returncode:
        sys.exit(f"imago {' '.join(line)}: exit status {done.returncode}")
    return Run(json.loads(done.stdout), wall, cpu)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# ---- parts ---------------------------------------------------------------------------------


def seconds(bench: Bench) -> list[Row]:
    """From a cold process, with nothing cached; then again; then with photos added."""
    rows = []
    for what, network, goal in (("1.0 at 224", LARGE, "<= 15 s"), ("0.25 at 128", SMALL, "<= 8 s")):
        cold, warm = [], []
        for at in range(ROUNDS):
            cache = bench.work / f"cold-{what[:3]}-{at}"
            cold.append(train(bench, (*_all(bench), *network), cache))
            warm.append(train(bench, (*_all(bench), *network), cache))
        count = cold[0].report["photos"]
        rows += [
            (f"{sum(count.values())} photos, MobileNet {what}, cold process to bundle", _median(cold), goal),
            ("the same again, features cached: all but imports", _stages(warm), "<= 1 s"),
            ("the same again, whole process", _median(warm), ""),
        ]
    return [*rows, _grown(bench)]


def _median(runs: list[Run]) -> str:
    walls = [run.wall_s for run in runs]
    return f"{statistics.median(walls):.1f} s (worst {max(walls):.1f}), {statistics.median(run.cpu_s for run in runs):.1f} CPU-s"


def _stages(runs: list[Run]) -> str:
    """All that is no import: the stages of the run."""
    return f"{statistics.median(sum(run.report['seconds'].values()) for run in runs):.2f} s"


def _all(bench: Bench) -> tuple[str, ...]:
    """All 981 photos that train and validate."""
    return bench.clothing[:3]


def _grown(bench: Bench) -> Row:
    """The photos of a set that has grown, as the report counts forward passes."""
    folder, cache = bench.work / "growing", bench.work / "cache-growing"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bench.data / "clothing8" / "train", folder)
    fresh = sorted((bench.data / "clothing8" / "test").rglob("*.jp*g"))[:: 241 // ADDED][:ADDED]
    words = (str(folder), *_all(bench)[1:], *SMALL)
    train(bench, words, cache)
    for path in fresh:
        shutil.copy(path, folder / path.parent.name / f"new-{path.name}")
    passes = train(bench, words, cache).report["unseen"]
    return f"forward passes of the backbone after {len(fresh)} photos were added", str(passes), str(ADDED)


def accuracy(bench: Bench) -> list[Row]:
    """On the 241 test photos, which nothing is chosen by."""
    rows = []
    for what, words, goal in (("linear", (), 74), ("bank of 4", BANK, 77), ("fine-tuned", TUNED, 82)):
        rows.append(_accuracy(bench, f"MobileNet 0.25 at 128, {what}", (*SMALL, *words), f">= {goal} %"))
    return [*rows, _accuracy(bench, "MobileNet 1.0 at 224, bank of 4", (*LARGE, *BANK), ">= 89 %")]


def _accuracy(bench: Bench, what: str, words: tuple[str, ...], goal: str) -> Row:
    runs = [train(bench, (*bench.clothing, *words, "--seed", str(seed)), bench.work / "cache") for seed in bench.seeds]
    figures = [run.of("accuracy") for run in runs]
    cpu = statistics.median(run.cpu_s for run in runs)
    return f"clothing8, {what}: test accuracy", f"{_spread(figures)}; {cpu:.0f} CPU-s", goal


def cards(bench: Bench) -> list[Row]:
    home = bench.data / "cards-multilabel"
    lists = [str(bench.work / f"cards-{part}.csv") for part in ("train", "test")]
    _split(home / "labels.csv", lists)
    words = (lists[0], "--test", lists[1], "--images", str(home), "--multi-label")
    rows = []
    for what, more, goal in (("linear", LARGE, "67.7"), ("fine-tuned at 320", (*ONE, *CARDS), ">= 78")):
        runs = [train(bench, (*words, *more, "--seed", str(seed)), bench.work / "cache") for seed in bench.seeds]
        cpu = statistics.median(run.cpu_s for run in runs)
        rows.append(
            (
                f"cards, MobileNet 1.0, {what}: test mAP",
                f"{_spread([run.of('map') for run in runs])}; {cpu:.0f} CPU-s",
                goal,
            )
        )
    return rows


def _split(labels: Path, lists: list[str]) -> None:
    """The data's one list, as a list for each of its folders."""
    head, *lines = labels.read_text().splitlines()
    for path in map(Path, lists):
        part = path.stem.partition("-")[2]
        path.write_text("\n".join([head, *(line for line in lines if line.startswith(f"{part}/")), ""]))


def served(bench: Bench) -> list[Row]:
    """Validation and test by the layers as they were trained, and through the bundle."""
    rows = []
    for what, words in (("linear", LARGE), ("fine-tuned", (*SMALL, *TUNED))):
        report = train(bench, (*bench.clothing, *words), bench.work / "cache").report
        apart = sum(one["trained"]["differing"] for one in report["sets"].values())
        rows.append((f"predictions that differ, {what}: trained or served", str(apart), "0"))
    return rows


def inception(bench: Bench) -> list[Row]:
    """Photos a second of the features stage, decoded pictures at hand, over those of the engine alone on as many threads."""
    photos = sorted((bench.data / "clothing8" / "train").rglob("*.jp*g"))[:64]
    run = TrainingRun(
        data=bench.data, name="rate", out=bench.work, backbone="inception_v3", size=299, weights="none",
        cache=bench.work / "cache-inception", cache_bytes=1 << 34,
    )  # fmt: skip
    model = backbones.features(run)
    sees = features.Extractor(
        run=run,
        digest=backbones.weights_digest(model),
        width=model.output_shape[1],
        exported=canonical.onnx_from_keras(model, "features"),
    )
    items = [Photo(path=path, sha256=store.sha256(path), labels=(0,)) for path in photos]
    cache = Cache(directory=run.cache, spec=run.preprocess)
    pixels = [cache.read(item)[None] for item in items]
    ratios = []
    for at in range(ROUNDS):
        raw = _rate(lambda: list(ThreadPoolExecutor(cores()).map(sees.engine.run, pixels)), len(items))
        fresh = replace(sees, run=replace(run, seed=at), digest=f"{at}")  # known features would not be computed
        _ = fresh.engine  # loading it is no feature's time
        stage = _rate(lambda: features.bank(fresh, items, progress=Progress()), len(items))  # noqa: B023
        ratios.append(stage / raw)
    return [("InceptionV3 at 299, features over the raw engine", f"{statistics.median(ratios):.2f}", ">= 0.9")]


def _rate(work: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    work()
    return count / (time.perf_counter() - start)


PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    "seconds": seconds,
    "accuracy": accuracy,
    "cards": cards,
    "served": served,
    "inception": inception,
}


def _spread(values: list[float]) -> str:
    """Mean over the seeds, and its 95 % interval by Student's t."""
    mean = 100 * statistics.mean(values)
    if len(values) == 1:
        return f"{mean:.1f} %"
    half = float(student.ppf(0.975, len(values) - 1)) * 100 * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:.1f} % +- {half:.1f} ({', '.join(f'{100 * value:.1f}' for value in values)})"


@click.command(help=__doc__)
@click.option("--only", default=",".join(PARTS), show_default=True, help="Parts, with commas between.")
@click.option("--seeds", type=click.IntRange(1, 20), default=3, show_default=True)
@click.option(
    "--work", type=click.Path(path_type=Path), help="Keeps caches and bundles.  [default: a temporary folder]"
)
def main(only: str, seeds: int, work: Path | None) -> None:
    data = Path(os.environ.get("IMAGO_DATA", "/nowhere"))
    if not (data / "clothing8").is_dir():
        sys.exit("set IMAGO_DATA to the folder that holds clothing8, cards-multilabel and weights")
    if unknown := set(only.split(",")) - PARTS.keys():
        sys.exit(f"--only {', '.join(sorted(unknown))}: no such part; there are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(data.resolve(), (work or Path(temporary)).resolve(), tuple(range(seeds)))
        bench.work.mkdir(parents=True, exist_ok=True)
        rows = [row for part in only.split(",") for row in PARTS[part](bench)]
    publish(f"training classifiers, {seeds} seed{'s' * (seeds > 1)}", rows)


if __name__ == "__main__":
    main()
