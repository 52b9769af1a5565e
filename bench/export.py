"""Exports: how far each format is from Keras, what half and a quarter of the size cost in answers, seconds, and the way back.

`python -m bench.export` (make bench-export) drives `imago export` and `imago import` on a classifier trained on clothing8 (MobileNet
1.0), on InceptionV3 with a head trained on random layers that were calibrated, and adds the figures to bench/RESULTS.md.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import numpy as np

from bench.results import ROOT, Row, publish
from bundle import model
from bundle.engine.keras_any import import_keras
from bundle.image import Preprocess, decode, preprocess
from bundle.predict import expand
from converter.pictures import drawn, golden
from converter.subject import open_subject

IMAGO = [sys.executable, "-m", "imago"]
WEIGHTS = "mobilenet_v1_1.0_224_embedding_extractor.weights.h5"
CALIBRATION = 100  # photos


@dataclass(frozen=True)
class Bench:
    data: Path
    work: Path

    @property
    def photos(self) -> Path:
        return self.data / "clothing8" / "test"

    @cached_property
    def mobilenet(self) -> Path:
        return self._trained("mobilenet", "--weights", str(self.data / "weights" / WEIGHTS))

    @cached_property
    def inception(self) -> Path:
        weights = calibrated(self.photos, self.work / "inception.weights.h5")
        return self._trained("inception", "--backbone", "inception_v3", "--weights", str(weights))

    def _trained(self, name: str, *network: str) -> Path:
        """On clothing8's own split."""
        home = self.data / "clothing8"
        words = (str(home / "train"), "--validation", str(home / "validation"), "--cache", str(self.work / "cache"))
        said = imago("train", "classifier", *words, *network, "--name", name, "--out", str(self.work), "--json")
        return Path(json.loads(said.out)["bundle"])


@dataclass(frozen=True)
class Said:
    out: str
    wall_s: float
    cpu_s: float


