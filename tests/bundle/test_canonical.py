"""The same model gives the same bytes, however it was made, named and ordered."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bundle import canonical, tensorflow_process
from bundle.engine import keras_any, onnx_cpu
from bundle.errors import BundleError

onnx = pytest.importorskip("onnx", reason="of the train extra")
from onnx import helper, numpy_helper  # noqa: E402

ROOT = Path(__file__).parents[2]

# Run in a process of its own, where these are the first layers there are, and in this one, where they are not.
DIGEST = """
import hashlib
import numpy as np
from bundle import canonical
from bundle.engine import keras_any

def digest():
    keras = keras_any.import_keras()
    pixels = keras.Input((8, 8, 3), dtype="uint8", name="pixels")
    act = keras.layers.ReLU(name="act")
    x = keras.layers.Rescaling(1 / 127.5, -1, name="scale")(pixels)
    x = act(keras.layers.Conv2D(4, 3, name="conv")(x))
    x = act(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    scores = keras.layers.Dense(3, "softmax", name="head")(x)
    model = keras.Model(pixels, scores, name="tiny")
    dice = np.random.default_rng(7)  # backends draw other numbers from the same seed
    model.set_weights([dice.uniform(0.1, 1, weight.shape).astype("float32") for weight in model.get_weights()])
    return hashlib.sha256(canonical.keras_bytes(model)).hexdigest()
"""


def renamed(model, seed):
    """The same graph with the nodes in another (still valid or not) order, and every name another."""
    words = random.Random(seed)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    names = {name: f"x{words.random()}" for node in copy.graph.node for name in (*node.input, *node.output)}
    for node in copy.graph.node:
        node.name = f"node{words.random()}"
        node.input[:], node.output[:] = [names[x] for x in node.input], [names[x] for x in node.output]
    for value in (*copy.graph.input, *copy.graph.output, *copy.graph.initializer):
        value.name = names[value.name]
    nodes, weights = (words.sample(list(part), len(part)) for part in (copy.graph.node, copy.graph.initializer))
    del copy.graph.node[:], copy.graph.initializer[:]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(weights)
    return copy


@pytest.fixture
def graph(parts):
    return onnx.load_from_string(parts.models["model.onnx"])


@pytest.mark.parametrize("seed", range(5))
def test_onnx_bytes_do_not_hang_on_names_and_order(parts, graph, seed):
    assert canonical.onnx_bytes(renamed(graph, seed), "scores", 3) == parts.models["model.onnx"]


def test_onnx_bytes_of_canonical_bytes_are_the_same(parts, graph):
    assert canonical.onnx_bytes(graph, "scores", 3) == parts.models["model.onnx"]


def test_onnx_bytes_drop_nodes_and_weights_that_nothing_needs(parts, graph):
    graph.graph.node.append(helper.make_node("Relu", ["unused"], ["nothing"]))
    graph.graph.initializer.append(numpy_helper.from_array(np.ones(9, np.float32), "unused"))
    assert canonical.onnx_bytes(graph, "scores", 3) == parts.models["model.onnx"]


def test_onnx_bytes_drop_who_made_the_file_and_when(parts, graph):
    graph.producer_version, graph.doc_string = "2026-11-21", "made on a Saturday"
    graph.graph.doc_string = graph.graph.node[0].doc_string = graph.graph.initializer[0].doc_string = "words"
    assert canonical.onnx_bytes(graph, "scores", 3) == parts.models["model.onnx"]


def test_onnx_bytes_differ_where_a_weight_does(parts, graph):
    graph.graph.initializer[-1].raw_data = bytes(len(graph.graph.initializer[-1].raw_data))
    assert canonical.onnx_bytes(graph, "scores", 3) != parts.models["model.onnx"]


def test_onnx_input_and_output_have_the_names_of_the_contract(parts, graph):
    found = onnx.load_from_string(canonical.onnx_bytes(renamed(graph, 1), "features", 3)).graph
    assert ([value.name for value in found.input], [value.name for value in found.output]) == (["pixels"], ["features"])


def test_onnx_model_of_two_inputs_is_refused(graph):
    graph.graph.input.append(helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, [1]))
    with pytest.raises(BundleError, match="2 inputs and 1 outputs, one of each wanted"):
        canonical.onnx_bytes(graph, "scores", 3)


def loaded(data):
    return onnx.load_from_string(data)


def dense(*widths):
    """Layers from 3 features through `widths`, with some answers of the hidden ones below zero."""
    rng = np.random.default_rng(0)
    sizes = zip((3, *widths[:-1]), widths, strict=True)
    kernels = [
        (rng.normal(size=size).astype(np.float32), rng.normal(size=size[1]).astype(np.float32)) for size in sizes
    ]
    return [SimpleNamespace(kernel=kernel, bias=bias) for kernel, bias in kernels]


@pytest.mark.parametrize("scores", ["softmax", "sigmoid"])
@pytest.mark.parametrize("widths", [(4,), (8, 4), (8, 5, 4)])
def test_head_on_features_gives_scores(onnx, spec, scores, widths):
    layers = dense(*widths)
    model = canonical.onnx_with_head(onnx("Identity"), layers, scores=scores)
    seen, rows = (onnx_cpu.load(data, spec, n).run(pictures(2)) for data, n in ((onnx("Identity"), 3), (model, 4)))
    for layer in layers[:-1]:
        seen = np.maximum(seen @ layer.kernel + layer.bias, 0)
    grown = np.exp(seen @ layers[-1].kernel + layers[-1].bias)
    wanted = grown / (grown.sum(1, keepdims=True) if scores == "softmax" else 1 + grown)
    assert np.abs(rows - wanted).max() < 1e-6


def test_the_same_head_on_the_same_features_is_the_same_bytes(onnx):
    first, second = (canonical.onnx_with_head(onnx("Identity"), dense(8, 4), scores="softmax") for _ in range(2))
    assert first == second
    assert canonical.onnx_bytes(renamed(loaded(first), 0), "scores", 4) == first


def pictures(count):
    return np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), np.uint8)


# ---- Keras ---------------------------------------------------------------------------------


def test_keras_bytes_are_the_same_in_another_process_behind_other_layers(keras_model):
    command = [sys.executable, "-c", f"{DIGEST}\nprint(digest())"]
    alone = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=600, check=True).stdout
    here: dict[str, Any] = {}
    exec(DIGEST, here)
    assert here["digest"]() == alone.strip()


def test_keras_bytes_are_the_same_when_saved_again(keras_model):
    first, second = (hashlib.sha256(canonical.keras_bytes(keras_model)).hexdigest() for _ in range(2))
    assert first == second


def test_keras_bytes_can_be_loaded_and_saved_again(keras_model, tmp_path):
    (tmp_path / "model.keras").write_bytes(canonical.keras_bytes(keras_model))
    again = keras_any.import_keras().models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert canonical.keras_bytes(again) == canonical.keras_bytes(keras_model)


def test_onnx_from_keras_agrees_with_keras(keras_model, keras_onnx, spec):
    engines = keras_any.from_model(keras_model, spec, 3, "here"), onnx_cpu.load(keras_onnx, spec, 3)
    first, second = (engine.run(pictures(5)) for engine in engines)
    assert np.abs(first - second).max() < 1e-5


def test_onnx_from_keras_is_the_same_each_time(keras_model, keras_onnx):
    assert canonical.onnx_from_keras(keras_model, "scores") == keras_onnx


# ---- on another backend --------------------------------------------------------------------

ONNX = DIGEST.replace("canonical.keras_bytes(model)", 'canonical.onnx_from_keras(model, "scores")')


def test_onnx_has_the_same_bytes_on_tensorflow_and_on_jax():
    pytest.importorskip("jax", reason="of the dev extra")
    here: dict[str, Any] = {}
    exec(ONNX, here)
    backend = keras_any.import_keras().backend.backend()
    other = {**os.environ, "KERAS_BACKEND": "jax" if backend == "tensorflow" else "tensorflow"}
    command = [sys.executable, "-c", f"{ONNX}\nprint(digest())"]
    there = subprocess.run(command, cwd=ROOT, env=other, stdout=subprocess.PIPE, text=True, timeout=600, check=True)
    assert here["digest"]() == there.stdout.strip()


def test_what_tensorflow_s_process_cannot_read_is_one_sentence():
    with pytest.raises(BundleError, match=r"^TensorFlow's process made no ONNX: [^\n]+$"):
        tensorflow_process.onnx(b"no archive", "scores")


def test_tensorflow_s_process_ends_with_its_parent(keras_model, tmp_path):
    source, made = tmp_path / "model.keras", tmp_path / "model.onnx"
    source.write_bytes(canonical.keras_bytes(keras_model))
    command = [sys.executable, "-m", "bundle.tensorflow_process", str(source), "scores", str(made)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
    process.stdin.close()  # as the system does for a parent that was killed
    assert process.wait(60) == 1
    assert not made.exists()
