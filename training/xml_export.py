"""From the trained network to the two ONNX graphs that serve: the picture once, then a step a token. The same weights give the same bytes.

What does not change while a document grows is done once, in the encoder: the cross-attention's keys and values. The step is written node
by node, since a converter knows nothing of caches.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bundle import canonical
from bundle.engine import XmlEngine
from bundle.engine.keras_any import import_keras
from bundle.errors import BundleError

OPSET = 18
EPSILON = 1e-6

# Logits of the export and of the layers differ by less (1e-5 in fp32).
TOLERANCE = 1e-4


def export(model: Any) -> tuple[bytes, bytes]:
    """encoder.onnx and step.onnx of a network that xml_model built."""
    return _encoder(model), _step(model)


class _Graph:
    """Nodes and constants, named by the order in which they come."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        return self.split(operator, *inputs, names=[name or f"x{len(self.nodes)}"], **attributes)[0]

    def split(self, operator: str, *inputs: str, names: list[str], **attributes: Any) -> list[str]:
        """For nodes with several outputs."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, list(inputs), names, f"m{len(self.nodes)}", **attributes))
        return names

    def shaped(self, x: str, *shape: int) -> str:
        return self.add("Reshape", x, self.constant(np.array(shape, np.int64)))

    def norm(self, x: str, layer: Any) -> str:
        scale, shift = (self.constant(weight) for weight in layer.get_weights())
        return self.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=EPSILON)

    def dense(self, x: str, kernel: np.ndarray, bias: np.ndarray, name: str = "") -> str:
        """x (n, d)."""
        rows = kernel.reshape(-1, bias.size)
        return self.add("Gemm", x, self.constant(rows), self.constant(bias.reshape(-1)), name=name)


def _encoder(model: Any) -> bytes:
    """pixels -> memory_keys (layers, n, heads, head_size, m), memory_values (layers, n, heads, m, head_size)."""
    import onnx
    from onnx import helper

    keras = import_keras()
    memory = model.get_layer("memory").output
    places, width = memory.shape[1:]
    flat = keras.layers.Reshape((places * width,))(memory)  # the canonical spelling is one of rows
    file = onnx.load_from_string(canonical.onnx_from_keras(keras.Model(model.inputs[0], flat), "flat"))
    graph, cross = _Graph(), _attentions(model, "cross")
    graph.shaped("flat", 0, places, width)
    for name, part, turn in (("memory_keys", "key", [0, 2, 3, 1]), ("memory_values", "value", [0, 2, 1, 3])):
        stack = []
        for attention in cross:
            kernel, bias = _weights(attention, part)
            heads, size = bias.shape
            rows = graph.add("MatMul", "x0", graph.constant(kernel.reshape(width, heads * size)))
            rows = graph.add("Add", rows, graph.constant(bias.reshape(-1)))
            turned = graph.add("Transpose", graph.shaped(rows, 0, 0, heads, size), perm=turn)
            stack.append(graph.add("Unsqueeze", turned, graph.constant(np.array([0], np.int64))))
        graph.add("Concat", *stack, axis=0, name=name)
    shapes = {"memory_keys": [heads, size, places], "memory_values": [heads, places, size]}
    outputs = [_value(name, [len(cross), "n", *shape]) for name, shape in shapes.items()]
    pixels = helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, ["n", *model.inputs[0].shape[1:]])
    nodes, constants = [*file.graph.node, *graph.nodes], [*file.graph.initializer, *graph.constants]
    return _file(nodes, [pixels], outputs, constants)


def _step(model: Any) -> bytes:
    """A token after those in the caches -> logits of the next, and the caches with it; the position is what the caches hold."""
    import onnx
    from onnx import helper

    g = _Graph()
    crosses, selves = _attentions(model, "cross"), _attentions(model, "self")
    layers = len(selves)
    width, heads, size = _weights(selves[0], "key")[0].shape
    embedded, placed = (model.get_layer(name).get_weights()[0] for name in ("token", "position"))
    at = g.add("Shape", "cache_keys", start=3, end=4)
    x = g.add("Gather", g.constant(embedded), "token", axis=0)
    x = g.add("Add", x, g.add("Gather", g.constant(placed), at, axis=0))
    zero = g.constant(np.array([0], np.int64))
    inputs = {name: _layers(g, name, layers, zero) for name in (*CACHES, *MEMORY)}
    grown: dict[str, list[str]] = {name: [] for name in CACHES}
    for layer, (mine, cross) in enumerate(zip(selves, crosses, strict=True)):
        three = [_scaled(mine, "query"), _weights(mine, "key"), _weights(mine, "value")]
        kernel = np.concatenate([one.reshape(width, -1) for one, _ in three], axis=1)
        qkv = g.dense(_norm(g, x, model, "self", layer), kernel, np.concatenate([bias.ravel() for _, bias in three]))
        q, k, v = g.split("Split", qkv, names=[f"{part}{layer}" for part in "qkv"], axis=1, num_outputs=3)
        keys, values = (
            g.add("Concat", inputs[name][layer], g.shaped(row, 0, heads, 1, size), axis=2)
            for name, row in zip(CACHES, (k, v), strict=True)
        )
        for name, whole in zip(CACHES, (keys, values), strict=True):
            grown[name].append(g.add("Unsqueeze", whole, zero))
        # (t, size) x (size, 1): turning the query is free, turning the keys would copy them
        scores = g.add("MatMul", keys, g.shaped(q, 0, heads, size, 1))
        seen = g.add("MatMul", g.shaped(g.add("Softmax", scores, axis=2), 0, heads, 1, -1), values)
        x = g.add("Add", x, g.dense(g.shaped(seen, 0, width), *_weights(mine, "output")))
        q = g.dense(_norm(g, x, model, "cross", layer), *_scaled(cross, "query"))
        scores = g.add("MatMul", g.shaped(q, 0, heads, 1, size), inputs["memory_keys"][layer])
        seen = g.add("MatMul", g.add("Softmax", scores, axis=3), inputs["memory_values"][layer])
        x = g.add("Add", x, g.dense(g.shaped(seen, 0, width), *_weights(cross, "output")))
        hidden = g.dense(_norm(g, x, model, "dense", layer), *model.get_layer(f"wide_{layer}").get_weights())
        x = g.add("Add", x, g.dense(g.add("Relu", hidden), *model.get_layer(f"narrow_{layer}").get_weights()))
    for name, stack in grown.items():
        g.add("Concat", *stack, axis=0, name=f"new_{name}")
    logits = model.get_layer("logits")
    g.dense(g.norm(x, model.get_layer("norm_last")), *logits.get_weights(), name="logits")
    places = model.get_layer("memory").output.shape[1]
    return _file(
        g.nodes,
        [
            helper.make_tensor_value_info("token", onnx.TensorProto.INT64, ["n"]),
            *(_value(name, [layers, "n", heads, "t", size]) for name in CACHES),
            _value("memory_keys", [layers, "pictures", heads, size, places]),
            _value("memory_values", [layers, "pictures", heads, places, size]),
        ],
        [
            _value("logits", ["n", logits.units]),
            *(_value(f"new_{name}", [layers, "n", heads, "t_and_one", size]) for name in CACHES),
        ],
        g.constants,
    )


CACHES = ("cache_keys", "cache_values")
MEMORY = ("memory_keys", "memory_values")


def _layers(g: _Graph, name: str, layers: int, zero: str) -> list[str]:
    if layers == 1:
        return [g.add("Squeeze", name, zero)]
    names = [f"{name}_{layer}" for layer in range(layers)]
    parts = g.split("Split", name, names=names, axis=0, num_outputs=layers)
    return [g.add("Squeeze", part, zero) for part in parts]


def _attentions(model: Any, kind: str) -> list[Any]:
    names = {layer.name for layer in model.layers}
    return [model.get_layer(f"{kind}_{at}") for at in range(len(names)) if f"{kind}_{at}" in names]


def _norm(g: _Graph, x: str, model: Any, kind: str, layer: int) -> str:
    return g.norm(x, model.get_layer(f"norm_{kind}_{layer}"))


def _weights(attention: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
    kernel, bias = getattr(attention, f"{part}_dense").get_weights()
    return kernel, bias


def _scaled(attention: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
    """With the scale of the scores in it, so that no step has to multiply by it."""
    kernel, bias = _weights(attention, part)
    scale = np.float32(attention.key_dim**-0.5)
    return kernel * scale, bias * scale


def _value(name: str, shape: list[Any]) -> Any:
    import onnx
    from onnx import helper

    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def _file(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> bytes:
    from onnx import helper

    graph = helper.make_graph(nodes, "imago", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="imago", ir_version=10)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def check(model: Any, engine: XmlEngine, pixels: np.ndarray, documents: Sequence[Sequence[int]]) -> None:
    """The export says, token after token, what the layers say in one pass over real documents. Raises BundleError."""
    for one, tokens in zip(pixels, documents, strict=True):
        before = np.array([[0, *tokens[:-1]]], np.int32)
        wanted = np.asarray(model([one[None], before], training=False))[0]
        memory = engine.encode(one[None])
        layers, _, heads, _, size = memory[1].shape
        caches = (np.zeros((layers, 1, heads, 0, size), np.float32),) * 2
        for token, row in zip(before[0], wanted, strict=True):
            logits, *caches = engine.step(np.array([token], np.int64), *caches, *memory)
            if not np.abs(logits[0] - row).max() <= TOLERANCE * max(1, np.abs(row).max()):
                off = float(np.abs(logits[0] - row).max())
                raise BundleError(f"the exported model differs from Keras by {off:.2g}; nothing was written")
