"""Backbones: the right numbers go in, and weights that do not fit are refused with a sentence."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import canonical
from bundle.engine import onnx_cpu
from bundle.engine.keras_any import import_keras
from bundle.errors import DataError
from training import backbones
from training.run import Run


@pytest.fixture
def run(tmp_path):
    return Run(
        data=tmp_path, validation=None, name="x", out=tmp_path, backbone="mobilenet", alpha=0.25, size=32, resize="crop",
        weights="none", epochs=1, batch_size=8, learning_rate=0.01, seed=0, golden=None, photos_in_bundle=False,
        cache=tmp_path / "cache", cache_bytes=1 << 20, command="",
    )  # fmt: skip


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("backbone", "size", "width"), [("mobilenet", 32, 256), ("inception_v3", 75, 2048), ("resnet50", 32, 2048)]
)
def test_each_backbone_goes_from_pixels_to_features(run, backbone, size, width):
    model = backbones.features(replace(run, backbone=backbone, size=size))
    assert model.input_shape == (None, size, size, 3)
    assert model.inputs[0].dtype == "uint8"
    assert model.output_shape == (None, width)


@pytest.mark.parametrize(("backbone", "size"), [("inception_v3", 75), ("resnet50", 32)])
def test_each_backbone_exports_to_onnx_and_gives_the_same_features(run, backbone, size):
    chosen = replace(run, backbone=backbone, size=size)
    import_keras().utils.set_random_seed(0)
    model = backbones.features(chosen)
    exported = onnx_cpu.load(canonical.onnx_from_keras(model, "features"), chosen.preprocess, 2048, output="features")
    pixels = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    assert np.allclose(exported.run(pixels), model(pixels), rtol=1e-3, atol=1e-4)


def test_a_backbone_built_again_after_others_gives_the_same_file(run):
    """InceptionV3 leaves its layers' names to Keras, which counts what it has built before."""
    keras, files = import_keras(), []
    for _ in range(2):
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        files.append(canonical.keras_bytes(backbones.features(replace(run, backbone="inception_v3", size=75))))
    assert files[0] == files[1]


def test_mobilenet_sees_pixels_from_minus_one_to_one(run, pixels):
    keras = import_keras()
    model = backbones.features(run)
    seen = keras.Model(model.input, model.get_layer("normalise").output)(pixels)
    assert np.allclose(seen, pixels / 127.5 - 1, atol=1e-6)


def test_resnet_answers_as_keras_does_on_bgr_less_the_means(run, pixels, tmp_path):
    keras = import_keras()
    original = keras.applications.ResNet50(weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3))
    original.save_weights(tmp_path / "w.weights.h5")
    wanted = original(keras.applications.resnet50.preprocess_input(pixels.astype("float32")))
    ours = backbones.features(replace(run, backbone="resnet50", weights=str(tmp_path / "w.weights.h5")))
    assert np.allclose(ours(pixels), wanted, rtol=1e-3, atol=1e-4)


def test_weights_with_a_head_serve_as_features_too(run, data_dir):
    file = data_dir / "weights" / "mobilenet_v1_0.25_128.weights.h5"
    chosen = replace(run, size=128, weights=str(file))
    with_head, without = backbones.imagenet(chosen), backbones.features(chosen)
    assert without.output_shape == (None, 256)
    kernels = (model.get_layer("conv_pw_13").get_weights()[0] for model in (with_head, without))
    assert np.array_equal(*kernels)


def test_weights_of_another_width_are_refused(run, tmp_path):
    backbones.features(replace(run, alpha=0.5)).save_weights(tmp_path / "half.weights.h5")
    with pytest.raises(DataError, match=r"half.weights.h5: these are no weights for mobilenet with --alpha 0.25"):
        backbones.features(replace(run, weights=str(tmp_path / "half.weights.h5")))


def test_weights_that_would_leave_layers_random_are_refused(run, tmp_path):
    backbones.features(run).save_weights(tmp_path / "no-head.weights.h5")
    with pytest.raises(DataError, match="these are no weights for mobilenet"):
        backbones.imagenet(replace(run, weights=str(tmp_path / "no-head.weights.h5")))


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_a_file_that_holds_no_weights_is_refused(run, tmp_path, content):
    path = tmp_path / "w.weights.h5"
    if content:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"w\.weights\.h5: "):
        backbones.features(replace(run, weights=str(path)))


def test_without_internet_imagenet_weights_get_a_sentence(tmp_path):
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "imago", "train", "imagenet", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=os.environ | nowhere, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "could not be fetched (is this machine on the internet?)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path(tmp_path / "out").exists()
