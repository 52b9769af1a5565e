"""Files of Keras 3 become bundles; code in them does not."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bundle import model, store
from converter import imports
from converter.import_request import Request

pytest.importorskip("tensorflow", reason="of the train extra")
FORM = "keras"
PIECES = next((Path(__file__).parents[2] / "server" / "bundles").glob("pieces-????????"))
SHEETS = next((Path(__file__).parents[2] / "server" / "bundles").glob("sheets-????????"))
NOISE = np.random.default_rng(3).integers(0, 256, (3, 8, 8, 3), np.uint8)


def zipped(layers, **files):
    """A .keras file of Keras 3."""
    out = io.BytesIO()
    content = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    files = {"config.json": json.dumps(content), "metadata.json": '{"keras_version": "3.15.0"}', **files}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def entry(kind, name, module="keras.layers"):
    return {"module": module, "class_name": kind, "config": {"name": name}, "registered_name": None}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped([entry("Lambda", "trick")]), "layer 'trick' (Lambda): is code in a file"),
        (zipped([{**entry("Lambda", "x"), "config": {}}]), "layer 'Lambda' (Lambda): is code in a file"),
        (zipped([entry("Swirl", "s1", None)]), "layer 's1' (Swirl): is no layer of Keras"),
        (zipped([entry("system", "s1", 5)]), "layer 's1' (system): is no layer of Keras"),
        (zipped([], **{"config.json": '{"class_name": "My", "config": {}}'}), "(My): is no layer of Keras"),
        (zipped([], **{"model.weights.h5": bytes(60 << 20)}), "unpacks to 62914"),
        (zipped([], **{"metadata.json": " " * (17 << 20)}), "its metadata.json is larger"),
        ((PIECES / "model.keras").read_bytes()[:-500], "is no whole .keras file"),
        ((SHEETS / "model.keras").read_bytes(), "makes XML, and has neither its schema nor"),
    ],
    ids=["lambda", "nameless", "custom", "module", "subclass", "bomb", "metadata", "cut", "xml"],
)
def test_what_is_not_imported_is_refused_by_name(run, reason, content, words):
    assert words in reason(run, content, pixels="0..1")


@pytest.fixture
def small():
    """A network of Keras 3 with a model in it, and what it gives for `NOISE`."""
    from bundle.engine.keras_any import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    inner = keras.Sequential([layers.Conv2D(4, 3), layers.ReLU()])
    before = [keras.Input((8, 8, 3)), layers.Rescaling(1 / 127.5, -1), inner, layers.GlobalAveragePooling2D()]
    network = keras.Sequential([*before, layers.Dense(3, activation="softmax")])
    return network, np.asarray(network(NOISE.astype("f"), training=False))


def test_h5_file_of_keras_3_is_taken(run, reason, tmp_path, small):
    network, wanted = small
    path = tmp_path / "whole.h5"
    network.save(path)
    assert "model.keras: is HDF5; rename it to end in .h5" in reason(run, path.read_bytes())
    found = imports.main(Request(form="keras", source=path, out=tmp_path / "out"))
    assert model.open(found.bundle).run(NOISE) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("written", [lambda words: f"\ufeff{words}", json.dumps], ids=["bom", "json in json"])
def test_json_may_be_marked_or_wrapped(tmp_path, small, written):
    network, wanted = small
    (tmp_path / "m.json").write_text(written(network.to_json()), encoding="utf-8")
    network.save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    files = {"source": tmp_path / "m.json", "weights": tmp_path / "m.weights.h5"}
    found = imports.main(Request(form="keras-json", out=tmp_path / "out", **files))
    assert model.open(found.bundle).run(NOISE) == pytest.approx(wanted, abs=1e-5)


def test_keras_file_of_a_bundle_comes_back_with_what_stood_beside_it(tmp_path):
    (tmp_path / "labels.txt").write_bytes((PIECES / "labels.txt").read_bytes())
    (tmp_path / "manifest.json").write_bytes((PIECES / "manifest.json").read_bytes())
    (tmp_path / "model.keras").write_bytes((PIECES / "model.keras").read_bytes())
    found = imports.main(Request(form="keras", source=tmp_path / "model.keras", out=tmp_path / "out"))
    noise = np.random.default_rng(3).integers(0, 256, (3, 96, 96, 3), np.uint8)
    assert np.abs(model.open(found.bundle).run(noise) - model.open(PIECES).run(noise)).max() <= 1e-6
    assert store.verify(found.bundle).preprocess == store.verify(PIECES).preprocess


def test_bundle_as_json_and_weights_comes_back_with_the_same_scores(tmp_path, imago):
    from bundle.engine.keras_any import import_keras

    network = import_keras().models.load_model(PIECES / "model.keras", compile=False)
    (tmp_path / "model.json").write_text(network.to_json())
    network.save_weights(tmp_path / "model.weights.h5")
    words = ["--keras-json", tmp_path / "model.json", "--weights", tmp_path / "model.weights.h5"]
    done = imago("import", *words, "--labels", PIECES / "labels.txt", "--out", tmp_path / "out", timeout=300)
    assert done.returncode == 0, done.stderr
    (bundle,) = (tmp_path / "out").iterdir()
    noise = np.random.default_rng(3).integers(0, 256, (3, 96, 96, 3), np.uint8)
    assert np.abs(model.open(bundle).run(noise) - model.open(PIECES).run(noise)).max() <= 1e-6
    assert "predict  imago predict" in done.stdout
    assert imago("predict", bundle, PIECES / "golden" / "0.png").returncode == 0