def imago(*words: str) -> Said:
    """A process of its own. Exits where it fails."""
    before, start = _cpu(), time.perf_counter()
    done = subprocess.run([*IMAGO, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"imago {' '.join(words)}: exit status {done.returncode}")
    return Said(done.stdout, time.perf_counter() - start, _cpu() - before)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def calibrated(photos: Path, path: Path) -> Path:
    """Weights of an InceptionV3: published ones are not at hand, so its layers are random, and its statistics those of real and drawn pictures."""
    keras = import_keras()
    keras.utils.set_random_seed(0)
    network = keras.applications.InceptionV3(weights=None, include_top=False, input_shape=(299, 299, 3))
    spec = Preprocess(height=299, width=299, resize="crop", resample="bilinear", color="rgb")
    seen = [preprocess(decode(photo.read_bytes(), spec), spec) for photo in list(expand([photos]))[:8]]
    some = np.concatenate([seen, drawn(spec)]) / np.float32(127.5) - 1
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.2
    for _ in range(3):
        network(some, training=True)
    network.save_weights(path)
    return path


# ---- parts ---------------------------------------------------------------------------------


def exact(bench: Bench) -> list[Row]:
    """fp32, every format, on 241 photos (InceptionV3: on golden and drawn pictures)."""
    rows = []
    for what, bundle, more in (
        ("MobileNet 1.0", bench.mobilenet, ("--pictures", str(bench.photos))),
        ("InceptionV3", bench.inception, ()),
    ):
        said = imago("export", str(bundle), "--to", "all", "--out", str(bench.work / "exact"), "--json", *more)
        for file, figures in _files(said.out):
            most = max(one["difference"] for one in figures.values())
            rows.append((f"{what}, {file}: softmax difference from Keras, at most", f"{most:.1e}", "<= 1e-5"))
        rows.append(
            (f"{what}, Keras itself, kernels moved by half a bit: difference, at most", f"{_noise(bundle):.1e}", "")
        )
    return rows


def _noise(bundle: Path) -> float:
    """What rounding each weight once more does to the scores of golden and drawn pictures: a network's own share of any difference."""
    subject = open_subject(bundle)
    pixels = np.concatenate([golden(subject), drawn(subject.spec)])
    before = np.asarray(subject.network(pixels, training=False))
    rng = np.random.default_rng(0)
    moved = [kernel * (1 + 2.0**-24 * rng.choice((-1, 1), kernel.shape)) for kernel in subject.network.get_weights()]
    subject.network.set_weights([kernel.astype(np.float32) for kernel in moved])
    return float(np.abs(np.asarray(subject.network(pixels, training=False)) - before).max())


def _files(said: str) -> list[tuple[str, dict[str, Any]]]:
    """Format and file, and how well it agrees."""
    found = []
    for one in json.loads(said):
        title = f"{one['name']}-{one['id'][:8]}"
        found += [
            (f"{one['format']} {checked['file'].removeprefix(title)}", checked["figures"]) for checked in one["checked"]
        ]
    return found


def rounded(bench: Bench) -> list[Row]:
    """Half and a quarter of the size, on the 241 test photos; int8 calibrated with photos that trained."""
    rows = []
    for quantize, goal in (("fp16", "<= 1"), ("int8", "<= 4")):
        calibration = _calibration(bench)
        words = (
            "--to",
            "all",
            "--quantize",
            quantize,
            "--pictures",
            str(bench.photos),
            "--calibrate",
            str(calibration),
        )
        said = imago("export", str(bench.mobilenet), *words, "--out", str(bench.work / "rounded"), "--json")
        for file, figures in _files(said.out):
            of = figures["pictures"]
            rows.append((f"{quantize}, {file}: of {of['pictures']} photos another best label", str(of["differ"]), goal))
    return rows


def _calibration(bench: Bench) -> Path:
    folder = bench.work / "calibration"
    folder.mkdir(exist_ok=True)
    photos = list(expand([bench.data / "clothing8" / "train"]))
    for at, path in enumerate(photos[:: len(photos) // CALIBRATION][:CALIBRATION]):
        (folder / f"{at}{path.suffix}").write_bytes(path.read_bytes())
    return folder


def seconds(bench: Bench) -> list[Row]:
    said = imago("export", str(bench.mobilenet), "--to", "all", "--out", str(bench.work / "timed"))
    return [("all formats of MobileNet 1.0, one command", f"{said.wall_s:.0f} s, {said.cpu_s:.0f} CPU-s", "<= 60 s")]


def back(bench: Bench) -> list[Row]:
    """Export, import, and the golden pictures of the first bundle by the new one."""
    out = bench.work / "back"
    imago("export", str(bench.mobilenet), "--to", "onnx,graphdef,keras-json", "--out", str(out))
    (file,) = (out / "onnx").glob("*.onnx")
    ways = {
        "onnx": ("--onnx", str(file)),
        "graphdef": ("--graphdef", str(out / "graphdef" / "output_graph.pb")),
        "keras-json": (
            *("--keras-json", str(out / "keras-json" / "model.json")),
            *("--weights", str(out / "keras-json" / "model.weights.h5")),
        ),
        "keras": ("--keras", str(bench.mobilenet / "model.keras")),
    }
    return [
        (f"round trip by {name}: golden scores differ by", _trip(bench, name, words), "golden passes")
        for name, words in ways.items()
    ]


def _trip(bench: Bench, name: str, words: tuple[str, ...]) -> str:
    golden, out = bench.mobilenet / "golden", bench.work / f"back-{name}"
    pictures = [path for path in sorted(golden.iterdir()) if path.suffix != ".json"]
    imago("import", *words, "--labels", str(bench.mobilenet / "labels.txt"), "--name", "back", "--out", str(out))
    first, second = model.open(bench.mobilenet), model.open(next(out.glob("back-????????")))
    assert isinstance(first, model.Model)
    assert isinstance(second, model.Model)
    off = [
        np.abs(first.run(first.prepare(p.read_bytes())[None]) - second.run(second.prepare(p.read_bytes())[None]))
        for p in pictures
    ]
    return f"{max(float(one.max()) for one in off):.1e}"


PARTS: dict[str, Callable[[Bench], list[Row]]] = {"exact": exact, "rounded": rounded, "seconds": seconds, "back": back}


@click.command(help=__doc__)
@click.option("--only", default=",".join(PARTS), show_default=True, help="Parts, with commas between.")
@click.option(
    "--work", type=click.Path(path_type=Path), help="Keeps bundles and exports.  [default: a temporary folder]"
)
def main(only: str, work: Path | None) -> None:
    data = Path(os.environ.get("IMAGO_DATA", "/nowhere"))
    if not (data / "clothing8").is_dir():
        sys.exit("set IMAGO_DATA to the folder that holds clothing8 and weights")
    if unknown := set(only.split(",")) - PARTS.keys():
        sys.exit(f"--only {', '.join(sorted(unknown))}: no such part; there are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(data.resolve(), (work or Path(temporary)).resolve())
        bench.work.mkdir(parents=True, exist_ok=True)
        rows = [row for part in only.split(",") for row in PARTS[part](bench)]
    publish("exports", rows)


if __name__ == "__main__":
    main()
