"""ONNX from elsewhere becomes a bundle: its layout, range, batch and scores as they come."""

from pathlib import Path

import numpy as np
import pytest

from bundle import model, store
from bundle.errors import BundleError, DataError
from converter import imports
from converter.import_request import Request

onnx = pytest.importorskip("onnx", reason="of the train extra")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

PIECES = next((Path(__file__).parents[2] / "server" / "bundles").glob("pieces-????????"))
FORM = "onnx"
RGB = "red\ngreen\nblue\n"


def graph(nodes, shape, *, kind=TensorProto.FLOAT, out=("n", 3), opset=18, more=(), domain=""):
    """A network from `x` to `y` with a kernel `w` (3, 3) and what is in `more`."""
    weights = {"w": np.eye(3, dtype=np.float32) * 4, **dict(more)}
    made = helper.make_graph(
        [helper.make_node(op, read, [written], **attributes) for op, read, written, attributes in nodes],
        "other",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def first(shape=("n", 3, 8, 8), **options):
    """Channels first: the mean of each colour, softmax."""
    nodes = [
        ("GlobalAveragePool", ["x"], "pool", {}),
        ("Flatten", ["pool"], "flat", {"axis": 1}),
        ("MatMul", ["flat", "w"], "logits", {}),
        ("Softmax", ["logits"], "y", {"axis": -1}),
    ]
    return graph(nodes, shape, **options)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(3).integers(0, 256, (5, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("0..1", lambda x: x / 255),
        ("-1..1", lambda x: x / 127.5 - 1),
        ("100,120,140/50,60,70", lambda x: (x - [100, 120, 140]) / [50, 60, 70]),
        ("caffe", lambda x: x[..., ::-1] - [103.939, 116.779, 123.68]),
    ],
)
def test_pixels_become_what_the_network_was_trained_on(run, noise, name, seen):
    opened = model.open(run(first(), pixels=name).bundle)
    assert opened.run(noise) == pytest.approx(softmax(seen(noise.astype(float)).mean(axis=(1, 2)) * 4), abs=1e-4)


def test_unknown_range_is_refused_with_the_choices(run, reason):
    assert "--pixels: 0..255 (as they are), 0..1, -1..1, caffe" in reason(run, first())


def test_network_that_divides_by_255_takes_pixels_as_they_are(run):
    nodes = [
        ("Div", ["x", "d"], "small", {}),
        ("ReduceMean", ["small", "axes"], "flat", {"keepdims": 0}),
        ("Softmax", ["flat"], "y", {"axis": -1}),
    ]
    found = run(graph(nodes, ["n", 8, 8, 3], more={"d": np.float32(255), "axes": np.array([1, 2])}))
    assert "pixels: 0..255, as it begins" in found.notes


def test_batch_of_one_is_freed(run, noise):
    nodes = [
        ("GlobalAveragePool", ["x"], "pool", {}),
        ("Reshape", ["pool", "shape"], "flat", {}),
        ("Softmax", ["flat"], "y", {"axis": -1}),
    ]
    made = graph(nodes, [1, 3, 8, 8], out=[1, 3], more={"shape": np.array([1, 3])})
    opened = model.open(run(made, pixels="0..1").bundle)
    assert opened.run(noise) == pytest.approx(softmax(noise.mean(axis=(1, 2)) / 255), abs=1e-5)


def test_batch_that_cannot_be_freed_is_refused(run, reason):
    nodes = [
        ("GlobalAveragePool", ["x"], "pool", {}),
        ("Concat", ["pool", "other"], "both", {"axis": 1}),
        ("Flatten", ["both"], "flat", {"axis": 1}),
        ("Softmax", ["flat"], "y", {"axis": -1}),
    ]
    made = graph(nodes, [1, 3, 8, 8], out=[1, 4], more={"other": np.zeros((1, 1, 1, 1), np.float32)})
    assert "one picture and on three" in reason(run, made, labels=RGB + "grey\n", pixels="0..1")


def test_logits_are_refused_until_somebody_says_so(run, noise, reason):
    made = first()
    del made.graph.node[-1]
    made.graph.node[-1].output[0] = "y"
    assert "add --logits" in reason(run, made, pixels="0..255")
    opened = model.open(run(made, pixels="0..1", logits=True).bundle)
    assert opened.run(noise) == pytest.approx(softmax(noise.mean(axis=(1, 2)) / 255 * 4), abs=1e-5)


def test_old_opsets_and_weights_among_the_inputs_are_taken(run):
    made = first(opset=11)
    made.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 3]))
    made.graph.node[-1].attribute[0].i = 1
    assert store.verify(run(made, pixels="0..1").bundle).source == "onnx"


def test_sigmoid_scores_have_thresholds(run):
    made = first()
    made.graph.node[-1].op_type = "Sigmoid"
    del made.graph.node[-1].attribute[:]
    manifest = store.verify(run(made, pixels="0..1", threshold=0.25).bundle)
    assert (manifest.scores, manifest.thresholds, manifest.training) == ("sigmoid", (0.25,) * 3, None)


