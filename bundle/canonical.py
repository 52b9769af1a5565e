"""One spelling for one model: the same layers and weights give the same bytes, in .keras and in .onnx files."""

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bundle import tensorflow_process
from bundle.engine.keras_any import hushed, import_keras
from bundle.errors import BundleError, MissingExtra

# The first moment a zip file can name.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_OPSET = 18

_SHARED_POLICY = re.compile(
    r'("class_name": "DTypePolicy", "config": \{"name": "\w+"\}, "registered_name": null), "shared_object_id": \d+'
)


def keras_bytes(model: Any) -> bytes:
    """The .keras file of a model, uncompiled, without the dates and object addresses that Keras writes into it."""
    # A model that was trained would bring its optimizer's state along, twice the weights.
    inputs = model.inputs if len(model.inputs) > 1 else model.inputs[0]
    uncompiled = import_keras().Model(inputs, model.outputs[0], name=model.name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        with hushed():
            uncompiled.save(path)
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"])
    members["metadata.json"] = json.dumps({"keras_version": metadata["keras_version"]}).encode()
    members["config.json"] = _renumbered(members["config.json"].decode()).encode()
    return zipped(members)


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip file of them, uncompressed, in the order of their names, without dates."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in sorted(members.items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return out.getvalue()


def _renumbered(config: str) -> str:
    """Keras marks shared objects by their address in memory; numbers in order of appearance serve as well.

    Whether a layer's dtype policy is shared hangs on what else the process has made, and means nothing: those go.
    """
    config = _SHARED_POLICY.sub(r"\1", config)
    seen: dict[str, int] = {}
    return re.sub(
        r'("shared_object_id": )(\d+)', lambda found: f"{found[1]}{seen.setdefault(found[2], len(seen))}", config
    )


def onnx_from_keras(model: Any, output: str) -> bytes:
    """A Keras model from uint8 pixels (n, h, w, 3) to float32 (n, d), named `output`, as canonical ONNX. Raises MissingExtra, BundleError."""
    if any(find_spec(name) is None for name in ("tensorflow", "tf2onnx")):
        raise MissingExtra("ONNX export needs tensorflow and tf2onnx; install them with: pip install 'imago[train]'")
    if import_keras().backend.backend() != "tensorflow":
        return tensorflow_process.onnx(keras_bytes(model), output)
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8, name="pixels")]
    program = tf.function(lambda pixels: model(pixels, training=False), autograph=False)
    converted, _ = tf2onnx.convert.from_function(program, input_signature=signature, opset=_OPSET)
    return onnx_bytes(converted, output, model.output_shape[1])


class Dense(Protocol):
    """float32 kernel (d, u) and bias (u,)."""

    @property
    def kernel(self) -> np.ndarray: ...
    @property
    def bias(self) -> np.ndarray: ...


def onnx_with_head(features: bytes, layers: Sequence[Dense], *, scores: str) -> bytes:
    """A feature model with dense layers behind it, relu between them and `scores`, softmax or sigmoid, at the end."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(features)
    graph = model.graph
    before = graph.output[0].name
    activation: tuple[str, dict[str, Any]] = {"softmax": ("Softmax", {"axis": -1}), "sigmoid": ("Sigmoid", {})}[scores]
    for number, layer in enumerate(layers):
        kernel, bias, product, total, after = (f"head{number}_{part}" for part in ("w", "b", "product", "sum", "out"))
        graph.initializer.extend(
            [numpy_helper.from_array(layer.kernel, kernel), numpy_helper.from_array(layer.bias, bias)]
        )
        operator, attributes = activation if number == len(layers) - 1 else ("Relu", {})
        graph.node.extend(
            [
                helper.make_node("MatMul", [before, kernel], [product]),
                helper.make_node("Add", [product, bias], [total]),
                helper.make_node(operator, [total], [after], **attributes),
            ]
        )
        before = after
    graph.output[0].name = before
    return onnx_bytes(model, "scores", len(layers[-1].bias))


def onnx_bytes(model: Any, output: str, width: int) -> bytes:
    """An ONNX model with nodes in the order the output needs them and names by that order; input `pixels`."""
    import onnx
    from onnx import helper

    old = model.graph
    if len(old.input) != 1 or len(old.output) != 1:
        raise BundleError(f"the model has {len(old.input)} inputs and {len(old.output)} outputs, one of each wanted")
    nodes = _needed(old)
    names = {"": "", old.input[0].name: "pixels", old.output[0].name: output}
    weights = {weight.name: weight for weight in old.initializer}
    kept: list[Any] = []
    for number, node in enumerate(nodes):
        for name in node.input:
            if name in weights and name not in names:
                names[name] = f"w{len(kept)}"
                kept.append(_renamed(weights[name], names[name]))
        for place, name in enumerate(node.output):
            names.setdefault(name, f"v{number}" if place == 0 else f"v{number}_{place}")
    renamed = [
        helper.make_node(
            node.op_type,
            [names[x] for x in node.input],
            [names[x] for x in node.output],
            f"n{number}",
            domain=node.domain,
        )
        for number, node in enumerate(nodes)
    ]
    for new, node in zip(renamed, nodes, strict=True):
        new.attribute.extend(sorted(node.attribute, key=lambda attribute: attribute.name))
    shape = ["n", *(size.dim_value for size in old.input[0].type.tensor_type.shape.dim[1:])]
    graph = helper.make_graph(
        renamed,
        "imago",
        [helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, ["n", width])],
        kept,
    )
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)
    new_model = helper.make_model(graph, opset_imports=opsets, producer_name="imago", ir_version=model.ir_version)
    data: bytes = new_model.SerializeToString(deterministic=True)
    return data


def _needed(graph: Any) -> list[Any]:
    """Nodes that the output needs, each after its inputs: depth first from the output, inputs in their order."""
    makers = {name: node for node in graph.node for name in node.output}
    ordered: list[Any] = []
    done: set[int] = set()
    stack = [(makers[graph.output[0].name], False)]
    while stack:
        node, inputs_done = stack.pop()
        if inputs_done:
            ordered.append(node)
        elif id(node) not in done:
            done.add(id(node))
            stack.append((node, True))
            stack.extend((makers[name], False) for name in reversed(node.input) if name in makers)
    return ordered


def _renamed(weight: Any, name: str) -> Any:
    import onnx

    copy = onnx.TensorProto()
    copy.CopyFrom(weight)
    copy.name = name
    copy.ClearField("doc_string")
    return copy
