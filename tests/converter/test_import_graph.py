"""Frozen TensorFlow graphs become bundles: retrain's of TF 1, and those that are frozen today; what is more than arithmetic does not."""

from pathlib import Path

import numpy as np
import pytest

from bundle import model, store

tf = pytest.importorskip("tensorflow", reason="of the train extra")
pytest.importorskip("tf2onnx", reason="of the train extra")

FORM = "graphdef"
v1 = tf.compat.v1
PIECES = next((Path(__file__).parents[2] / "server" / "bundles").glob("pieces-????????"))
DICE = np.random.default_rng(5)
KERNEL, HEAD = DICE.normal(0, 0.5, (3, 3, 3, 5)).astype("f"), DICE.normal(0, 0.5, (5, 3)).astype("f")


def attribute(node, **values):
    for key, value in values.items():
        setattr(node.attr[key], "i" if type(value) is int else "f" if type(value) is float else "b", value)
    return node


def retrained():
    """As retrain.py wrote them: a picture is decoded, resized and scaled for one batch of one; weights are checked; old operations."""
    graph = tf.Graph()
    with graph.as_default():
        content = tf.constant(b"", name="DecodeJpeg/contents")
        decoded = tf.cast(tf.io.decode_jpeg(content, channels=3, name="DecodeJpeg"), tf.float32, name="Cast")
        resized = v1.image.resize_bilinear(tf.expand_dims(decoded, 0), [9, 9], name="ResizeBilinear")
        x = tf.multiply(tf.subtract(resized, 128.0), 1 / 128, name="Mul")
        weights = tf.constant(KERNEL, name="conv/weights")
        with tf.control_dependencies([tf.debugging.check_numerics(weights, "bad", name="conv/CheckNumerics")]):
            weights = tf.identity(weights, name="conv/control_dependency")
        x = tf.nn.conv2d(x, weights, 1, "SAME", name="conv/Conv2D")
        parts = [tf.constant(DICE.uniform(0.5, 1.5, 5).astype("f"), name=f"conv/p{at}") for at in range(4)]
        x = tf.nn.relu(tf.identity(x, name="conv/batchnorm"), name="conv")
        pool = tf.nn.avg_pool2d(x, 9, 1, "VALID", name="pool_3")
        flat = tf.reshape(pool, [1, 5], name="pool_3/_reshape")
        head = v1.placeholder_with_default(flat, [None, 5], name="input/BottleneckInputPlaceholder")
        tf.nn.softmax(tf.matmul(head, tf.constant(HEAD)), name="final_result")
    found = graph.as_graph_def()
    found.versions.producer = 8  # before the operation below was taken out
    norm = next(node for node in found.node if node.name == "conv/batchnorm")
    norm.op = "BatchNormWithGlobalNormalization"
    norm.input.extend(part.op.name for part in parts)
    attribute(norm, variance_epsilon=0.001, scale_after_normalization=True)
    return found


def frozen(shape=(None, 9, 9, 3), *, kind=tf.float32, name="input", end=tf.nn.softmax):
    graph = tf.Graph()
    with graph.as_default():
        x = tf.cast(v1.placeholder(kind, shape, name=name), tf.float32)
        x = tf.reduce_mean(tf.nn.conv2d(x, tf.constant(KERNEL), 1, "SAME"), [1, 2])
        end(tf.matmul(x, tf.constant(HEAD)), name="probabilities")
    return graph.as_graph_def()


def truth(graph, feed, target):
    """Row by row, by TensorFlow itself."""
    with v1.Session(graph=tf.Graph()) as session:
        v1.import_graph_def(graph, name="")
        return np.concatenate([session.run(target, {feed: row[None]}) for row in NOISE])


NOISE = np.random.default_rng(3).integers(0, 256, (3, 9, 9, 3), np.uint8)


def test_retrained_graph_scores_as_in_tensorflow(run):
    graph = retrained()
    found = run(graph)
    opened = model.open(found.bundle)
    wanted = truth(graph, "ResizeBilinear:0", "final_result:0")
    assert opened.run(NOISE) == pytest.approx(wanted, abs=1e-5)
    assert (opened.manifest.source, opened.labels) == ("onnx", ("red", "green", "blue"))
    assert any(note.startswith("pixels: 0..255") for note in found.notes)


def test_graph_may_be_cut_where_somebody_says(run):
    graph = retrained()
    found = run(graph, input="Mul:0", size=(9, 9), pixels="128/128")
    wanted = truth(graph, "ResizeBilinear:0", "final_result:0")
    assert model.open(found.bundle).run(NOISE) == pytest.approx(wanted, abs=1e-5)


def test_placeholder_is_found(run):
    graph = frozen()
    opened = model.open(run(graph, pixels="0..1").bundle)
    assert opened.run(NOISE) == pytest.approx(softmax_of(NOISE / np.float32(255)), abs=1e-5)


def softmax_of(pixels):
    with tf.Graph().as_default(), v1.Session() as session:
        x = tf.reduce_mean(tf.nn.conv2d(pixels.astype("f"), tf.constant(KERNEL), 1, "SAME"), [1, 2])
        return session.run(tf.nn.softmax(tf.matmul(x, tf.constant(HEAD))))


