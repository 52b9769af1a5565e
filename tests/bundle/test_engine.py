"""Which engine runs a model, and that a model which does not fit its manifest is refused before the first picture."""

import base64
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import requests

from bundle import canonical, engine, model, store
from bundle.engine import keras_any, onnx_cpu
from bundle.errors import BundleError
from bundle.write import write

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def keras_tiny(bundles, parts, keras_model, keras_onnx):
    models = {"model.keras": canonical.keras_bytes(keras_model), "model.onnx": keras_onnx}
    return write(bundles, replace(parts, name="keras", source="keras", models=models))


@pytest.fixture(scope="module")
def padded(keras_model, spec):
    return keras_any.from_model(keras_model, spec, 3, "here")


def pictures(count):
    return np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), np.uint8)


def no_gpu():
    return not any(node.exists() for node in engine._GPU_NODES)


@pytest.mark.parametrize("choice", ["onnx", "auto"])
def test_onnx_bundle_runs_on_onnxruntime(tiny, choice):
    assert engine.load(tiny, store.read_manifest(tiny), choice).name == "onnxruntime"


def test_keras_for_an_onnx_bundle_is_refused_with_what_to_do(tiny):
    with pytest.raises(BundleError, match="has no model.keras, its source is onnx; use --engine onnx"):
        engine.load(tiny, store.read_manifest(tiny), "keras")


@pytest.mark.parametrize(("choice", "name"), [("keras", "keras"), ("onnx", "onnxruntime")])
def test_keras_bundle_runs_on_what_is_chosen(keras_tiny, choice, name):
    assert model.open(keras_tiny, choice).engine.name == name


@pytest.mark.skipif(not no_gpu(), reason="with a GPU it is Keras that auto chooses")
def test_auto_is_onnxruntime_without_a_gpu(keras_tiny):
    chosen = engine.load(keras_tiny, store.read_manifest(keras_tiny), "auto")
    assert (chosen.name, chosen.device) == ("onnxruntime", "cpu")


@pytest.mark.parametrize("count", [1, 3, 64, 70])
def test_padded_batch_equals_single_runs(padded, count):
    batch = pictures(count)
    singles = np.concatenate([padded.run(batch[at : at + 1]) for at in range(count)])
    assert np.abs(padded.run(batch) - singles).max() < 1e-6


@pytest.mark.parametrize("count", [1, 3, 70])
def test_every_picture_of_a_batch_gets_a_float32_row(padded, parts, spec, count):
    for run in (padded.run, onnx_cpu.load(parts.models["model.onnx"], spec, 3).run):
        rows = run(pictures(count))
        assert (rows.shape, rows.dtype) == ((count, 3), np.float32)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"side": 9}, r"pixels is \('tensor\(uint8\)', \[9, 9, 3\]\), \('tensor\(uint8\)', \[8, 8, 3\]\) wanted"),
        ({"labels": 4}, r"scores is \('tensor\(float\)', \[4\]\), \('tensor\(float\)', \[3\]\) wanted"),
    ],
)
def test_onnx_model_of_another_shape_is_refused(onnx, spec, tmp_path, change, words):
    (tmp_path / "model.onnx").write_bytes(onnx(**change))
    with pytest.raises(BundleError, match=rf"{tmp_path}/model\.onnx: {words}; train or import it again"):
        onnx_cpu.load(tmp_path / "model.onnx", spec, 3)


def test_onnx_model_with_another_output_name_is_refused(onnx, spec):
    with pytest.raises(BundleError, match=r"model\.onnx: features is None, .* wanted"):
        onnx_cpu.load(onnx(), spec, 3, output="features")


@pytest.mark.parametrize("data", [b"", b"no model", bytes(1000), b"\x08\x08\x12\x05imago"], ids=repr)
def test_corrupt_onnx_model_is_refused_in_one_sentence(spec, tmp_path, data):
    (tmp_path / "model.onnx").write_bytes(data)
    for source in (tmp_path / "model.onnx", data):
        with pytest.raises(BundleError, match=r"model\.onnx: ONNX Runtime cannot load it: [^\n]+$"):
            onnx_cpu.load(source, spec, 3)


def test_truncated_onnx_model_is_refused(onnx, spec):
    with pytest.raises(BundleError, match="ONNX Runtime cannot load it"):
        onnx_cpu.load(onnx()[:-40], spec, 3)


def test_keras_model_of_another_shape_is_refused(keras_model, spec):
    with pytest.raises(BundleError, match=r"here: the model goes from \(None, 8, 8, 3\) to \(None, 3\), .* wanted"):
        keras_any.from_model(keras_model, spec, 4, "here")


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x05\x06" + bytes(18)], ids=repr)
def test_corrupt_keras_model_is_refused_in_one_sentence(spec, tmp_path, data):
    (tmp_path / "model.keras").write_bytes(data)
    with pytest.raises(BundleError, match=r"model\.keras: Keras cannot load it: [^\n]+$"):
        keras_any.load(tmp_path / "model.keras", spec, 3)


def test_keras_model_with_code_in_it_is_refused(spec, tmp_path):
    keras = keras_any.import_keras()
    pixels = keras.Input((8, 8, 3), dtype="uint8")
    keras.Model(pixels, keras.layers.Lambda(lambda x: x)(pixels)).save(tmp_path / "model.keras")
    with pytest.raises(BundleError, match="Keras cannot load it"):
        keras_any.load(tmp_path / "model.keras", spec, 3)


@pytest.mark.parametrize("backend", ["numpy", "nonsense", "torch"])
def test_another_backend_than_tensorflow_and_jax_is_one_sentence(keras_tiny, imago, backend):
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = imago("predict", keras_tiny, "none.png", "--engine", "keras", env=environment)
    assert done.returncode == 1
    assert re.fullmatch(r"[^\n]+ set KERAS_BACKEND to tensorflow or jax\n", done.stderr)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_keras_bundle_is_served_on_either_backend(keras_tiny, start, photo, monkeypatch, backend):
    pytest.importorskip(backend)
    monkeypatch.setenv("KERAS_BACKEND", backend)
    opened = model.open(keras_tiny, "onnx")
    wanted = opened.run(opened.prepare(photo())[None])[0]
    with start(keras_tiny, engine="keras") as server:
        said = requests.post(
            f"{server.url}/v1/models/keras:predict",
            json={"instances": [{"b64": base64.b64encode(photo()).decode()}]},
            timeout=60,
        )
    assert np.abs(np.array(said.json()["predictions"][0]) - wanted).max() < 1e-5


def test_there_is_a_core_at_least():
    assert engine.cores() >= 1


def test_nothing_of_a_run_is_kept_or_told_by_onnxruntime(onnx, tmp_path):
    """Its builds write an id of the machine and what they saw into the home folder, and send it."""
    (tmp_path / "model.onnx").write_bytes(onnx())
    home = tmp_path / "home"
    home.mkdir()
    program = (
        f"from bundle.engine import onnx_cpu; onnx_cpu.open_session({str(tmp_path / 'model.onnx')!r}, 'model.onnx')"
    )
    environment = {
        key: value for key, value in os.environ.items() if key not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    }
    subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment | {"HOME": str(home)}, check=True, timeout=600
    )
    assert not list(home.rglob("*"))
