"""A Core ML neural network, read from its .mlmodel and run layer by layer: each layer is one operation of an ML Program."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.errors import BundleError
from converter.about import reason
from converter.coreml_ops import OPS
from converter.coreml_program import Program
from converter.coreml_spec import compiled, image_inputs, metadata, parsed, pixels, whole
from converter.subject import tensorflow

Layer = Callable[..., Any]  # (tensorflow, parameters, *inputs) -> tensor, or several
RANK4 = 1  # imageInputShapeMapping: pictures come as (1, 3, h, w), not (1, 1, 3, h, w)


def load(path: Path) -> Program:
    """Raises BundleError for a damaged file and for what this interpreter does not know; MissingExtra."""
    return whole(path, lambda: _network(path))


def _network(path: Path) -> Program:
    spec = parsed(path)
    if spec.WhichOneof("Type") != "neuralNetworkClassifier":
        raise BundleError("not a neural network that classifies")
    network, pictures = spec.neuralNetworkClassifier, image_inputs(spec)
    if network.imageInputShapeMapping != RANK4:
        raise BundleError("pictures of rank 5 are not known here")
    sizes = {one.name: one.type.imageType for one in spec.description.input if one.name in pictures}
    inputs: dict[str, tuple[int, ...]] = {name: (1, size.height, size.width, 3) for name, size in sizes.items()}
    return Program(
        path=path,
        runtime="an interpreter of neural networks on TensorFlow",
        inputs=inputs,
        outputs=(network.labelProbabilityLayerName,),
        labels=tuple(network.stringClassLabels.vector),
        metadata=metadata(spec),
        call=_compiled(network, pictures, {name: (shape, "float32") for name, shape in inputs.items()}),
    )


def _compiled(network: Any, pictures: Mapping[str, str], inputs: Any) -> Callable[..., Any]:
    """(pictures by name) -> scores by name."""
    tf = tensorflow()

    def call(**given: Any) -> dict[str, Any]:
        values = {name: pixels(tf, value, pictures[name]) for name, value in given.items()}
        for step in network.preprocessing:
            values[step.featureName] = _scaled(step, values[step.featureName], pictures[step.featureName])
        for layer in network.layers:
            values |= _results(tf, layer, values)
        return {network.labelProbabilityLayerName: values[network.labelProbabilityLayerName]}

    return compiled(tf, call, inputs)


def _scaled(step: Any, picture: Any, order: str) -> Any:
    if step.WhichOneof("preprocessor") != "scaler":
        raise BundleError(f"preprocessing {step.WhichOneof('preprocessor')} is not known here")
    scaler = step.scaler
    biases = [scaler.redBias, scaler.greenBias, scaler.blueBias]
    shift = np.array(biases if order == "RGB" else biases[::-1], np.float32).reshape(3, 1, 1)
    return picture * scaler.channelScale + shift


def _results(tf: Any, layer: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    kind = layer.WhichOneof("layer")
    if kind not in LAYERS:
        raise BundleError(f"layer {kind} ({layer.name}) is not known here")
    try:
        result = LAYERS[kind](tf, getattr(layer, kind), *(values[name] for name in layer.input))
    except Exception as error:  # whatever a damaged file makes TensorFlow raise
        raise BundleError(f"layer {kind} ({layer.name}): {reason(error)}") from error
    return dict(zip(layer.output, result if isinstance(result, tuple) else (result,), strict=True))


# ---- weights -------------------------------------------------------------------------------


def _weights(held: Any, shape: Sequence[int]) -> np.ndarray:
    """float32 of `shape`, from 16 bits or 32."""
    if held.rawValue or held.int8RawValue:
        raise BundleError("weights of 8 bits and fewer are not known here")
    if held.float16Value:
        return np.frombuffer(held.float16Value, np.float16).astype(np.float32).reshape(shape)
    return np.array(held.floatValue, np.float32).reshape(shape)


def _bias(layer: Any, size: int) -> np.ndarray | None:
    return _weights(layer.bias, [size]) if layer.hasBias else None


# ---- layers --------------------------------------------------------------------------------


def _convolution(tf: Any, layer: Any, x: Any) -> Any:
    if layer.isDeconvolution:
        raise BundleError("isDeconvolution is not known here")
    groups = layer.nGroups or 1
    shape = (layer.outputChannels, layer.kernelChannels, *(layer.kernelSize or (3, 3)))
    return OPS["conv"](
        tf,
        x=x,
        weight=_weights(layer.weights, shape),
        bias=_bias(layer, layer.outputChannels),
        strides=layer.stride or (1, 1),
        dilations=layer.dilationFactor or (1, 1),
        groups=groups,
        **_padding(layer),
    )


def _padding(layer: Any) -> dict[str, Any]:
    kind = layer.WhichOneof(next(one.name for one in layer.DESCRIPTOR.oneofs if one.name.endswith("PaddingType")))
    if kind == "same" and not layer.same.asymmetryMode:
        return {"pad_type": "same"}
    if kind == "valid":
        sides = [
            side for one in layer.valid.paddingAmounts.borderAmounts for side in (one.startEdgeSize, one.endEdgeSize)
        ]
        return {"pad_type": "custom", "pad": sides or (0, 0, 0, 0)}
    raise BundleError(f"padding {kind} is not known here")


def _pooling(tf: Any, layer: Any, x: Any) -> Any:
    mode = layer.PoolingType.Name(layer.type)
    if mode not in ("MAX", "AVERAGE"):
        raise BundleError(f"pooling {mode} is not known here")
    if layer.globalPooling:
        return OPS["reduce_max" if mode == "MAX" else "reduce_mean"](tf, x=x, axes=(2, 3), keep_dims=True)
    window = {"kernel_sizes": layer.kernelSize or (3, 3), "strides": layer.stride or (1, 1), **_padding(layer)}
    if mode == "MAX":
        return OPS["max_pool"](tf, x=x, **window)
    return OPS["avg_pool"](tf, x=x, exclude_padding_from_average=layer.avgPoolExcludePadding, **window)


def _inner_product(tf: Any, layer: Any, x: Any) -> Any:
    weight = _weights(layer.weights, (layer.outputChannels, layer.inputChannels))
    return OPS["linear"](tf, x=x, weight=weight, bias=_bias(layer, layer.outputChannels))


def _batched_matmul(tf: Any, layer: Any, x: Any, *other: Any) -> Any:
    if other:
        return OPS["matmul"](tf, x=x, y=other[0], transpose_x=layer.transposeA, transpose_y=layer.transposeB)
    rows, columns = layer.weightMatrixFirstDimension, layer.weightMatrixSecondDimension
    weight = _weights(layer.weights, (columns, rows))  # the file holds it transposed
    return OPS["linear"](tf, x=x, weight=weight, bias=_bias(layer, columns))


def _batchnorm(tf: Any, layer: Any, x: Any) -> Any:
    if layer.computeMeanVar or layer.instanceNormalization:
        raise BundleError("normalisation by the picture's own mean is not known here")
    parts = {name: _weights(getattr(layer, name), [layer.channels]) for name in ("gamma", "beta", "mean", "variance")}
    return OPS["batch_norm"](tf, x=x, epsilon=layer.epsilon, **parts)


def _pad(tf: Any, layer: Any, x: Any) -> Any:
    kind = layer.WhichOneof("PaddingType")
    if kind != "constant":
        raise BundleError(f"padding {kind} is not known here")
    sides = [side for one in layer.paddingAmounts.borderAmounts for side in (one.startEdgeSize, one.endEdgeSize)]
    return OPS["pad"](tf, x=x, pad=sides, constant_val=layer.constant.value)


def _activation(tf: Any, layer: Any, x: Any) -> Any:
    kind = layer.WhichOneof("NonlinearityType")
    told = getattr(layer, kind)
    if kind == "linear":
        return told.alpha * x + told.beta
    if kind in ("leakyReLU", "sigmoidHard"):
        found = {one.name: getattr(told, one.name) for one in told.DESCRIPTOR.fields}
        return OPS["leaky_relu" if kind == "leakyReLU" else "sigmoid_hard"](tf, x=x, **found)
    if kind not in ("ReLU", "tanh", "sigmoid", "softplus"):
        raise BundleError(f"activation {kind} is not known here")
    return OPS[kind.lower()](tf, x=x)


def _unary(tf: Any, layer: Any, x: Any) -> Any:
    kind = layer.Operation.Name(layer.type)
    x = layer.scale * x + layer.shift
    steps: dict[str, Callable[[], Any]] = {
        "THRESHOLD": lambda: tf.maximum(x, layer.alpha),
        "POWER": lambda: x**layer.alpha,
        "RSQRT": lambda: tf.math.rsqrt(x + layer.epsilon),
        "INVERSE": lambda: 1.0 / (x + layer.epsilon),
        "SQRT": lambda: tf.sqrt(x),
        "EXP": lambda: tf.exp(x),
        "LOG": lambda: tf.math.log(x + layer.epsilon),
        "ABS": lambda: tf.abs(x),
    }
    return steps[kind]()


def _reduce(name: str) -> Layer:
    def reduce(tf: Any, layer: Any, x: Any) -> Any:
        axes = None if layer.reduceAll else list(layer.axes)
        return OPS[name](tf, x=x, axes=axes, keep_dims=layer.keepDims)

    return reduce


def _concat(tf: Any, layer: Any, *inputs: Any) -> Any:
    if layer.sequenceConcat:
        raise BundleError("sequenceConcat is not known here")
    return OPS["concat"](tf, values=inputs, axis=-3)  # channels


def _constant(tf: Any, layer: Any) -> Any:
    return tf.constant(_weights(layer.data, layer.shape))


def _folded(name: str, neutral: float) -> Layer:
    """add and multiply: of all inputs and, where there is one input, of alpha."""

    def fold(tf: Any, layer: Any, *inputs: Any) -> Any:
        result = inputs[0]
        for other in inputs[1:] or [getattr(layer, "alpha", neutral)]:
            result = OPS[name](tf, x=result, y=other)
        return result

    return fold


LAYERS: dict[str, Layer] = {
    "convolution": _convolution,
    "pooling": _pooling,
    "innerProduct": _inner_product,
    "batchedMatmul": _batched_matmul,
    "batchnorm": _batchnorm,
    "padding": _pad,
    "activation": _activation,
    "unary": _unary,
    "reduceMean": _reduce("reduce_mean"),
    "reduceMax": _reduce("reduce_max"),
    "reduceSum": _reduce("reduce_sum"),
    "loadConstantND": _constant,
    "add": _folded("add", 0.0),
    "multiply": _folded("mul", 1.0),
    "addBroadcastable": _folded("add", 0.0),
    "multiplyBroadcastable": _folded("mul", 1.0),
    "subtractBroadcastable": lambda tf, layer, x, y: x - y,
    "divideBroadcastable": lambda tf, layer, x, y: x / y,
    "concatND": lambda tf, layer, *inputs: OPS["concat"](
        tf, values=inputs, axis=layer.axis, interleave=layer.interleave
    ),
    "concat": _concat,
    "softmaxND": lambda tf, layer, x: tf.nn.softmax(x, layer.axis),
    "clip": lambda tf, layer, x: tf.clip_by_value(x, layer.minVal, layer.maxVal),
    "transpose": lambda tf, layer, x: tf.transpose(x, list(layer.axes)),
    "reshapeStatic": lambda tf, layer, x: tf.reshape(x, list(layer.targetShape)),
    "squeeze": lambda tf, layer, x: tf.squeeze(x, None if layer.squeezeAll else list(layer.axes)),
    "expandDims": lambda tf, layer, x: OPS["expand_dims"](tf, x=x, axes=list(layer.axes)),
    "flattenTo2D": lambda tf, layer, x: tf.reshape(x, [math.prod(x.shape[: layer.axis]), -1]),
    "tanh": lambda tf, layer, x: tf.tanh(x),
    "erf": lambda tf, layer, x: tf.math.erf(x),
}
