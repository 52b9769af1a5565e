"""Models of Keras 2, written here by hand as it wrote them, become bundles with the same scores."""

import json
import zipfile

import numpy as np
import pytest

from bundle import model, store
from converter import imports
from converter.import_request import Request

pytest.importorskip("tensorflow", reason="of the train extra")
h5py = pytest.importorskip("h5py", reason="of the train extra")

FORM = "keras-json"
DICE = np.random.default_rng(5)
NORM = {name: DICE.uniform(0.5, 1.5, 4).astype("f") for name in ("gamma", "beta", "moving_mean", "moving_variance")}
KERNEL, DEPTH, HEAD = (DICE.normal(0, 0.4, shape).astype("f") for shape in ((1, 1, 3, 4), (1, 1, 4, 1), (4, 3)))
BIAS = np.array([0.1, -0.2, 0.3], "f")


def layer(kind, name, *sources, **config):
    """As Keras 2 wrote one: a node is a list of tensors."""
    nodes = [[[source, 0, 0, {}] for source in sources]] if sources else []
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def functional(layers, name="model_1", kind="Model"):
    config = {
        "name": name,
        "layers": layers,
        "input_layers": [[layers[0]["name"], 0, 0]],
        "output_layers": [[layers[-1]["name"], 0, 0]],
    }
    return {"class_name": kind, "config": config, "keras_version": "2.2.4", "backend": "tensorflow"}


def layers():
    zeros = {"class_name": "VarianceScaling", "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform"}}
    return [
        layer("InputLayer", "input_1", batch_input_shape=[None, 6, 6, 3], dtype="float32", sparse=False),
        layer("Conv2D", "conv", "input_1", filters=4, kernel_size=[1, 1], use_bias=False, kernel_initializer=zeros),
        layer("BatchNormalization", "conv/bn", "conv", axis=[3], epsilon=0.001, momentum=0.99),
        layer("Activation", "act", "conv/bn", activation="relu6"),
        layer("DepthwiseConv2D", "deep", "act", kernel_size=[1, 1], use_bias=False, groups=1, depth_multiplier=1),
        layer("ReLU", "act_1", "deep", max_value=6.0),
        layer("GlobalAveragePooling2D", "pool", "act_1", data_format="channels_last"),
        layer("Dense", "dense", "pool", units=3, activation="softmax", use_bias=True),
    ]


def nested():
    """The same with its first layers as a model within the model."""
    inner = functional(layers()[:-1], name="base", kind="Functional")
    entry = {**inner, "name": "base", "inbound_nodes": [[["input_2", 0, 0, {}]]]}
    dense = layer("Dense", "dense", "base", units=3, activation="softmax")
    dense["inbound_nodes"] = [[["base", 1, 0, {}]]]
    start = layer("InputLayer", "input_2", batch_input_shape=[None, 6, 6, 3])
    return functional([start, entry, dense], kind="Functional")


def sequential():
    inner = [{key: entry[key] for key in ("class_name", "config")} for entry in layers()[1:]]
    inner[0]["config"]["batch_input_shape"] = [None, 6, 6, 3]
    return {"class_name": "Sequential", "config": inner, "keras_version": "2.1.6", "backend": "tensorflow"}


WEIGHTS = {
    "conv": {"conv/kernel:0": KERNEL},
    "conv/bn": {f"conv/bn/{name}:0": value for name, value in NORM.items()},
    "act": {},
    "deep": {"deep/depthwise_kernel:0": DEPTH},
    "dense": {"dense/kernel:0": HEAD, "dense/bias:0": BIAS},
}
NESTED = {
    "input_2": {},
    "base": {name: value for layer in ("conv", "conv/bn", "deep") for name, value in WEIGHTS[layer].items()},
    "dense": WEIGHTS["dense"],
}


def write_h5(path, weights, content=None):
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if content else file
        if content:
            file.attrs["model_config"] = json.dumps(content).encode()
            file.attrs["keras_version"] = b"2.2.4"
        root.attrs["layer_names"] = [name.encode() for name in weights]
        for name, found in weights.items():
            group = root.create_group(name)
            group.attrs["weight_names"] = [key.encode() for key in found]
            for key, value in found.items():
                group[key] = value
    return path


def truth(pixels):
    """What these layers compute, in numpy."""
    x = pixels @ KERNEL[0, 0]
    x = (x - NORM["moving_mean"]) / np.sqrt(NORM["moving_variance"] + 0.001) * NORM["gamma"] + NORM["beta"]
    x = np.clip(np.clip(x, 0, 6) * DEPTH[0, 0, :, 0], 0, 6).mean(axis=(1, 2)) @ HEAD + BIAS
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(3).integers(0, 256, (3, 6, 6, 3), np.uint8)


