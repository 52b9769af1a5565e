"""Backbones: the right numbers go in, and weights that do not fit are refused with a sentence."""

import inspect
import os
import re
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

# The smallest size of each, with the smallest published width, the features' width and the blocks.
SMALL = {
    "mobilenet": (32, 0.25, 256, 14),
    "mobilenet_v2": (32, 0.35, 1280, 19),
    "inception_v3": (75, 1.0, 2048, 11),
    "resnet50": (32, 1.0, 2048, 17),
    "efficientnet_v2_b0": (32, 1.0, 1280, 23),
}
EACH = pytest.mark.parametrize("backbone", SMALL)


@pytest.fixture
def run(tmp_path):
    return Run(
        data=tmp_path, name="x", out=tmp_path, alpha=0.25, size=32, weights="none", cache=tmp_path / "cache",
        cache_bytes=1 << 20,
    )  # fmt: skip


@pytest.fixture
def small(run):
    """(backbone) -> a run with it at its smallest."""
    return lambda backbone: replace(run, backbone=backbone, size=SMALL[backbone][0], alpha=SMALL[backbone][1])


@pytest.fixture
def original():
    """(run, **options) -> the model as Keras makes it."""

    def build(run, **options):
        keras = import_keras()
        width = {"alpha": run.alpha} if backbones.PLANS[run.backbone].widths else {}
        application = getattr(keras.applications, backbones.PLANS[run.backbone].application)
        keras.utils.set_random_seed(0)
        return application(weights=None, input_shape=(run.size, run.size, 3), **width, **options)

    return build


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


@EACH
def test_each_backbone_goes_from_pixels_to_features_at_the_96_pixels_of_old_jobs(small, backbone):
    model = backbones.features(replace(small(backbone), size=96))
    assert model.input_shape == (None, 96, 96, 3)
    assert model.inputs[0].dtype == "uint8"
    assert model.output_shape == (None, SMALL[backbone][2])


@EACH
def test_each_backbone_has_its_published_sizes_and_no_smaller_one(small, original, backbone):
    chosen = small(backbone)
    with pytest.raises(DataError, match=f"--size {chosen.size - 1}: {backbone} needs at least {chosen.size} pixels"):
        backbones.features(replace(chosen, size=chosen.size - 1))
    with pytest.raises(ValueError, match="Input size must be at least"):
        original(replace(chosen, size=chosen.size - 1), include_top=False)


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "inception_v3", "resnet50", "efficientnet_v2_b0"])
def test_each_backbone_exports_to_onnx_and_gives_the_same_features(small, backbone):
    chosen = small(backbone)
    size, width = chosen.size, SMALL[backbone][2]
    import_keras().utils.set_random_seed(0)
    model = backbones.features(chosen)
    exported = onnx_cpu.load(canonical.onnx_from_keras(model, "features"), chosen.preprocess, width, output="features")
    pixels = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    assert np.allclose(exported.run(pixels), model(pixels), rtol=1e-3, atol=1e-4)


def test_a_backbone_built_again_after_others_gives_the_same_file(small):
    """InceptionV3 leaves its layers' names to Keras, which counts what it has built before."""
    keras, files = import_keras(), []
    for _ in range(2):
        keras.utils.clear_session()
        keras.utils.set_random_seed(0)
        files.append(canonical.keras_bytes(backbones.features(small("inception_v3"))))
    assert files[0] == files[1]


def test_mobilenet_sees_pixels_from_minus_one_to_one(run, pixels):
    keras = import_keras()
    model = backbones.features(run)
    seen = keras.Model(model.input, model.get_layer("normalise").output)(pixels)
    assert np.allclose(seen, pixels / 127.5 - 1, atol=1e-6)


PREPARED = {
    "mobilenet": "mobilenet",
    "mobilenet_v2": "mobilenet_v2",
    "inception_v3": "inception_v3",
    "resnet50": "resnet50",
    "efficientnet_v2_b0": "efficientnet_v2",
}


@EACH
def test_each_backbone_answers_as_keras_does_on_pixels_that_keras_prepared(small, original, backbone, tmp_path):
    chosen = small(backbone)
    theirs = original(chosen, include_top=False, pooling="avg")
    theirs.save_weights(tmp_path / "w.weights.h5")
    pixels = np.random.default_rng(0).integers(0, 256, (2, chosen.size, chosen.size, 3), dtype=np.uint8)
    prepare = getattr(import_keras().applications, PREPARED[backbone]).preprocess_input
    ours = backbones.features(replace(chosen, weights=str(tmp_path / "w.weights.h5")))
    assert np.allclose(ours(pixels), theirs(prepare(pixels.astype("float32"))), rtol=1e-3, atol=1e-4)


# ---- files of weights --------------------------------------------------------------------------


@pytest.fixture
def as_published(tmp_path):
    """(model) -> its weights in a file as those that Keras publishes: of Keras 2, layers in order."""

    def write(model):
        h5py = pytest.importorskip("h5py", reason="comes with keras")
        model.save(tmp_path / "whole.h5")
        path = tmp_path / "old.h5"
        with h5py.File(tmp_path / "whole.h5") as whole, h5py.File(path, "w") as out:
            for name in whole["model_weights"]:
                whole.copy(whole["model_weights"][name], out, name)
            for name, value in whole["model_weights"].attrs.items():
                out.attrs[name] = value
        return path

    return write


