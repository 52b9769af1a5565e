"""From a folder of pictures to answers over HTTP, with the commands of the README, in real processes."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests

from bundle import model, store
from bundle.errors import BundleError
from bundle.image import Preprocess
from training import pieces
from training.data import cache as caches
from training.data import photos as sets

LABELS = ("collar", "pocket", "skirt", "sleeve")


@pytest.fixture(scope="module")
def train(imago):
    """(folder, bundles, cache, *more) -> what `imago train classifier --json` says."""

    def run(folder: Path, out: Path, cache: Path, *more: str) -> dict:
        done = imago(
            "train", "classifier", folder, "--name", "drawn", "--out", out, "--alpha", 0.25, "--size", 64,
            "--weights", "none", "--epochs", 3, "--batch-size", 8, "--cache", cache, "--json", *more, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """40 drawn pictures in 4 classes, and two files that are none."""
    folder = tmp_path_factory.mktemp("drawn") / "photos"
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for index in range(10):
            picture = pieces.png(pieces.picture(label, seed=7, index=index, size=96)[1])
            (folder / label / f"{index}.png").write_bytes(picture)
    (folder / "collar" / "empty.jpg").write_bytes(b"")
    (folder / "skirt" / "cut.png").write_bytes((folder / "skirt" / "0.png").read_bytes()[:400])
    return folder


@pytest.fixture(scope="module")
def trained(drawn, train, tmp_path_factory) -> dict:
    home = tmp_path_factory.mktemp("trained")
    return train(drawn, home / "bundles", home / "cache")


@pytest.fixture(scope="module")
def opened(trained) -> model.Model:
    return model.open(Path(trained["bundle"]), "onnx")


def test_training_writes_a_bundle_that_verifies(trained, imago):
    done = imago("bundle", "verify", trained["bundle"])
    assert done.returncode == 0, done.stderr
    assert "good: 7 files" in done.stdout


def test_unreadable_files_are_listed_and_skipped(trained):
    assert {Path(item["file"]).name for item in trained["skipped"]} == {"empty.jpg", "cut.png"}
    assert all(item["reason"] for item in trained["skipped"])
    assert trained["photos"]["train"] + trained["photos"]["validation"] == 40


def test_the_report_stands_beside_the_bundle_and_is_no_part_of_it(trained):
    bundle = Path(trained["bundle"])
    page = (bundle.with_name(f"{bundle.name}.report") / "index.html").read_text()
    assert "empty.jpg" in page
    assert "http" not in page.replace("http-equiv", "")
    assert not any("report" in path for path in store.read_manifest(bundle).files)


def test_the_same_data_gives_the_same_id_in_another_process(drawn, trained, train, tmp_path):
    renamed = tmp_path / "elsewhere"
    for path in drawn.rglob("*.*"):
        (renamed / path.parent.name).mkdir(parents=True, exist_ok=True)
        (renamed / path.parent.name / f"x{path.name}").write_bytes(path.read_bytes())
    again = train(renamed, tmp_path / "bundles", tmp_path / "cache")
    assert Path(again["bundle"]).name == Path(trained["bundle"]).name
    assert (tmp_path / "bundles" / Path(again["bundle"]).name / "model.keras").read_bytes() == (
        Path(trained["bundle"]) / "model.keras"
    ).read_bytes()


def test_another_seed_gives_another_id(drawn, trained, train, tmp_path):
    other = train(drawn, tmp_path / "bundles", Path(trained["bundle"]).parent.parent / "cache", "--seed", "1")
    assert Path(other["bundle"]).name != Path(trained["bundle"]).name


def test_training_server_and_export_see_the_same_pixels(drawn, opened, tmp_path):
    spec: Preprocess = opened.manifest.preprocess
    cache = caches.Cache(directory=tmp_path, spec=spec)
    photos = sets.load(drawn, None).train
    good = [photo for photo in photos if photo.path.name not in ("empty.jpg", "cut.png")]
    keras = model.open(opened.directory, "keras")
    for photo in good[:8]:
        data = photo.path.read_bytes()
        assert np.array_equal(cache.read(photo), opened.prepare(data))
        assert np.array_equal(opened.prepare(data), keras.prepare(data))


def test_predict_the_server_and_keras_agree(drawn, opened, imago, start):
    files = sorted(path for path in drawn.rglob("*.png") if path.name != "cut.png")
    told = json.loads(imago("predict", opened.directory, *files, "--json", "--top", 4).stdout)["results"]
    keras = model.open(opened.directory, "keras")
    with start(opened.directory) as server, ThreadPoolExecutor(4) as pool:
        posted = list(pool.map(lambda path: _post(server.url, path), files))
    for path, predicted, served in zip(files, told, posted, strict=True):
        assert predicted["predictions"] == served
        row = keras.run(keras.prepare(path.read_bytes())[None])[0]
        scores = {answer["label"]: answer["probability"] for answer in served}
        assert max(abs(scores[label] - row[at]) for at, label in enumerate(keras.labels)) < 1e-4


def _post(url: str, path: Path) -> list:
    with path.open("rb") as file:
        return requests.post(f"{url}/classify?top=4", files={"image": file}, timeout=60).json()["predictions"]


def test_a_bundle_from_here_is_refused_when_a_byte_is_changed(trained, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(trained["bundle"], copy)
    data = bytearray((copy / "model.onnx").read_bytes())
    data[1000] ^= 1
    (copy / "model.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=r"model\.onnx: its content was changed"):
        store.verify(copy)