@pytest.fixture
def rebuilt(run, tmp_path):
    """(content of model.json, weights, **options) -> the bundle."""

    def rebuilt(content, weights=WEIGHTS, **options):
        given = {"weights": write_h5(tmp_path / "w.h5", weights), "pixels": "-1..1", **options}
        return run(content, **given).bundle

    return rebuilt


@pytest.mark.parametrize(
    ("content", "weights"),
    [(functional(layers()), WEIGHTS), (nested(), NESTED), (sequential(), WEIGHTS)],
    ids=["functional", "nested", "sequential"],
)
def test_keras_2_scores_as_it_did(rebuilt, noise, content, weights):
    opened = model.open(rebuilt(content, weights))
    assert opened.manifest.source == "keras"
    assert opened.run(noise) == pytest.approx(truth(noise / 127.5 - 1), abs=1e-5)


def test_layers_that_counted_on_get_their_weights_by_order(rebuilt, noise):
    renamed = {f"{name}_7": {f"x/{key}": value for key, value in found.items()} for name, found in WEIGHTS.items()}
    assert model.open(rebuilt(functional(layers()), renamed)).run(noise) == pytest.approx(
        truth(noise / 127.5 - 1), abs=1e-5
    )


def test_whole_model_in_h5_is_taken(tmp_path, noise):
    path = write_h5(tmp_path / "old.h5", WEIGHTS, functional(layers()))
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    found = imports.main(Request(form="keras", source=path, out=tmp_path / "out", pixels="-1..1"))
    assert model.open(found.bundle).run(noise) == pytest.approx(truth(noise / 127.5 - 1), abs=1e-5)


def test_sums_and_products_written_as_functions_become_layers(rebuilt, noise):
    start, *rest = layers()
    steps = [("math.truediv", 127.5), ("math.subtract", 1.0)]
    calls, before = [], "input_1"
    for function, number in steps:
        call = layer("TFOpLambda", f"tf.{function}", function=function)
        call["inbound_nodes"] = [[before, 0, 0, {"y": number, "name": None}]]
        calls, before = [*calls, call], call["name"]
    rest[0]["inbound_nodes"] = [[[before, 0, 0, {}]]]
    assert model.open(rebuilt(functional([start, *calls, *rest]), pixels=None)).run(noise) == pytest.approx(
        truth(noise / 127.5 - 1), abs=1e-5
    )


def changed(at, **entry):
    found = layers()
    found[at] = {**found[at], **entry, "config": {**found[at]["config"], **entry.get("config", {})}}
    return functional(found)


def two_inputs():
    found = layers()
    other = layer("InputLayer", "age", batch_input_shape=[None, 4])
    join = layer("Add", "join", "pool", "age")
    found[-1]["inbound_nodes"] = [[["join", 0, 0, {}]]]
    content = functional([*found[:-1], other, join, found[-1]])
    content["config"]["input_layers"].append(["age", 0, 0])
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (changed(3, class_name="Lambda"), "layer 'act' (Lambda): is Python code in a file"),
        (changed(3, class_name="MySwirl"), "layer 'act' (MySwirl): is no layer that is imported"),
        (changed(3, class_name="TFOpLambda", config={"function": "io.read_file"}), "calls tf.io.read_file"),
        (
            changed(3, config={"activation": "my_function"}),
            "layer 'act' (Activation): uses the activation 'my_function'",
        ),
        (changed(3, config={"activation": "hard_sigmoid"}), "another function in Keras 3"),
        (changed(1, config={"data_format": "channels_first"}), "channels first"),
        (two_inputs(), "has 2 inputs"),
        (changed(0, config={"batch_input_shape": [None, 60000, 60000, 3]}), "a side of at most 4096 wanted"),
        (json.dumps(functional(layers()))[:-60], "not JSON"),
        ({"class_name": "Model", "config": {"layers": []}}, "is no model that Keras 2 wrote"),
        ({"class_name": "System", "config": {}, "backend": "x"}, "is a System"),
    ],
    ids=["lambda", "custom", "function", "activation", "hard", "first", "inputs", "huge", "cut", "empty", "class"],
)
def test_what_is_not_imported_is_refused_by_name(rebuilt, content, words, reason):
    assert words in reason(rebuilt, content)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (
            {**WEIGHTS, "conv": {"conv/kernel:0": KERNEL[..., :2]}},
            "layer 'conv' has weights 1 x 1 x 3 x 2 there, 1 x 1 x 3 x 4",
        ),
        ({"conv": WEIGHTS["conv"]}, "has weights for 1 layers, 4 wanted; the model's 'conv/bn' is not there"),
        ({**WEIGHTS, "more": {"more/kernel:0": HEAD}}, "weights for the layer 'more', which the model has not"),
    ],
    ids=["shape", "few", "many"],
)
def test_weights_of_another_model_are_refused_by_layer(rebuilt, weights, words, reason):
    assert words in reason(rebuilt, functional(layers()), weights)


