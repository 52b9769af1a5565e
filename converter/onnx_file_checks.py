"""What an ONNX model from elsewhere may be made of: standard operators, all in one file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bundle.errors import BundleError, MissingExtra
from converter.about import reason

# Nodes that are put around a network are written in this version or newer, and mean the same since 13.
OPSET = 18
# The same input would give another output each time.
_DICE = ("Random", "Bernoulli", "Multinomial")
# Quantised models have these two in 16 bits there.
_MICROSOFT = {"QuantizeLinear", "DequantizeLinear"}
STANDARD = ("", "ai.onnx")


def import_onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise MissingExtra("onnx is not installed; install it with: pip install 'imago[train]'") from None
    return onnx


def read(path: Path) -> Any:
    """An onnx.ModelProto, whole in this file, of operators that are allowed, in opset 18 or newer. Raises BundleError."""
    onnx = import_onnx()
    if not path.is_file():
        raise BundleError(f"{path}: no such file; --onnx takes a .onnx file")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own kinds
        raise BundleError(f"{path}: is no whole ONNX file ({reason(error)}); copy it again") from None
    return checked(model, str(path))


def checked(model: Any, where: str) -> Any:
    onnx = import_onnx()
    _check_inside(model, where)
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    _check_nodes(model, where)
    _drop_listed_weights(model)
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise BundleError(f"{where}: is no valid ONNX model ({reason(error)}); export it again") from None
    return _modern(model, where)


def _check_inside(model: Any, where: str) -> None:
    if not model.graph.node:
        raise BundleError(f"{where}: is no ONNX model, or an empty one; export it again")
    for weight in _tensors(model):
        if weight.data_location == import_onnx().TensorProto.EXTERNAL:
            raise BundleError(
                f"{where}: keeps the weight {weight.name!r} in another file; save it whole with "
                "onnx.save(onnx.load(FILE), WHOLE)"
            )
    if model.graph.sparse_initializer:
        raise BundleError(f"{where}: has sparse weights, which are not imported; export it with dense ones")


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    yield from (attribute.t for node in nodes for attribute in node.attribute if attribute.HasField("t"))


def _check_nodes(model: Any, where: str) -> None:
    from onnx import defs

    for node in model.graph.node:
        if not isinstance(node.op_type, str):  # bytes, where they are no UTF-8
            raise BundleError(f"{where}: names operators in no UTF-8; it is damaged, copy it again")
        label = f"{where}: node {node.name!r}: the operator {node.domain + '.' if node.domain else ''}{node.op_type}"
        standard = node.domain in STANDARD and defs.has(node.op_type)
        if not standard and not (node.domain == "com.microsoft" and node.op_type in _MICROSOFT):
            raise BundleError(f"{label} is not of the ONNX standard and is not imported; export with standard ones")
        if node.op_type.startswith(_DICE):
            raise BundleError(f"{label} gives another answer each time; export the model for inference")
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise BundleError(
                f"{label} has a graph of its own, which is not imported; export without conditions and loops"
            )


def _drop_listed_weights(model: Any) -> None:
    """Old files list their weights among the inputs."""
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 8)


def _modern(model: Any, where: str) -> Any:
    from onnx import version_converter

    for node in model.graph.node:
        node.domain = "" if node.domain == "ai.onnx" else node.domain
    opset = next((entry.version for entry in model.opset_import if entry.domain in STANDARD), 1)
    if opset >= OPSET:
        return model
    del model.graph.value_info[:]
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:
        raise BundleError(
            f"{where}: is in opset {opset} and cannot be put into {OPSET} ({reason(error)}); export it with a newer one"
        ) from None