@pytest.mark.parametrize("backbone", ["mobilenet", "inception_v3"])  # named layers, numbered layers in branches
def test_files_as_keras_publishes_them_serve_with_a_head_and_without(small, original, as_published, backbone):
    chosen = small(backbone)
    with_head = original(chosen, include_top=True)
    bare = original(chosen, include_top=False)
    bare.set_weights(with_head.get_weights()[: len(bare.get_weights())])
    for model in (with_head, bare):
        ours = backbones.features(replace(chosen, weights=str(as_published(model))))
        assert backbones.weights_digest(ours) == backbones.weights_digest(bare)


def test_a_whole_model_in_an_old_file_serves_with_any_head(run, original, as_published, tmp_path):
    keras = import_keras()
    body = original(run, include_top=False, pooling="avg")
    as_published(keras.Model(body.input, keras.layers.Dense(3)(keras.layers.Dense(7)(body.output))))
    ours = backbones.features(replace(run, weights=str(tmp_path / "whole.h5")))
    assert np.array_equal(ours.get_weights()[-1], body.get_weights()[-1])


def test_an_old_file_of_another_network_is_refused(run, original, as_published):
    path = as_published(original(replace(run, alpha=0.5), include_top=False))
    with pytest.raises(DataError, match=r"old.h5: these are no weights for mobilenet with --alpha 0.25"):
        backbones.features(replace(run, weights=str(path)))


def test_resnet_weights_of_our_own_are_not_turned_round_again(small, tmp_path):
    ours = backbones.features(small("resnet50"))
    (tmp_path / "model.keras").write_bytes(canonical.keras_bytes(ours))
    again = backbones.features(replace(small("resnet50"), weights=str(tmp_path / "model.keras")))
    assert backbones.weights_digest(again) == backbones.weights_digest(ours)


def test_the_published_digests_are_those_of_keras():
    import_keras()
    from keras.src.applications import efficientnet_v2, inception_v3, resnet

    found = {*resnet.WEIGHTS_HASHES["resnet50"], *efficientnet_v2.WEIGHTS_HASHES["b0"]}
    found |= set(re.findall('file_hash="([0-9a-f]{32})"', inspect.getsource(inception_v3)))
    assert set(backbones.PUBLISHED.values()) == found


@pytest.mark.parametrize("name", backbones.PUBLISHED)
def test_a_file_with_a_published_name_and_other_bytes_is_refused(run, tmp_path, name):
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(DataError, match="has the name of a file that Keras publishes but not its content"):
        backbones.features(replace(run, weights=str(tmp_path / name)))


def test_only_mobilenets_have_a_width(small):
    with pytest.raises(DataError, match=r"--alpha 0.5: only a mobilenet has a width; leave it out for resnet50"):
        backbones.features(replace(small("resnet50"), alpha=0.5))


def test_a_width_without_published_weights_is_refused(run):
    with pytest.raises(DataError, match=r"--alpha 0.3: mobilenet has ImageNet weights for 0.25, 0.5, 0.75, 1;"):
        backbones.features(replace(run, alpha=0.3, weights="imagenet"))


@pytest.mark.parametrize(
    ("file", "backbone", "alpha"),
    [
        ("mobilenet_v1_0.5_160", "mobilenet", 0.5),
        ("mobilenet_v1_1.0_224_embedding_extractor", "mobilenet", 1.0),
        ("mobilenet_v2_1.0_224", "mobilenet_v2", 1.0),
    ],
)
def test_the_weights_at_hand_serve_as_features(run, data_dir, file, backbone, alpha):
    path = data_dir / "weights" / f"{file}.weights.h5"
    model = backbones.features(replace(run, backbone=backbone, alpha=alpha, weights=str(path)))
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert model.get_layer(index=-2).output.shape[-1] == model.output_shape[1]


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
    done = subprocess.run(command, env=os.environ | nowhere, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1
    assert "could not be fetched (is this machine on the internet?)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path(tmp_path / "out").exists()


# ---- blocks ------------------------------------------------------------------------------------


@EACH
def test_blocks_are_all_layers_between_pixels_and_pooling(small, backbone):
    model = backbones.features(small(backbone))
    found = backbones.blocks(model)
    assert [name for block in found for name in block] == [layer.name for layer in model.layers[2:-1]]
    assert len(found) == SMALL[backbone][3]


@EACH
def test_what_follows_a_block_needs_nothing_but_its_last_layer(small, backbone):
    keras = import_keras()
    model = backbones.features(small(backbone))
    found = backbones.blocks(model)
    for block in (found[0], found[len(found) // 2], found[-2]):
        rest = keras.Model(model.get_layer(block[-1]).output, model.output)  # raises where it needs more
        assert rest.output_shape == model.output_shape


@pytest.mark.parametrize("backbone", ["mobilenet", "efficientnet_v2_b0"])
def test_a_head_is_no_block(small, backbone):
    chosen = small(backbone)
    assert backbones.blocks(backbones.imagenet(chosen)) == backbones.blocks(backbones.features(chosen))


def test_the_last_blocks_are_those_next_to_the_features(run):
    found = backbones.blocks(backbones.features(run))
    assert found[-1][0] == "conv_dw_13"
    assert found[-1][-1] == "conv_pw_13_relu"
    assert found[0] == ["conv1", "conv1_bn", "conv1_relu"]
