"""An ML Program, read from its .mlpackage and run operation by operation: nothing here comes from what it was made of."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bundle.errors import BundleError
from converter.coreml_ops import OPS
from converter.coreml_spec import first_line, image_inputs, metadata, parsed, pixels
from converter.subject import tensorflow

SPEC, WEIGHTS = "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin"
DEQUANTISE = "constexpr_affine_dequantize"
# DataType of MIL.proto: the dtype, how the blob file's reader calls it, and the dtype that the reader gives its bits in.
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
    spec = parsed(path / SPEC)
    if spec.WhichOneof("Type") != "mlProgram" or "main" not in spec.mlProgram.functions:
        raise BundleError(f"{path / SPEC}: not an ML Program with one function main")
    function = spec.mlProgram.functions["main"]
    block = function.block_specializations[function.opset]
    consts = dict(_constants(path, block))
    rest = [operation for operation in block.operations if operation.type not in ("const", DEQUANTISE)]
    return Program(
        path=path,
        runtime="an interpreter of ML Programs on TensorFlow",
        inputs=_shapes(spec, function),
        outputs=tuple(name for name in block.outputs if name != spec.description.predictedFeatureName),
        labels=_labels(path, rest, consts),
        metadata=metadata(spec),
        call=_compiled(path, spec, function, consts, rest),
    )


# ---- values --------------------------------------------------------------------------------


def _constants(path: Path, block: Any) -> Iterator[tuple[str, Any]]:
    """Names and arrays of what the file holds, 8-bit weights as the numbers they stand for."""
    storage = _storage(path / WEIGHTS)
    for operation in block.operations:
        if operation.type in ("const", DEQUANTISE):
            held = {key: _value(path, value, storage) for key, value in operation.attributes.items()}
            held.pop("name", None)
            yield operation.outputs[0].name, held["val"] if operation.type == "const" else OPS[DEQUANTISE](None, **held)


def _storage(path: Path) -> Any:
    """The blob file's reader; None where a program has no weights outside."""
    if not path.exists():
        return None
    from coremltools.libmilstoragepython import _BlobStorageReader

    return _BlobStorageReader(str(path))


def _value(path: Path, value: Any, storage: Any) -> Any:
    """A numpy array or scalar; of text a str or a tuple of them."""
    if value.type.WhichOneof("type") == "listType":
        return tuple(_value(path, item, storage) for item in value.immediateValue.list.values)
    form = value.type.tensorType
    shape = [dimension.constant.size for dimension in form.dimensions]
    if form.dataType == 2:
        return value.immediateValue.tensor.strings.values[0]
    if form.dataType not in TYPES:
        raise BundleError(f"{path}: a constant of data type {form.dataType}, which is not known here")
    dtype, name = TYPES[form.dataType]
    if value.WhichOneof("value") == "blobFileValue":
        flat = np.asarray(getattr(storage, f"read_{name}_data")(value.blobFileValue.offset)).view(dtype)
    else:
        flat = _immediate(value.immediateValue.tensor, dtype)
    array = flat.reshape(shape)
    return array.astype(np.float32) if dtype == "float16" else array


def _immediate(tensor: Any, dtype: str) -> np.ndarray:
    values = getattr(tensor, tensor.WhichOneof("value")).values
    return np.frombuffer(values, dtype) if isinstance(values, bytes) else np.array(values, dtype)


def _shapes(spec: Any, function: Any) -> dict[str, tuple[int, ...]]:
    pictures = image_inputs(spec)
    shapes = {}
    for one in function.inputs:
        shape = tuple(int(dimension.constant.size) for dimension in one.type.tensorType.dimensions)
        shapes[one.name] = (shape[0], *shape[2:], shape[1]) if one.name in pictures else shape
    return shapes


def _labels(path: Path, operations: list[Any], consts: dict[str, Any]) -> tuple[str, ...] | None:
    for operation in operations:
        if operation.type == "classify":
            bound = operation.inputs["classes"].arguments[0]
            return tuple(_value(path, bound.value, None) if bound.HasField("value") else consts[bound.name])
    return None


# ---- arithmetic ----------------------------------------------------------------------------


def _compiled(
    path: Path, spec: Any, function: Any, consts: dict[str, Any], operations: list[Any]
) -> Callable[..., Any]:
    """(inputs by name) -> outputs by name."""
    tf = tensorflow()
    pictures = image_inputs(spec)

    def call(**inputs: Any) -> dict[str, Any]:
        values = dict(consts)
        for name, value in inputs.items():
            values[name] = pixels(tf, value, pictures[name]) if name in pictures else value
        for operation in operations:
            values |= _results(tf, path, operation, values)
        return {name: values[name] for name in function.block_specializations[function.opset].outputs if name in values}

    compiled: Callable[..., Any] = tf.function(call, autograph=False)
    return compiled


def _results(tf: Any, path: Path, operation: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    names = [output.name for output in operation.outputs]
    arguments = _arguments(path, operation, values)
    if operation.type == "classify":
        return {names[1]: arguments["probabilities"]}
    if operation.type not in OPS:
        raise BundleError(f"{path}: operation {operation.type} ({names[0]}) is not known here")
    try:
        result = OPS[operation.type](tf, **arguments)
    except Exception as error:  # whatever a damaged file makes TensorFlow raise
        raise BundleError(f"{path}: operation {operation.type} ({names[0]}): {first_line(error)}") from error
    return dict(zip(names, result if isinstance(result, tuple) else (result,), strict=True))


def _arguments(path: Path, operation: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    arguments = {}
    for key, bound in operation.inputs.items():
        found = [
            _value(path, one.value, None) if one.HasField("value") else values[one.name] for one in bound.arguments
        ]
        arguments[key] = found if key == "values" else found[0]
    return arguments