def test_open_size_has_to_be_said(run, reason):
    made = first(("n", 3, "h", "w"))
    assert "--size" in reason(run, made, pixels="0..1")
    assert store.verify(run(made, pixels="0..1", size=(6, 9)).bundle).preprocess.width == 9


@pytest.mark.parametrize(
    ("labels", "words"),
    [("red\ngreen\n", ["3 outputs", "2 labels", "--background"]), (RGB + "grey\n", ["3 outputs", "4 labels"])],
)
def test_wrong_number_of_labels_is_refused_with_both(run, labels, words, reason):
    said = reason(run, first(), labels=labels, pixels="0..1")
    assert all(word in said for word in words)


def test_output_of_no_label_is_called_background(run):
    found = run(first(), labels="red\ngreen\n", pixels="0..1", background=True)
    assert store.read_labels(found.bundle) == ("background", "red", "green")


def test_bundle_of_ours_comes_back_with_the_same_scores(run, tmp_path):
    found = run((PIECES / "model.onnx").read_bytes(), labels=(PIECES / "labels.txt").read_text(), name="pieces")
    assert (found.bundle / "model.onnx").read_bytes() == (PIECES / "model.onnx").read_bytes()


def strange(**options):
    made = first(**options)
    made.graph.node[0].op_type, made.graph.node[0].name = "Swirl", "n7"
    return made


def with_two_inputs():
    made = first()
    made.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, ["n", 3]))
    made.graph.node[2].input[0] = "age"
    return made


def outside():
    made = first()
    weight = made.graph.initializer[0]
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")
    return made


def diced():
    made = first()
    made.graph.node[0].CopyFrom(helper.make_node("RandomUniformLike", ["x"], ["pool"]))
    return made


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: first().SerializeToString()[:-40], "is no whole ONNX file"),
        (lambda: b"", "is no ONNX model"),
        (strange, "the operator Swirl is not of the ONNX standard"),
        (diced, "RandomUniformLike gives another answer each time"),
        (with_two_inputs, "the inputs x, age"),
        (outside, "keeps the weight 'w' in another file"),
        (lambda: first(("n", 4, 8, 8)), "n x h x w x 3 or n x 3 x h x w wanted"),
        (lambda: first(kind=TensorProto.INT64), "takes no pixels"),
    ],
    ids=["cut", "empty", "unknown", "dice", "inputs", "outside", "channels", "whole"],
)
def test_what_is_no_classifier_is_refused(run, made, words, reason):
    assert words in reason(run, made(), pixels="0..1")


@pytest.mark.parametrize("suffix", [".tflite", ".mlmodel", ".mlpackage", ".pt", ".pkl"])
def test_formats_that_do_not_come_back_are_refused_with_those_that_do(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    with pytest.raises(BundleError, match="do not come back; imported are .onnx, .keras"):
        imports.main(Request(form="onnx", source=path, out=tmp_path))


def test_operator_named_in_no_utf_8_is_refused(run, reason):
    damaged = first().SerializeToString().replace(b"Softmax", b"Soft\xffax")
    assert "names operators in no UTF-8" in reason(run, damaged, pixels="0..1")


def test_range_that_nothing_confirms_is_said_so(run):
    assert any(note.startswith("pixels: 0..1 as you say, which nothing") for note in run(first(), pixels="0..1").notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threshold": 0.3}, "--threshold is for sigmoid scores"),
        ({"name": "a b"}, "--name a b: letters"),
        ({"background": True}, "leave --background away"),
    ],
)
def test_option_that_fits_nothing_is_refused(run, reason, options, words):
    assert words in reason(run, first(), pixels="0..1", **options)


def test_folder_that_is_a_file_is_refused_before_the_work(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(BundleError, match="out: is no folder; choose another with --out"):
        imports.main(Request(form="onnx", source=tmp_path / "none.onnx", out=tmp_path / "out" / "deeper"))


def test_golden_pictures_may_be_given_and_must_be_pictures(run, tmp_path, png):
    folder = tmp_path / "golden"
    folder.mkdir()
    (folder / "a.png").write_bytes(png)
    assert run(first(), pixels="0..1", golden=folder).bundle.is_dir()
    (folder / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="notes.txt: the bytes are no picture"):
        run(first(), pixels="0..1", golden=folder)


def test_name_in_the_file_becomes_one_that_a_bundle_may_have(run):
    made = first()
    helper.set_model_props(made, {"name": "../My model"})
    assert run(made, pixels="0..1").bundle.name.startswith("My-model-")


def test_command_says_what_to_do_next(imago, tmp_path, png):
    (tmp_path / "other.onnx").write_bytes(first().SerializeToString())
    (tmp_path / "l.txt").write_text(RGB)
    (tmp_path / "a.png").write_bytes(png)
    words = ["import", "--onnx", tmp_path / "other.onnx", "--labels", tmp_path / "l.txt", "--out", tmp_path / "out"]
    done = imago(*words, "--pixels", "0..1")
    bundle = next((tmp_path / "out").iterdir())
    assert f"serve    imago serve --bundle {bundle}" in done.stdout
    assert imago("predict", bundle, tmp_path / "a.png").returncode == 0


def test_command_wants_one_source(imago):
    assert "one of --keras-json, --keras" in imago("import").stderr
