"""An ONNX model before ONNX Runtime rounds it: weights that lie on the grid already, and biases that make up for it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from bundle.engine.onnx_cpu import open_session
from converter.rounding import Moments, first, fits, nearest

LAYERS = ("Conv", "MatMul", "Gemm")


def correct(model: Any, pictures: np.ndarray) -> None:
    """Rounds weights and moves biases in place. A layer without a bias, or with one that others use too, stays as it is."""
    from onnx import numpy_helper

    weights = {weight.name: weight for weight in model.graph.initializer}
    biased = list(_biased(model.graph, weights))
    kernels = _kernels(model, weights, [node for node, _ in biased], pictures)
    shifts = _shifts(model, weights, [node for node, _ in biased], kernels, pictures)
    for node, bias in biased:
        moved = numpy_helper.to_array(weights[bias]) + shifts[node.output[0]]
        weights[bias].CopyFrom(numpy_helper.from_array(moved, bias))
        weights[node.input[1]].CopyFrom(numpy_helper.from_array(kernels[node.output[0]], node.input[1]))


def _biased(graph: Any, weights: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    """Nodes with constant weights that are rounded, and the name of the constant that is added to what they give."""
    uses = [name for node in graph.node for name in node.input]
    layers = [node for node in graph.node if node.op_type in LAYERS]
    for node in layers[len(first(layers)) :]:
        if node.input[1] not in weights or uses.count(node.input[1]) > 1:
            continue
        after = [other for other in graph.node if node.output[0] in other.input]
        added = list(node.input[2:])
        if node.op_type == "MatMul" and len(after) == 1 and after[0].op_type == "Add":
            added = [name for name in after[0].input if name != node.output[0]]
        if len(added) == 1 and added[0] in weights and uses.count(added[0]) == 1 and len(weights[added[0]].dims) == 1:
            yield node, added[0]


def _rows(model: Any, names: list[str], pictures: np.ndarray) -> Iterator[list[np.ndarray]]:
    """What the network has at `names`, a picture at a time."""
    import onnx

    del model.graph.output[:]
    kinds = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in dict.fromkeys(names)]
    model.graph.output.extend(kinds)
    session = open_session(model.SerializeToString(), "the calibration's model")
    for picture in pictures:
        yield session.run(names, {"pixels": picture[None]})


def _copy(model: Any) -> Any:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy


def _kernels(model: Any, weights: dict[str, Any], nodes: list[Any], pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Output of a node -> its kernel, rounded."""
    from onnx import numpy_helper

    found = {node.output[0]: numpy_helper.to_array(weights[node.input[1]]) for node in nodes}
    rounded = {node.output[0]: nearest(found[node.output[0]], _axes(node, found)) for node in nodes}
    fit = {node.output[0]: node for node in nodes if _fits(node, found[node.output[0]])}
    # Keras' order of axes: (out, in, h, w) -> (h, w, in, out), depthwise (in, 1, h, w) -> (h, w, in, 1).
    turns = {name: (2, 3, 0, 1) if _group(node) > 1 else (2, 3, 1, 0) for name, node in fit.items()}
    moments = [Moments(found[name].transpose(turns[name]), _group(node) > 1) for name, node in fit.items()]
    names = [node.input[0] for node in fit.values()]
    for row in _rows(_copy(model), names, pictures) if fit else ():
        for one, given in zip(moments, row, strict=True):
            one.add(given[0].transpose(1, 2, 0))
    back = {name: np.argsort(turn) for name, turn in turns.items()}
    return rounded | {name: one.rounded().transpose(back[name]) for name, one in zip(fit, moments, strict=True)}


def _attribute(node: Any, name: str) -> Any:
    return next((attribute for attribute in node.attribute if attribute.name == name), None)


def _group(node: Any) -> int:
    found = _attribute(node, "group")
    return found.i if found else 1


def _axes(node: Any, kernels: dict[str, np.ndarray]) -> tuple[int, ...]:
    turned = _attribute(node, "transB")
    dims = kernels[node.output[0]].ndim
    return tuple(range(1, dims)) if node.op_type == "Conv" or (turned and turned.i) else tuple(range(dims - 1))


def _fits(node: Any, kernel: np.ndarray) -> bool:
    if node.op_type != "Conv" or kernel.ndim != 4 or _group(node) not in (1, len(kernel)):
        return False
    dilations = _attribute(node, "dilations")
    return fits(int(np.prod(kernel.shape[1:])), dilations.ints if dilations else [1])


def _shifts(
    model: Any, weights: dict[str, Any], nodes: list[Any], rounded: dict[str, np.ndarray], pictures: np.ndarray
) -> dict[str, np.ndarray]:
    """Output of a node -> mean of what rounding takes from each of its channels."""
    from onnx import helper, numpy_helper

    probe = _copy(model)
    means = []
    for node in nodes:
        kernel = numpy_helper.to_array(weights[node.input[1]])
        rest, mean, over = (f"{node.output[0]}_{part}" for part in ("lost", "mean", "axes"))
        twin = _copy(node)
        twin.name = rest
        del twin.input[:], twin.output[:]
        twin.input.extend([node.input[0], f"{rest}_w"])
        twin.output.append(rest)
        places = [0, *range(2, kernel.ndim)] if node.op_type == "Conv" else [0]
        constants = {f"{rest}_w": kernel - rounded[node.output[0]], over: np.array(places, np.int64)}
        probe.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
        probe.graph.node.extend([twin, helper.make_node("ReduceMean", [rest, over], [mean], keepdims=0)])
        means.append(mean)
    if not means:
        return {}
    rows = list(_rows(probe, means, pictures))
    return {node.output[0]: np.mean([row[at] for row in rows], axis=0) for at, node in enumerate(nodes)}