def test_pixels_of_8_bits_need_no_range(run):
    found = run(frozen(kind=tf.uint8, name="pixels"))
    assert "pixels: 0..255, as its input says" in found.notes


def test_open_size_has_to_be_said(run, reason):
    graph = frozen((None, None, None, 3))
    assert "--size" in reason(run, graph, pixels="0..1")
    assert store.verify(run(graph, pixels="0..1", size=(7, 8)).bundle).preprocess.width == 8


def test_several_ends_are_listed(run, reason):
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder(tf.float32, [None, 9, 9, 3], name="input")
        tf.nn.softmax(tf.reduce_mean(x, [1, 2]), name="one")
        tf.nn.sigmoid(tf.reduce_mean(x, [1, 2]), name="two")
    assert "ends in one, two; name the scores with --output" in reason(run, graph.as_graph_def(), pixels="0..1")
    assert store.verify(run(graph.as_graph_def(), pixels="0..1", output="two:0").bundle).scores == "sigmoid"


def reading():
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder(tf.float32, [None, 3, 3, 3], name="input")
        secret = tf.cast(tf.strings.length(tf.io.read_file("/etc/passwd")), tf.float32)
        tf.nn.softmax(tf.reduce_mean(x, [1, 2]) + secret, name="final_result")
    return graph.as_graph_def()


def calling():
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder(tf.float32, [None, 3, 3, 3], name="input")
        y = v1.py_func(lambda pixels: pixels, [x], tf.float32, name="call")
        tf.nn.softmax(tf.reduce_mean(tf.reshape(y, [-1, 3, 3, 3]), [1, 2]), name="final_result")
    return graph.as_graph_def()


def first():
    """Channels before height and width."""
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder(tf.float32, [None, 3, 9, 9], name="input")
        tf.nn.softmax(tf.reduce_mean(x, [2, 3]), name="final_result")
    return graph.as_graph_def()


def hiding():
    found = frozen()
    function = found.library.function.add()
    function.signature.name = "hidden"
    node = function.node_def.add()
    node.name, node.op = "write", "WriteFile"
    return found


def two_inputs():
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder(tf.float32, [None, 3, 3, 3], name="input")
        age = v1.placeholder(tf.float32, [None, 3], name="age")
        tf.nn.softmax(tf.reduce_mean(x, [1, 2]) + age, name="final_result")
    return graph.as_graph_def()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (reading, "operation ReadFile is not imported"),
        (calling, "operation PyFunc is not imported"),
        (hiding, "function 'hidden': node 'write': the operation WriteFile"),
        (two_inputs, "takes age besides input"),
        (first, "the input 'input' is ? x 3 x 9 x 9; n x h x w x 3 wanted"),
        (lambda: frozen().SerializeToString()[:-30], "is no whole GraphDef"),
        (lambda: b"", "without nodes"),
    ],
    ids=["ReadFile", "PyFunc", "library", "inputs", "first", "cut", "empty"],
)
def test_what_is_more_than_arithmetic_is_refused_by_name(run, made, words, reason):
    assert words in reason(run, made(), pixels="0..1")


def test_number_for_training_is_left_at_its_default(run):
    graph = tf.Graph()
    with graph.as_default():
        x = v1.placeholder(tf.float32, [None, 3, 3, 3], name="input")
        keep = v1.placeholder_with_default(1.0, [], name="keep_prob")
        tf.nn.softmax(tf.reduce_mean(x, [1, 2]) * keep, name="final_result")
    assert store.verify(run(graph.as_graph_def(), pixels="0..1").bundle).source == "onnx"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input": "probabilities"}, "is the pixels and the scores"),
        ({"input": "Const", "size": (9, 9)}, "takes input besides Const"),
    ],
)
def test_cut_that_makes_no_network_is_refused(run, reason, options, words):
    assert words in reason(run, frozen(), pixels="0..1", **options)


def test_damaged_node_is_refused(run, reason):
    graph = retrained()
    assert "is no graph that TensorFlow wrote" in reason(run, graph, input="DecodeJpeg", size=(9, 9))


@pytest.mark.parametrize("option", ["input", "output"])
def test_node_that_is_not_there_is_refused(run, option, reason):
    assert f"has no node 'nowhere' for --{option}" in reason(run, frozen(), pixels="0..1", **{option: "nowhere:0"})


def test_wrong_number_of_labels_is_refused_with_both(run, reason):
    assert "has 3 outputs and there are 2 labels" in reason(run, frozen(), labels="a\nb\n", pixels="0..1")


def test_bundle_frozen_by_tensorflow_comes_back_with_the_same_scores(run):
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from converter.subject import open_subject

    subject = open_subject(PIECES)
    graph = convert_variables_to_constants_v2(subject.program()).graph.as_graph_def()
    found = run(graph, labels=(PIECES / "labels.txt").read_text(), name="pieces")
    noise = np.random.default_rng(3).integers(0, 256, (3, 96, 96, 3), np.uint8)
    assert np.abs(model.open(found.bundle).run(noise) - model.open(PIECES).run(noise)).max() <= 1e-5
