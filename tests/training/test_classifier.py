"""Whole runs of `imago train classifier`: the same numbers in training and served, nothing done twice, nothing lost by a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bundle import model
from bundle.engine.keras_any import import_keras
from bundle.store import find, read_manifest

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("light", "warm", "wide")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of a MobileNet, by chance."""
    keras = import_keras()
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("weights") / "random.weights.h5"
    keras.applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=None).save_weights(path)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory, photo):
    """Two classes, 24 photos that train, 12 that validate and 8 that test."""
    home = tmp_path_factory.mktemp("photos")
    for part, seeds in (("train", range(12)), ("validation", range(12, 18)), ("test", range(18, 22))):
        for at, label in enumerate(("broad", "tall")):
            (home / part / label).mkdir(parents=True)
            for seed in seeds:
                size = (64, 40) if at == 0 else (40, 64)
                (home / part / label / f"{seed}.jpg").write_bytes(photo(*size, seed=seed + 100 * at))
    return home


@pytest.fixture(scope="module")
def tags(tmp_path_factory, photo):
    """A list of photos with none to three labels, one of them not looked for now and then."""
    home = tmp_path_factory.mktemp("tags")
    rng = np.random.default_rng(3)
    lines = [",".join(["filename", *LABELS])]
    for at in range(40):
        (home / f"{at}.jpg").write_bytes(photo(seed=at))
        marks = [str(mark) for mark in rng.integers(0, 2, 3)]
        marks[at % 3] = "" if at % 5 == 0 else marks[at % 3]
        lines.append(",".join([f"{at}.jpg", *marks]))
    (home / "tags.csv").write_text("\n".join([*lines, ""]))
    return home / "tags.csv"


@pytest.fixture(scope="module")
def train(imago, weights):
    """(data, home, *words) -> what --json says."""

    def run(data, home, *words):
        done = imago(*line(data, home, weights, *words), timeout=600)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) | {"said": done.stderr, "at": next(iter(find(home / "out")))}

    return run


def line(data, home, weights, *words):
    network = ["--alpha", "0.25", "--size", "32", "--weights", str(weights), "--no-photos", "--name", "x"]
    places = ["--out", str(home / "out"), "--cache", str(home / "cache"), "--json"]
    return ["train", "classifier", str(data), *network, *map(str, words), *places]


def apart(report):
    """Predictions in which the layers as trained and what is served differ."""
    return sum(one["trained"]["differing"] for one in report["sets"].values())


def test_several_labels_a_photo_come_out_of_a_list(train, tags, tmp_path):
    report = train(tags, tmp_path, "--weighted-loss", "--heads", "all")
    opened = model.open(report["at"], "onnx")
    assert report["scores"] == opened.manifest.scores == "sigmoid"
    assert opened.labels == LABELS
    assert len(opened.manifest.thresholds) == 3
    assert {"map", "micro_f1", "exact", "ece"} <= report["metrics"].keys()
    assert {one["name"] for one in report["alternatives"]} == {"linear", "mlp", "retrain"}
    assert sum(one["chosen"] for one in report["alternatives"]) == 1
    assert apart(report) == 0
    assert opened.manifest.metrics == pytest.approx(report["metrics"])


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_layers_and_export_of_each_head_answer_alike(train, folders, tmp_path, head):
    report = train(folders / "train", tmp_path, "--validation", folders / "validation", "--heads", head)
    pixels = [model.open(report["at"], "onnx").prepare(path.read_bytes()) for path in folders.rglob("1*.jpg")]
    rows = [model.open(report["at"], engine).run(np.stack(pixels)) for engine in ("onnx", "keras")]
    assert np.abs(rows[0] - rows[1]).max() < 1e-5
    assert apart(report) == 0


def test_only_photos_that_are_new_are_looked_at_again(train, folders, tmp_path, photo):
    home = tmp_path / "train"
    shutil.copytree(folders / "train", home)
    words = ("--validation", folders / "validation", "--augment", "crop", "--copies", "2")
    first = train(home, tmp_path, *words)
    again = train(home, tmp_path, *words)
    assert (first["unseen"], again["unseen"]) == (36, 0)
    assert again["bundle"] == first["bundle"]
    (home / "tall" / "new.jpg").write_bytes(photo(40, 64, seed=999))
    assert train(home, tmp_path, *words)["unseen"] == 1


def test_the_test_set_judges_and_chooses_nothing(train, folders, tmp_path):
    words = ("--validation", folders / "validation")
    without = train(folders / "train", tmp_path / "a", *words)
    tested = train(folders / "train", tmp_path / "b", *words, "--test", folders / "test")
    assert tested["sets"]["test"]["photos"] == 8
    assert tested["at"].name == without["at"].name


def test_fine_tuning_that_was_killed_comes_to_the_same_bundle(train, folders, weights, tmp_path):
    words = ["--validation", folders / "validation", "--fine-tune", "all", "--epochs", "6", "--batch-size", "4"]
    words += ["--learning-rate", "0.003", "--augment", "crop_color", "--tensorboard", tmp_path / "logs"]
    whole = train(folders / "train", tmp_path / "whole", *words)
    broken = tmp_path / "broken"
    command = [sys.executable, "-m", "imago", *line(folders / "train", broken, weights, *words)]
    killed = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not list(broken.rglob("runs/*.npz")) and time.monotonic() < deadline and killed.poll() is None:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert list(broken.rglob("runs/*.npz"))
    again = train(folders / "train", broken, *words)
    assert again["at"].name == whole["at"].name
    assert [row["loss"] for row in again["curve"]] == [row["loss"] for row in whole["curve"]]
    assert apart(again) == 0
    assert not list(broken.rglob("runs/*.npz"))
    assert list((tmp_path / "logs").rglob("events*"))
    assert read_manifest(again["at"]).training.head.startswith("linear")
