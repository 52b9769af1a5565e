"""What the operations of an ML Program mean, in TensorFlow: named as Core ML names them, arguments too. Pictures are (n, c, h, w)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bundle.errors import BundleError

Op = Callable[..., Any]  # (tensorflow, **arguments) -> tensor, or several

# Arithmetic stays at 32 bits: which rounding 16 get is up to the device.
CASTS = {"fp16": "float32", "fp32": "float32", "int32": "int32", "bool": "bool"}
CHANNELS_LAST, CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def conv(
    tf: Any,
    x: Any,
    weight: Any,
    *,
    bias: Any = None,
    strides: Sequence[int] = (1, 1),
    pad_type: str = "valid",
    pad: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Any:
    """`weight` is (out, in / groups, height, width)."""
    pictures = tf.transpose(x, CHANNELS_LAST)
    padding = _padding(pad_type, pad)
    depthwise = groups > 1 and weight.shape[1] == 1
    if depthwise:
        kernel = np.reshape(weight, (groups, -1, *weight.shape[2:])).transpose(2, 3, 0, 1)
        result = tf.nn.depthwise_conv2d(pictures, kernel, (1, *strides, 1), padding, dilations=list(dilations))
    else:
        kernel = np.transpose(weight, (2, 3, 1, 0))
        result = tf.nn.conv2d(pictures, kernel, list(strides), padding, dilations=list(dilations))
    return tf.transpose(result if bias is None else result + bias, CHANNELS_FIRST)


def _padding(pad_type: str, pad: Sequence[int]) -> Any:
    if pad_type in ("same", "valid"):
        return pad_type.upper()
    if pad_type == "custom":
        return [[0, 0], list(pad[:2]), list(pad[2:]), [0, 0]]
    raise BundleError(f"pad_type {pad_type} is not known here")


def avg_pool(tf: Any, x: Any, *, exclude_padding_from_average: bool = False, **window: Any) -> Any:
    padded, settings = _window(tf, x, 0.0, **window)
    mean = tf.nn.avg_pool2d(padded, **settings)
    if exclude_padding_from_average:
        inside, _ = _window(tf, tf.ones_like(x[:1, :1]), 0.0, **window)
        mean = mean / tf.nn.avg_pool2d(inside, **settings)
    return tf.transpose(mean, CHANNELS_FIRST)


def max_pool(tf: Any, x: Any, **window: Any) -> Any:
    padded, settings = _window(tf, x, -np.inf, **window)
    return tf.transpose(tf.nn.max_pool2d(padded, **settings), CHANNELS_FIRST)


def _window(
    tf: Any,
    x: Any,
    fill: float,
    *,
    kernel_sizes: Sequence[int],
    pad_type: str,
    strides: Sequence[int] = (1, 1),
    pad: Sequence[int] = (0, 0, 0, 0),
    ceil_mode: bool = False,
) -> tuple[Any, dict[str, Any]]:
    """Channels last and padded, and how to walk over it."""
    if ceil_mode:
        raise BundleError("ceil_mode is not known here")
    if _padding(pad_type, pad) == "SAME":
        pad = [side for axis in (0, 1) for side in _same(x.shape[2 + axis], kernel_sizes[axis], strides[axis])]
    elif pad_type == "valid":
        pad = (0, 0, 0, 0)
    padded = tf.pad(x, [[0, 0], [0, 0], list(pad[:2]), list(pad[2:])], constant_values=fill)
    walk = {"ksize": list(kernel_sizes), "strides": list(strides), "padding": "VALID"}
    return tf.transpose(padded, CHANNELS_LAST), walk


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return missing // 2, missing - missing // 2


def batch_norm(
    tf: Any, x: Any, *, mean: Any, variance: Any, gamma: Any = None, beta: Any = None, epsilon: float = 1e-5
) -> Any:
    def wide(value: Any) -> Any:
        return None if value is None else tf.reshape(value, [-1] + [1] * (len(x.shape) - 2))

    return tf.nn.batch_normalization(x, wide(mean), wide(variance), wide(beta), wide(gamma), epsilon)


def layer_norm(tf: Any, x: Any, axes: Any = None, *, gamma: Any = None, beta: Any = None, epsilon: float = 1e-5) -> Any:
    mean, variance = tf.nn.moments(x, list(range(len(x.shape))) if axes is None else list(axes), keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon)


def linear(tf: Any, x: Any, weight: Any, *, bias: Any = None) -> Any:
    """`weight` is (out, in)."""
    result = tf.matmul(x, np.transpose(weight))
    return result if bias is None else result + bias


def matmul(tf: Any, x: Any, y: Any, *, transpose_x: bool = False, transpose_y: bool = False) -> Any:
    return tf.matmul(x, y, transpose_a=bool(transpose_x), transpose_b=bool(transpose_y))


def gelu(tf: Any, x: Any, *, mode: str = "EXACT") -> Any:
    if mode not in ("EXACT", "TANH_APPROXIMATION"):
        raise BundleError(f"mode {mode} is not known here")
    return tf.nn.gelu(x, approximate=mode != "EXACT")


def pad(tf: Any, x: Any, pad: Any, *, mode: str = "constant", constant_val: float = 0.0) -> Any:
    """`pad` is of the last axes."""
    sides = np.reshape(pad, (-1, 2))
    whole = np.concatenate([np.zeros((len(x.shape) - len(sides), 2), np.int32), sides])
    return tf.pad(x, whole, mode=mode, constant_values=constant_val)


def reshape(tf: Any, x: Any, shape: Any) -> Any:
    """0 keeps a size."""
    if isinstance(shape, np.ndarray):
        shape = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    return tf.reshape(x, shape)


def expand_dims(tf: Any, x: Any, axes: Any) -> Any:
    rank = len(x.shape) + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = tf.expand_dims(x, axis)
    return x


def slice_by_index(
    tf: Any, x: Any, begin: Any, end: Any, *, stride: Any = None, begin_mask: Any = (), end_mask: Any = (), squeeze_mask: Any = ()
) -> Any:
    def bits(mask: Any) -> int:
        return sum(1 << axis for axis, told in enumerate(mask) if told)

    return tf.strided_slice(
        x, begin, end, stride, begin_mask=bits(begin_mask), end_mask=bits(end_mask), shrink_axis_mask=bits(squeeze_mask)
    )


def split(tf: Any, x: Any, axis: int, *, num_splits: Any = None, split_sizes: Any = None) -> Any:
    return tuple(tf.split(x, int(num_splits) if split_sizes is None else split_sizes, axis))


def concat(tf: Any, values: Any, axis: int, *, interleave: bool = False) -> Any:
    if interleave:
        raise BundleError("interleave is not known here")
    return tf.concat(values, axis)


def gather(tf: Any, x: Any, indices: Any, *, axis: int = 0, batch_dims: int = 0, validate_indices: bool = False) -> Any:
    del validate_indices  # TensorFlow always does
    return tf.gather(x, indices, axis=axis, batch_dims=int(batch_dims))


def one_hot(
    tf: Any, indices: Any, one_hot_vector_size: Any, *, axis: int = -1, on_value: Any = 1, off_value: Any = 0
) -> Any:
    return tf.one_hot(indices, one_hot_vector_size, on_value, off_value, axis)


def dequantise(tf: Any, *, quantized_data: Any, zero_point: Any, scale: Any, axis: int) -> Any:
    """8-bit weights; scale and zero point are one, or one for each place on `axis`. At load, by NumPy, since it is constant."""
    del tf
    shape = [-1 if place == axis else 1 for place in range(quantized_data.ndim)]

    def wide(value: Any) -> Any:
        return np.reshape(value, shape) if np.ndim(value) else value

    return (quantized_data.astype(np.float32) - wide(np.float32(zero_point))) * wide(np.float32(scale))


def cast(tf: Any, x: Any, dtype: str) -> Any:
    if dtype not in CASTS:
        raise BundleError(f"dtype {dtype} is not known here")
    return tf.cast(x, CASTS[dtype])


def _reduce(name: str) -> Op:
    def reduce(tf: Any, x: Any, *, axes: Any = None, keep_dims: bool = False) -> Any:
        return getattr(tf, name)(x, None if axes is None else list(axes), bool(keep_dims))

    return reduce


def _argmax(tf: Any, x: Any, *, axis: int = -1, keep_dims: bool = True) -> Any:
    best = tf.argmax(x, axis, "int32")
    return tf.expand_dims(best, axis) if keep_dims else best


BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "real_div": "divide",
    "floor_div": "math.floordiv",
    "mod": "math.floormod",
    "pow": "pow",
    "maximum": "maximum",
    "minimum": "minimum",
    "equal": "equal",
    "not_equal": "not_equal",
    "less": "less",
    "less_equal": "less_equal",
    "greater": "greater",
    "greater_equal": "greater_equal",
    "logical_and": "logical_and",
    "logical_or": "logical_or",
}
UNARY = {
    "relu": "nn.relu",
    "relu6": "nn.relu6",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "silu": "nn.silu",
    "softplus": "math.softplus",
    "exp": "exp",
    "erf": "math.erf",
    "sqrt": "sqrt",
    "square": "square",
    "abs": "abs",
    "sign": "sign",
    "floor": "floor",
    "logical_not": "logical_not",
    "identity": "identity",
    "shape": "shape",
}


def _named(path: str) -> Op:
    def op(tf: Any, *, x: Any, **other: Any) -> Any:
        found = tf
        for part in path.split("."):
            found = getattr(found, part)
        return found(x, **other)

    return op


OPS: dict[str, Op] = {
    **{mil: _named(path) for mil, path in (BINARY | UNARY).items()},
    **{name: _reduce(name) for name in ("reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod")},
    **{op.__name__: op for op in (conv, avg_pool, max_pool, batch_norm, layer_norm, linear, matmul, gelu, pad, cast)},
    **{op.__name__: op for op in (reshape, expand_dims, slice_by_index, split, concat, gather, one_hot)},
    "constexpr_affine_dequantize": dequantise,
    "reduce_argmax": _argmax,
    "softmax": lambda tf, x, axis=-1: tf.nn.softmax(x, axis),
    "leaky_relu": lambda tf, x, alpha: tf.nn.leaky_relu(x, alpha),
    "sigmoid_hard": lambda tf, x, alpha, beta: tf.clip_by_value(alpha * x + beta, 0.0, 1.0),
    "clip": lambda tf, x, alpha, beta: tf.clip_by_value(x, alpha, beta),
    "rsqrt": lambda tf, x, epsilon=1e-12: tf.math.rsqrt(x + epsilon),
    "log": lambda tf, x, epsilon=1e-45: tf.math.log(x + epsilon),
    "inverse": lambda tf, x, epsilon=1e-4: 1.0 / (x + epsilon),
    "transpose": lambda tf, x, perm: tf.transpose(x, perm),
    "squeeze": lambda tf, x, axes=None: tf.squeeze(x, None if axes is None else list(axes)),
    "stack": lambda tf, values, axis: tf.stack(values, axis),
    "tile": lambda tf, x, reps: tf.tile(x, reps),
    "fill": lambda tf, shape, value=0.0: tf.fill(shape, value),
    "select": lambda tf, cond, a, b: tf.where(cond, a, b),
    "slice_by_size": lambda tf, x, begin, size: tf.slice(x, begin, size),
    "gather_nd": lambda tf, x, indices, batch_dims=0: tf.gather_nd(x, indices, int(batch_dims)),
    "gather_along_axis": lambda tf, x, indices, axis=0: tf.experimental.numpy.take_along_axis(x, indices, axis),
}
