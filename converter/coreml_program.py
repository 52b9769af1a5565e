"""An ML Program, read from its .mlpackage and run operation by operation: nothing here comes from what it was made of."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bundle.errors import BundleError
from converter.about import reason
from converter.coreml_ops import OPS
from converter.coreml_spec import compiled, image_inputs, metadata, parsed, pixels, whole
from converter.subject import tensorflow

SPEC, WEIGHTS = "com.apple.CoreML/model.mlmodel", "weights/weight.bin"  # in Data, and beside the specification
TEXT = 2
DEQUANTISE = "constexpr_affine_dequantize"
# DataType of MIL.proto: the dtype, and how the blob file's reader calls it.
TYPES = {
    1: ("bool", None),
    10: ("float16", "fp16"),
    11: ("float32", "float"),
    21: ("int8", "int8"),
    22: ("int16", "int16"),
    23: ("int32", "int32"),
    24: ("int64", None),
    31: ("uint8", "uint8"),
    32: ("uint16", "uint16"),
}


@dataclass(frozen=True, kw_only=True)
class Program:
    """The function `main` of a package. 16-bit weights are the file's, arithmetic is of 32 bits."""

    path: Path
    inputs: dict[str, tuple[int, ...]]  # shapes; of a picture (1, h, w, 3)
    outputs: tuple[str, ...]
    labels: tuple[str, ...] | None  # of the classify operation; its scores are an output, the best label is not
    metadata: dict[str, str]
    call: Callable[..., Any]
    runtime: str

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One array for each input, pictures as uint8; to one for each output. Raises BundleError for other names or shapes."""
        found = {name: np.shape(value) for name, value in inputs.items()}
        if found != self.inputs:
            raise BundleError(f"{self.path}: inputs {found} given, {self.inputs} wanted")
        floats = {
            name: value.astype(np.float32) if value.dtype == np.uint8 else value for name, value in inputs.items()
        }
        return {name: value.numpy() for name, value in self.call(**floats).items()}


def load(path: Path) -> Program:
    """Raises BundleError for a damaged package and for what this interpreter does not know; MissingExtra."""
    return whole(path, lambda: _program(path))


def _program(path: Path) -> Program:
    where = _specification(path)
    spec = parsed(where)
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    consts = dict(_constants(where.parent / WEIGHTS, block))
    pictures = image_inputs(spec)
    inputs = {one.name: _input(one, pictures) for one in function.inputs}
    return Program(
        path=path,
        runtime="an interpreter of ML Programs on TensorFlow",
        inputs={name: shape for name, (shape, _) in inputs.items()},
        outputs=tuple(name for name in block.outputs if name != spec.description.predictedFeatureName),
        labels=_labels(block, consts),
        metadata=metadata(spec),
        call=_compiled(block, consts, pictures, inputs),
    )


def _specification(path: Path) -> Path:
    """Where the package says that its model is."""
    content = json.loads((path / "Manifest.json").read_bytes())
    told: str = content["itemInfoEntries"][content["rootModelIdentifier"]]["path"]
    if told != SPEC:
        raise BundleError(f"{path / 'Manifest.json'}: its model is {told}, {SPEC} wanted")
    return path / "Data" / told


# ---- values --------------------------------------------------------------------------------


def _constants(weights: Path, block: Any) -> Iterator[tuple[str, Any]]:
    """Names and arrays of what the file holds, 8-bit weights as the numbers they stand for."""
    storage = _storage(weights)
    for operation in block.operations:
        if operation.type in ("const", DEQUANTISE):
            held = {key: _value(value, storage) for key, value in operation.attributes.items() if key != "name"}
            yield operation.outputs[0].name, held["val"] if operation.type == "const" else OPS[DEQUANTISE](None, **held)


def _storage(path: Path) -> Any:
    """The blob file's reader; None where a program has no weights outside."""
    from coremltools.libmilstoragepython import _BlobStorageReader

    return _BlobStorageReader(str(path)) if path.exists() else None


def _value(value: Any, storage: Any) -> Any:
    """A numpy array; of text a str or a tuple of them."""
    if value.type.WhichOneof("type") == "listType":
        return tuple(_value(item, storage) for item in value.immediateValue.list.values)
    form = value.type.tensorType
    if form.dataType == TEXT:
        return value.immediateValue.tensor.strings.values[0]
    if form.dataType not in TYPES:
        raise BundleError(f"a constant of data type {form.dataType} is not known here")
    dtype, name = TYPES[form.dataType]
    flat = _blob(value.blobFileValue, name, storage) if value.HasField("blobFileValue") else _immediate(value, dtype)
    array = flat.view(dtype).reshape(_shape(form))
    return array.astype(np.float32) if dtype == "float16" else array


def _blob(value: Any, name: str | None, storage: Any) -> np.ndarray:
    if value.fileName != f"@model_path/{WEIGHTS}":
        raise BundleError(f"weights in {value.fileName} are not known here")
    return np.asarray(getattr(storage, f"read_{name}_data")(value.offset))


def _immediate(value: Any, dtype: str) -> np.ndarray:
    tensor = value.immediateValue.tensor
    values = getattr(tensor, tensor.WhichOneof("value")).values
    return np.frombuffer(values, dtype) if isinstance(values, bytes) else np.array(values, dtype)


def _shape(form: Any) -> tuple[int, ...]:
    return tuple(int(dimension.constant.size) for dimension in form.dimensions)


def _input(one: Any, pictures: Mapping[str, str]) -> tuple[tuple[int, ...], str]:
    """Shape and dtype; of a picture as it is given here, channels last."""
    form = one.type.tensorType
    shape, dtype = _shape(form), TYPES[form.dataType][0].replace("float16", "float32")
    return ((shape[0], *shape[2:], shape[1]) if one.name in pictures else shape), dtype


def _labels(block: Any, consts: dict[str, Any]) -> tuple[str, ...] | None:
    for operation in block.operations:
        if operation.type == "classify":
            bound = operation.inputs["classes"].arguments[0]
            return tuple(_value(bound.value, None) if bound.HasField("value") else consts[bound.name])
    return None


# ---- arithmetic ----------------------------------------------------------------------------


def _compiled(block: Any, consts: dict[str, Any], pictures: Mapping[str, str], inputs: Any) -> Callable[..., Any]:
    """(inputs by name) -> outputs by name."""
    tf = tensorflow()

    def call(**given: Any) -> dict[str, Any]:
        values = dict(consts)
        for name, value in given.items():
            values[name] = pixels(tf, value, pictures[name]) if name in pictures else value
        for operation in block.operations:
            if operation.type not in ("const", DEQUANTISE):
                values |= _results(tf, operation, values)
        return {name: values[name] for name in block.outputs if name in values}

    return compiled(tf, call, inputs)


def _results(tf: Any, operation: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    names = [output.name for output in operation.outputs]
    if operation.type != "classify" and operation.type not in OPS:
        raise BundleError(f"operation {operation.type} is not known here")
    try:
        arguments = {key: _argument(key, bound, values) for key, bound in operation.inputs.items()}
        if operation.type == "classify":
            return {names[1]: arguments["probabilities"]}
        result = OPS[operation.type](tf, **arguments)
    except Exception as error:  # whatever a damaged file makes TensorFlow raise
        raise BundleError(f"operation {operation.type} ({names[0]}): {reason(error)}") from error
    return dict(zip(names, result if isinstance(result, tuple) else (result,), strict=True))


def _argument(key: str, bound: Any, values: Mapping[str, Any]) -> Any:
    found = [_value(one.value, None) if one.HasField("value") else values[one.name] for one in bound.arguments]
    return found if key == "values" else found[0]
