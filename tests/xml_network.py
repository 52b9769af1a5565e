"""A network for image to XML with weights by chance, in the two ONNX files of a bundle: what a trained one looks like to the engine."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSET = 20


@dataclass(frozen=True, kw_only=True)
class Sizes:
    side: int  # of the square picture
    channels: tuple[int, ...]  # of each convolution; the last keeps the size, the others halve it
    width: int  # of a token
    heads: int
    layers: int
    tokens: int
    most: int  # positions


TINY = Sizes(side=16, channels=(4, 8), width=8, heads=2, layers=1, tokens=30, most=64)
REAL = Sizes(side=128, channels=(24, 48, 96, 96), width=96, heads=4, layers=2, tokens=12, most=128)


class Graph:
    def __init__(self, seed):
        self.nodes, self.constants = [], []
        self.rng = np.random.default_rng(seed)

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, *shape):
        return self.constant((self.rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32))

    def add(self, op, *inputs, outputs=1, names=None, **attributes):
        names = names or [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names[0] if len(names) == 1 else names

    def norm(self, x, width):
        ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
        return self.add("LayerNormalization", x, self.constant(ones), self.constant(zeros), axis=-1, epsilon=1e-6)

    def dense(self, x, rows, columns):
        return self.add("Gemm", x, self.weight(rows, columns), self.constant(np.zeros(columns, np.float32)))

    def shaped(self, x, *shape):
        return self.add("Reshape", x, self.constant(np.array(shape, np.int64)))

    def file(self, inputs, outputs):
        values = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, "graph", *values, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        return model.SerializeToString()


def encoder(sizes, seed=0):
    """encoder.onnx as bytes: pixels -> memory_keys, memory_values."""
    g = Graph(seed)
    x = g.add("Cast", g.add("Transpose", "pixels", perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    x = g.add("Mul", x, g.constant(np.float32(1 / 255)))
    before = 3
    for at, after in enumerate(sizes.channels):
        stride = 1 if at == len(sizes.channels) - 1 else 2
        kernel = 5 if at == 0 else 3
        weight = g.constant(
            (g.rng.standard_normal((after, before, kernel, kernel)) / np.sqrt(before * kernel**2)).astype(np.float32)
        )
        x = g.add("Conv", x, weight, strides=[stride] * 2, auto_pad="SAME_UPPER")
        x, before = g.add("Relu", x), after
    memory = g.add("Transpose", g.shaped(x, 0, before, -1), perm=[0, 2, 1])  # n, m, channels
    heads, size = sizes.heads, sizes.width // sizes.heads
    stacks = []
    for perm in ([0, 2, 3, 1], [0, 2, 1, 3]):  # keys ready to be multiplied
        layers = []
        for _ in range(sizes.layers):
            rows = g.shaped(g.add("MatMul", memory, g.weight(before, sizes.width)), 0, 0, heads, size)
            rows = g.add("Transpose", rows, perm=perm)
            layers.append(g.add("Unsqueeze", rows, g.constant(np.array([0], np.int64))))
        stacks.append(layers)
    g.add("Concat", *stacks[0], axis=0, names=["memory_keys"])
    g.add("Concat", *stacks[1], axis=0, names=["memory_values"])
    places = (sizes.side >> (len(sizes.channels) - 1)) ** 2
    return g.file(
        [("pixels", TensorProto.UINT8, ["n", sizes.side, sizes.side, 3])],
        [
            ("memory_keys", TensorProto.FLOAT, [sizes.layers, "n", heads, size, places]),
            ("memory_values", TensorProto.FLOAT, [sizes.layers, "n", heads, places, size]),
        ],
    )


def step(sizes, seed=0):
    """step.onnx as bytes: a token after those in the caches -> logits of the next."""
    g = Graph(seed + 1)
    width, heads, layers = sizes.width, sizes.heads, sizes.layers
    size, places = width // heads, (sizes.side >> (len(sizes.channels) - 1)) ** 2
    at = g.add("Shape", "cache_keys", start=3, end=4)
    x = g.add("Gather", g.weight(sizes.tokens, width), "token")
    x = g.add("Add", x, g.add("Gather", g.weight(sizes.most, width), at))
    parts = {
        name: [name_] if layers == 1 else name_
        for name in ("cache_keys", "cache_values", "memory_keys", "memory_values")
        for name_ in [g.add("Split", name, axis=0, num_outputs=layers, outputs=layers)]
    }
    kept = {"new_cache_keys": [], "new_cache_values": []}
    squeezed = g.constant(np.array([0], np.int64))
    scale = g.constant(np.float32(size**-0.5))
    for layer in range(layers):
        qkv = g.dense(g.norm(x, width), width, 3 * width)
        q, k, v = (g.shaped(part, 0, heads, 1, size) for part in g.add("Split", qkv, axis=1, num_outputs=3, outputs=3))
        grown = []
        for name, row in (("cache_keys", k), ("cache_values", v)):
            whole = g.add("Concat", g.add("Squeeze", parts[name][layer], squeezed), row, axis=2)
            kept[f"new_{name}"].append(g.add("Unsqueeze", whole, squeezed))
            grown.append(whole)
        # (t, size) x (size, 1): turning the query is free, turning the keys would copy them
        scores = g.add("MatMul", grown[0], g.add("Mul", g.shaped(q, 0, heads, size, 1), scale))
        seen = g.add("MatMul", g.shaped(g.add("Softmax", scores, axis=2), 0, heads, 1, -1), grown[1])
        x = g.add("Add", x, g.dense(g.shaped(seen, 0, width), width, width))
        q = g.shaped(g.dense(g.norm(x, width), width, width), 0, heads, 1, size)
        keys, values = (g.add("Squeeze", parts[name][layer], squeezed) for name in ("memory_keys", "memory_values"))
        scores = g.add("MatMul", g.add("Mul", q, scale), keys)
        seen = g.add("MatMul", g.add("Softmax", scores, axis=3), values)
        x = g.add("Add", x, g.dense(g.shaped(seen, 0, width), width, width))
        hidden = g.add("Relu", g.dense(g.norm(x, width), width, 4 * width))
        x = g.add("Add", x, g.dense(hidden, 4 * width, width))
    for name, stack in kept.items():
        g.add("Concat", *stack, axis=0, names=[name])
    g.add(
        "Gemm",
        g.norm(x, width),
        g.weight(width, sizes.tokens),
        g.constant(np.zeros(sizes.tokens, np.float32)),
        names=["logits"],
    )
    cache = [layers, "n", heads, "t", size]
    grown_cache = [layers, "n", heads, "t_and_one", size]
    f = TensorProto.FLOAT
    return g.file(
        [
            ("token", TensorProto.INT64, ["n"]),
            ("cache_keys", f, cache),
            ("cache_values", f, cache),
            ("memory_keys", f, [layers, "pictures", heads, size, places]),
            ("memory_values", f, [layers, "pictures", heads, places, size]),
        ],
        [
            ("logits", f, ["n", sizes.tokens]),
            ("new_cache_keys", f, grown_cache),
            ("new_cache_values", f, grown_cache),
        ],
    )
