"""A network of ONNX as the contract wants it: uint8 pixels (n, h, w, 3) in, scores (n, k) out, any n."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bundle import canonical
from bundle.errors import BundleError
from converter.pixels import Around, Line, Pixels

# Nodes that change neither an order nor a sum of scores.
_PASSING = {"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "DequantizeLinear", "QuantizeLinear", "Dropout"}


@dataclass(frozen=True, kw_only=True)
class Network:
    """What an ONNX classifier looks like from outside."""

    model: Any  # onnx.ModelProto, one input and one output
    where: str
    first: bool  # channels before height and width
    size: tuple[int, int] | None  # height and width; None: any
    kind: int  # the input's TensorProto type
    begins: Line
    ends: str | None  # softmax or sigmoid; None: something else
    outputs: int | None  # scores a picture; None: the file does not say

    @property
    def small(self) -> bool:
        """Takes 8-bit pixels."""
        from onnx import TensorProto

        return self.kind == int(TensorProto.UINT8)


def look(model: Any, where: str, *, source: str | None, target: str | None) -> Network:
    """`source` and `target` name input and output where there are several. Raises BundleError."""
    from onnx import TensorProto

    _choose(model.graph.input, source, where, "input")
    _choose(model.graph.output, target, where, "output")
    entry = model.graph.input[0]
    shape = [dim.dim_value or None for dim in entry.type.tensor_type.shape.dim]
    kind = entry.type.tensor_type.elem_type
    if kind not in (TensorProto.UINT8, TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
        raise BundleError(f"{where}: the input {entry.name!r} takes no pixels; numbers of 8 bits or floats wanted")
    if len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise BundleError(
            f"{where}: the input {entry.name!r} is {_shape(shape)}; n x h x w x 3 or n x 3 x h x w wanted"
        )
    first = shape[3] != 3
    height, width = shape[2:] if first else shape[1:3]
    return Network(
        model=model,
        where=where,
        first=first,
        size=(height, width) if height and width else None,
        kind=kind,
        begins=_begins(model.graph),
        ends=_ends(model.graph),
        outputs=_outputs(model.graph),
    )


def _choose(values: Any, name: str | None, where: str, what: str) -> None:
    """Leaves the one that is meant."""
    names = [value.name for value in values]
    if (name is None and len(names) != 1) or (name is not None and name not in names):
        raise BundleError(f"{where}: has the {what}s {', '.join(names) or '(none)'}; name one with --{what}")
    kept = [value for value in values if name in (None, value.name)]
    if what == "input" and len(names) > 1:
        raise BundleError(f"{where}: has {len(names)} inputs, {', '.join(names)}; a network of one picture wanted")
    del values[:]
    values.extend(kept)


def _shape(shape: list[int | None]) -> str:
    return " x ".join(str(side or "?") for side in shape) or "of no known shape"


def _outputs(graph: Any) -> int | None:
    sides = [dim.dim_value for dim in graph.output[0].type.tensor_type.shape.dim[1:]]
    return math.prod(sides) if sides and all(sides) else None


def _begins(graph: Any) -> Line:
    """What the first nodes do to the input, as long as they add and multiply."""
    from onnx import numpy_helper

    numbers = constants(graph)
    name, line = graph.input[0].name, Line()
    while len(readers := [node for node in graph.node if name in node.input]) == 1:
        node = readers[0]
        if node.op_type in ("Add", "Sub", "Mul", "Div") and len(node.input) == 2:
            other = next((number for number in node.input if number in numbers), None)
            if other is None or (other == node.input[0] and node.op_type in ("Sub", "Div")):
                break
            values = numpy_helper.to_array(numbers[other])
            if values.size > 3 or not (number := float(values.mean())):
                break
            steps = {"Add": (1, number), "Sub": (1, -number), "Mul": (number, 0), "Div": (1 / number, 0)}
            line = line.then(*steps[node.op_type])
        elif node.op_type not in ("Identity", "Cast", "Transpose"):
            break
        name = node.output[0]
    return line


def _ends(graph: Any) -> str | None:
    makers = {name: node for node in graph.node for name in node.output}
    name = graph.output[0].name
    while (node := makers.get(name)) is not None and node.op_type in _PASSING:
        name = node.input[0]
    return {"Softmax": "softmax", "Sigmoid": "sigmoid"}.get(node.op_type) if node is not None else None


def wrap(network: Network, around: Around) -> bytes:
    """Canonical ONNX."""
    from onnx import ModelProto, TensorProto, helper

    model = ModelProto()
    model.CopyFrom(network.model)
    graph = model.graph
    _free_batch(graph)
    before = _Steps("imago_pixels", "imago_before")
    _before(before, network, around.pixels)
    after = _Steps(graph.output[0].name, "imago_after")
    _after(after, graph.output[0].type.tensor_type, around)
    first = before.end(graph.input[0].name)
    old = list(graph.node)
    del graph.node[:], graph.value_info[:]
    graph.node.extend([*before.nodes, *old, *after.nodes])
    graph.initializer.extend([*before.weights, *after.weights])
    graph.input[0].CopyFrom(helper.make_tensor_value_info(first, TensorProto.UINT8, ["n", *around.size, 3]))
    graph.output[0].CopyFrom(helper.make_tensor_value_info(after.name, TensorProto.FLOAT, ["n", around.outputs]))
    return canonical.onnx_bytes(model, "scores", around.outputs)


class _Steps:
    """Nodes one after the other, from the tensor `name` on."""

    def __init__(self, name: str, prefix: str) -> None:
        self.start, self.name, self.prefix = name, name, prefix
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def add(self, kind: str, *numbers: Any, swapped: bool = False, **attributes: Any) -> None:
        from onnx import helper, numpy_helper

        at = len(self.nodes)
        names = [f"{self.prefix}_number_{at}_{place}" for place in range(len(numbers))]
        self.weights.extend(numpy_helper.from_array(*pair) for pair in zip(numbers, names, strict=True))
        inputs = [*names, self.name] if swapped else [self.name, *names]
        self.name = f"{self.prefix}_{at}"
        self.nodes.append(helper.make_node(kind, inputs, [self.name], **attributes))

    def also(self, kind: str, other: str, **attributes: Any) -> None:
        """A node of the tensor `other`, too."""
        from onnx import helper

        before, self.name = self.name, f"{self.prefix}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [before, other], [self.name], **attributes))

    def end(self, name: str) -> str:
        """The last node makes `name`; the name of what the first one takes."""
        if not self.nodes:
            return name
        self.nodes[-1].output[0] = name
        return self.start


def _before(steps: _Steps, network: Network, pixels: Pixels) -> None:
    """From 8-bit pixels to what the network takes."""
    from onnx import TensorProto

    if not network.small:
        steps.add("Cast", to=TensorProto.FLOAT)
    if pixels.bgr:
        steps.add("Gather", np.array([2, 1, 0]), axis=3)
    if any(pixels.mean):
        steps.add("Sub", np.array(pixels.mean, np.float32))
    if set(pixels.std) != {1}:
        steps.add("Div", np.array(pixels.std, np.float32))
    if network.first:
        steps.add("Transpose", perm=[0, 3, 1, 2])
    if not network.small and network.kind != TensorProto.FLOAT:
        steps.add("Cast", to=network.kind)


def _after(steps: _Steps, given: Any, around: Around) -> None:
    """From the network's output to float32 (n, k)."""
    from onnx import TensorProto

    if len(given.shape.dim) != 2:
        steps.add("Flatten", axis=1)
    if given.elem_type != TensorProto.FLOAT:
        steps.add("Cast", to=TensorProto.FLOAT)
    if around.activation == "softmax":
        steps.add("Softmax", axis=-1)
    elif around.activation == "sigmoid":
        steps.add("Sigmoid")
    if around.pair:
        right = steps.name
        steps.add("Sub", np.ones(1, np.float32), swapped=True)
        steps.also("Concat", right, axis=-1)


def _free_batch(graph: Any) -> None:
    """Reshapes that were written for so many pictures become ones for any number; what else hangs on it shows when it is run."""
    from onnx import numpy_helper

    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_value
    numbers = constants(graph)
    for node in graph.node:
        if not batch or node.op_type != "Reshape" or node.input[1] not in numbers or node.input[0] in numbers:
            continue
        found = numbers[node.input[1]]
        shape = numpy_helper.to_array(found)
        if shape.size > 1 and shape[0] == batch:
            free = np.array([0 if -1 in shape else -1, *shape[1:]], np.int64)
            found.CopyFrom(numpy_helper.from_array(free, found.name))


def constants(graph: Any) -> dict[str, Any]:
    """Name -> TensorProto, of weights and of nodes that are numbers."""
    found = {weight.name: weight for weight in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            found[node.output[0]] = node.attribute[0].t
    return found
