"""Models without a network: what they answer hangs on the mean colour of a picture, and can be reckoned by hand."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from bundle import canonical

COLORS = ("red", "green", "blue")


def onnx(activation="Softmax", labels=3, side=8):
    """Mean red, green and blue, each a score of its own: (n, side, side, 3) -> (n, labels), canonical."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "kernel"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node(activation, ["logits"], ["scores"]),
    ]
    weights = {
        "axes": np.array([1, 2], np.int64),
        "kernel": (np.eye(3, labels) / 50).astype(np.float32),
        "bias": np.full(labels, -2.5, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", side, side, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", labels])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return canonical.onnx_bytes(model, "scores", labels)


def xml_onnx(names, *, side=8, work=0, end=1.0):
    """encoder.onnx and step.onnx without a network: every token has a logit that hangs on the mean colour and stays the same,
    and that of the end of an element grows by `end` a token. `work` is the side of a matrix that is multiplied each step."""
    count = len(names)
    kernel = np.random.default_rng(7).normal(0, 0.01, (3, count)).astype(np.float32)
    for at, name in enumerate(names):
        if name in COLORS:
            kernel[:, at] = 0.02 * (np.arange(3) == COLORS.index(name))
        elif name == "<box>":
            kernel[:, at] = 0.005
        elif name == "</>":
            kernel[:, at] = 0
    grows = np.array([end * (name == "</>") for name in names], np.float32)

    def made(nodes, weights, inputs, outputs):
        graph = helper.make_graph(
            [helper.make_node(op, read, [written], **more) for op, read, written, more in nodes],
            "tiny",
            [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        return model.SerializeToString(deterministic=True)

    memory = [("memory_keys", [1, "k", 1, count, 1]), ("memory_values", [1, "k", 1, 1, count])]
    encoder = made(
        [
            ("Cast", ["pixels"], "floats", {"to": TensorProto.FLOAT}),
            ("ReduceMean", ["floats", "axes"], "means", {"keepdims": 0}),
            ("MatMul", ["means", "kernel"], "logits", {}),
            ("Reshape", ["logits", "wide"], "memory_keys", {}),
            ("Reshape", ["logits", "flat"], "memory_values", {}),
        ],
        {
            "axes": np.array([1, 2]),
            "kernel": kernel,
            "wide": np.array([1, -1, 1, count, 1]),
            "flat": np.array([1, -1, 1, 1, count]),
        },
        [("pixels", TensorProto.UINT8, ["k", side, side, 3])],
        memory,
    )
    cache = [("cache_keys", [1, "n", 1, "t", count]), ("cache_values", [1, "n", 1, "t", count])]
    step = made(
        [
            ("Shape", ["cache_keys"], "length", {"start": 3, "end": 4}),
            ("Cast", ["token"], "float", {"to": TensorProto.FLOAT}),
            ("ReduceMax", ["float"], "top", {"keepdims": 0}),
            ("Add", ["heavy", "top"], "warm", {}),
            ("Cast", ["length"], "steps", {"to": TensorProto.FLOAT}),
            ("Mul", ["steps", "grows"], "late", {}),
            ("Reshape", ["memory_values", "rows"], "seen", {}),
            ("MatMul", ["warm", "heavy"], "product", {}),
            ("ReduceMax", ["product"], "most", {"keepdims": 0}),
            ("Mul", ["most", "zero"], "nothing", {}),
            ("Mul", ["float", "zero"], "zeros", {}),
            ("Unsqueeze", ["zeros", "one"], "column", {}),
            ("Sum", ["seen", "late", "nothing", "column"], "logits", {}),
            ("Reshape", ["logits", "item"], "new", {}),
            ("Concat", ["cache_keys", "new"], "new_cache_keys", {"axis": 3}),
            ("Concat", ["cache_values", "new"], "new_cache_values", {"axis": 3}),
        ],
        {
            "grows": grows,
            "rows": np.array([-1, count]),
            "heavy": np.zeros((max(work, 1), max(work, 1)), np.float32),
            "zero": np.float32(0),
            "one": np.array([1]),
            "item": np.array([1, -1, 1, 1, count]),
        },
        [
            ("token", TensorProto.INT64, ["n"]),
            *((name, TensorProto.FLOAT, shape) for name, shape in [*cache, *memory]),
        ],
        [
            ("logits", ["n", count]),
            *((f"new_{name}", [1, "n", 1, "u", count]) for name, _ in cache),
        ],
    )
    return {"encoder.onnx": encoder, "step.onnx": step}
