"""What the operations of an ML Program mean, in TensorFlow: named as Core ML names them, arguments too. Pictures are (n, c, h, w)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bundle.errors import BundleError

Op = Callable[..., Any]  # (tensorflow, **arguments) -> tensor, or several

# Arithmetic stays at 32 bits: which rounding 16 get is up to the device.
CASTS = {"fp16": "float32", "fp32": "float32", "int32": "int32", "bool": "bool"}
CHANNELS_LAST, CHANNELS_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Window:
    """How a convolution or a pooling walks over a picture."""

    kernel_sizes: Sequence[int] = ()
    strides: Sequence[int] = (1, 1)
    dilations: Sequence[int] = (1, 1)
    pad_type: str = "valid"
    pad: Sequence[int] = (0, 0, 0, 0)  # top, bottom, left, right; of pad_type custom
    groups: int = 1
    ceil_mode: bool = False
    exclude_padding_from_average: bool = False

    def __post_init__(self) -> None:
        if self.pad_type not in ("valid", "custom", "same"):
            raise BundleError(f"pad_type {self.pad_type} is not known here")
        if self.ceil_mode:
            raise BundleError("ceil_mode is not known here")

    def padded(self, tf: Any, x: Any, fill: float) -> Any:
        """Channels last. Padded here, since TensorFlow's explicit padding ends the process where a depthwise kernel meets it."""
        sides: list[Sequence[int]]
        if self.pad_type == "same":
            sides = [_same(x.shape[2 + axis], self._reach(axis), self.strides[axis]) for axis in (0, 1)]
        else:
            sides = [self.pad[:2], self.pad[2:]] if self.pad_type == "custom" else [(0, 0), (0, 0)]
        pictures = tf.transpose(x, CHANNELS_LAST)
        if not np.any(sides):
            return pictures
        return tf.pad(pictures, [[0, 0], list(sides[0]), list(sides[1]), [0, 0]], constant_values=fill)

    def _reach(self, axis: int) -> int:
        return (self.kernel_sizes[axis] - 1) * self.dilations[axis] + 1


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return missing // 2, missing - missing // 2


def conv(tf: Any, x: Any, weight: Any, bias: Any = None, **window: Any) -> Any:
    """`weight` is (out, in / groups, height, width)."""
    walk = Window(kernel_sizes=weight.shape[2:], **window)
    pictures, dilations = walk.padded(tf, x, 0.0), list(walk.dilations)
    if walk.groups > 1 and weight.shape[1] == 1:
        kernel = np.reshape(weight, (walk.groups, -1, *weight.shape[2:])).transpose(2, 3, 0, 1)
        result = tf.nn.depthwise_conv2d(pictures, kernel, [1, *walk.strides, 1], "VALID", dilations=dilations)
    else:
        kernel = np.transpose(weight, (2, 3, 1, 0))
        result = tf.nn.conv2d(pictures, kernel, list(walk.strides), "VALID", dilations=dilations)
    return tf.transpose(result if bias is None else result + bias, CHANNELS_FIRST)


def avg_pool(tf: Any, x: Any, **window: Any) -> Any:
    walk = Window(**window)
    settings = {"ksize": list(walk.kernel_sizes), "strides": list(walk.strides), "padding": "VALID"}
    mean = tf.nn.avg_pool2d(walk.padded(tf, x, 0.0), **settings)
    if walk.exclude_padding_from_average:
        mean = mean / tf.nn.avg_pool2d(walk.padded(tf, tf.ones_like(x[:1, :1]), 0.0), **settings)
    return tf.transpose(mean, CHANNELS_FIRST)


def max_pool(tf: Any, x: Any, **window: Any) -> Any:
    walk = Window(**window)
    best = tf.nn.max_pool2d(walk.padded(tf, x, -np.inf), list(walk.kernel_sizes), list(walk.strides), "VALID")
    return tf.transpose(best, CHANNELS_FIRST)


def batch_norm(tf: Any, x: Any, mean: Any, variance: Any, **affine: Any) -> Any:
    def wide(value: Any) -> Any:
        return tf.reshape(value, [-1] + [1] * (len(x.shape) - 2)) if np.ndim(value) else value

    return _normalised(tf, x, (wide(mean), wide(variance)), **{name: wide(value) for name, value in affine.items()})


def layer_norm(tf: Any, x: Any, axes: Any = None, **affine: Any) -> Any:
    moments = tf.nn.moments(x, list(range(len(x.shape))) if axes is None else list(axes), keepdims=True)
    return _normalised(tf, x, moments, **affine)


def _normalised(tf: Any, x: Any, moments: Any, **affine: Any) -> Any:
    _only(affine, "gamma", "beta", "epsilon")
    offset, scale = affine.get("beta"), affine.get("gamma")
    return tf.nn.batch_normalization(x, *moments, offset, scale, affine.get("epsilon", 1e-5))


def _only(told: Collection[str], *known: str) -> None:
    if strange := set(told) - set(known):
        raise BundleError(f"{sorted(strange)[0]} is not known here")


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


def slice_by_index(tf: Any, x: Any, begin: Any, end: Any, **more: Any) -> Any:
    _only(more, "stride", "begin_mask", "end_mask", "squeeze_mask")
    names = {"begin_mask": "begin_mask", "end_mask": "end_mask", "squeeze_mask": "shrink_axis_mask"}
    masks = {ours: _bits(more.get(theirs, ())) for theirs, ours in names.items()}
    return tf.strided_slice(x, begin, end, more.get("stride"), **masks)


def _bits(mask: Any) -> int:
    return sum(1 << axis for axis, told in enumerate(mask) if told)


def split(tf: Any, x: Any, axis: int, *, num_splits: Any = None, split_sizes: Any = None) -> Any:
    return tuple(tf.split(x, int(num_splits) if split_sizes is None else split_sizes, axis))


def concat(tf: Any, values: Any, axis: int, *, interleave: bool = False) -> Any:
    if interleave:
        raise BundleError("interleave is not known here")
    return tf.concat(values, axis)


def gather(tf: Any, x: Any, indices: Any, axis: int = 0, **more: Any) -> Any:
    _only(more, "batch_dims", "validate_indices")
    return tf.gather(x, indices, axis=axis, batch_dims=int(more.get("batch_dims", 0)))


def one_hot(tf: Any, indices: Any, one_hot_vector_size: Any, axis: int = -1, **values: Any) -> Any:
    _only(values, "on_value", "off_value")
    return tf.one_hot(indices, one_hot_vector_size, values.get("on_value", 1), values.get("off_value", 0), axis)


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