def request(tmp_path, **options):
    (tmp_path / "model.json").write_text(json.dumps(functional(layers())))
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    given = {"form": "keras-json", "source": tmp_path / "model.json", "out": tmp_path / "out", "pixels": "0..1"}
    return lambda: imports.main(Request(**{**given, **options}))


def test_json_without_weights_is_refused(tmp_path, reason):
    assert "give them with --weights" in reason(request(tmp_path))


def test_weights_that_are_not_there_are_refused(tmp_path, reason):
    assert "w.h5: no such file" in reason(request(tmp_path, weights=tmp_path / "w.h5"))


def test_cut_weights_are_refused(tmp_path, reason):
    whole = write_h5(tmp_path / "w.h5", WEIGHTS).read_bytes()
    (tmp_path / "w.h5").write_bytes(whole[: len(whole) // 2])
    assert "is no whole HDF5 file" in reason(request(tmp_path, weights=tmp_path / "w.h5"))


@pytest.mark.parametrize("names", [5, [b"\xff\xfe"]], ids=["number", "no words"])
def test_damaged_list_of_layers_is_refused(tmp_path, reason, names):
    path = write_h5(tmp_path / "w.h5", WEIGHTS)
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = names
    assert "cannot be read" in reason(request(tmp_path, weights=path))


def test_weights_of_a_failed_training_are_refused(rebuilt, reason):
    bad = {**WEIGHTS["dense"], "dense/bias:0": BIAS * np.nan}
    assert "its scores are not finite" in reason(rebuilt, functional(layers()), {**WEIGHTS, "dense": bad})


def test_weights_that_lead_to_another_file_are_refused(tmp_path, reason):
    path = write_h5(tmp_path / "w.h5", WEIGHTS)
    write_h5(tmp_path / "secret.h5", WEIGHTS)
    with h5py.File(path, "a") as file:
        del file["conv"]["conv/kernel:0"]
        file["conv"]["conv/kernel:0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "conv/conv/kernel:0")
    assert "missing or a link" in reason(request(tmp_path, weights=path))


def test_one_score_becomes_two(rebuilt, noise):
    content = changed(-1, config={"units": 1, "activation": "sigmoid"})
    weights = {**WEIGHTS, "dense": {"dense/kernel:0": HEAD[:, :1], "dense/bias:0": BIAS[:1]}}
    opened = model.open(rebuilt(content, weights, labels="cat\ndog\n"))
    rows = opened.run(noise)
    assert (opened.manifest.scores, rows.shape) == ("softmax", (3, 2))
    assert rows.sum(axis=1) == pytest.approx(1)


def test_one_score_that_may_be_no_probability_is_refused(rebuilt, reason):
    content = changed(-1, config={"units": 1, "activation": "linear"})
    weights = {**WEIGHTS, "dense": {"dense/kernel:0": 0 * HEAD[:, :1], "dense/bias:0": BIAS[:1]}}
    assert "comes out of no sigmoid; add --logits" in reason(rebuilt, content, weights, labels="cat\ndog\n")
    assert store.verify(rebuilt(content, weights, labels="cat\ndog\n", logits=True)).scores == "softmax"


def test_keras_files_of_keras_2_are_taken(tmp_path, noise):
    """Keras 2.12 to 2.15: a zip whose layers are numbered by their class."""
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for name, values in {
            "conv2d": [KERNEL],
            "batch_normalization": NORM.values(),
            "depthwise_conv2d": [DEPTH],
            "dense": [HEAD, BIAS],
        }.items():
            for at, value in enumerate(values):
                file[f"layers/{name}/vars/{at}"] = value
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "2.15.0"}')
        archive.writestr("config.json", json.dumps(functional(layers(), kind="Functional")))
        archive.write(tmp_path / "w.h5", "model.weights.h5")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    found = imports.main(Request(form="keras", source=tmp_path / "old.keras", out=tmp_path / "out", pixels="-1..1"))
    assert model.open(found.bundle).run(noise) == pytest.approx(truth(noise / 127.5 - 1), abs=1e-5)
