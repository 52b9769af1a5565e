"""One layer of a Keras 2 file as a layer of Keras 3: a closed list, with what changed its name or its meaning since."""

from collections.abc import Mapping
from typing import Any

from bundle.engine.keras_any import import_keras
from bundle.errors import BundleError
from converter.about import reason

LAYERS = frozenset(
    {
        *("Conv1D", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D", "Dense", "PReLU"),
        *("BatchNormalization", "LayerNormalization", "GroupNormalization", "UnitNormalization", "Normalization"),
        *("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Rescaling"),
        *("MaxPooling2D", "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"),
        *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"),
        *("Flatten", "Reshape", "Permute", "ZeroPadding2D", "Cropping2D", "UpSampling2D"),
        *("Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization"),
    }
)
# They only change pictures in training.
AUGMENTS = frozenset(
    f"Random{what}"
    for what in (
        *("Flip", "Rotation", "Zoom", "Translation", "Contrast", "Brightness", "Height", "Width"),
        *("Shear", "ColorJitter", "Hue", "Saturation"),
    )
)
ACTIVATIONS = {
    **{
        name: name
        for name in (
            *("linear", "relu", "relu6", "softmax", "sigmoid", "tanh", "elu", "selu", "gelu", "silu", "mish"),
            *("softplus", "softsign", "exponential", "leaky_relu"),
        )
    },
    "swish": "silu",
    "softmax_v2": "softmax",
}
# What only training needs, or what is the same everywhere here.
_DROPPED = frozenset(
    {
        *("trainable", "dtype", "batch_input_shape", "batch_shape", "input_dtype", "input_shape", "batch_size"),
        *("name", "ragged", "sparse", "seed", "rng_type"),
        *("fused", "renorm", "renorm_clipping", "renorm_momentum", "virtual_batch_size", "adjustment", "synchronized"),
    }
)
_ONLY_TRAINING = ("_initializer", "_regularizer", "_constraint")


def refuse(kind: str, name: str, reason: str) -> BundleError:
    return BundleError(f"layer {name!r} ({kind}): {reason}")


def make(kind: str, config: Mapping[str, Any], name: str) -> Any:
    """A keras.Layer named `name`. Raises BundleError with the layer's name for one that is not known here."""
    layers = import_keras().layers
    if kind in AUGMENTS:
        return layers.Activation("linear", name=name)
    if kind == "Lambda":
        raise refuse(kind, name, "is Python code in a file, which is never run; build the model without Lambda layers")
    if kind not in LAYERS:
        raise refuse(kind, name, "is no layer that is imported; layers of one's own are code, not weights")
    try:
        return getattr(layers, kind)(name=name, **_settings(kind, config, name))
    except BundleError:
        raise
    except Exception as error:  # whatever settings from elsewhere make Keras raise
        raise refuse(kind, name, f"Keras does not take its settings: {reason(error)}") from None


def arithmetic(config: Mapping[str, Any], y: Any, name: str) -> Any:
    """A TFOpLambda that adds to its input or multiplies it with a number, as a layer."""
    function = str(config.get("function"))
    lines: dict[str, Any] = {
        "math.multiply": lambda: (y, 0),
        "math.truediv": lambda: (1 / y, 0),
        "math.divide": lambda: (1 / y, 0),
        "math.add": lambda: (1, y),
        "__operators__.add": lambda: (1, y),
        "math.subtract": lambda: (1, -y),
    }
    if function not in lines or isinstance(y, bool) or not isinstance(y, int | float) or not y:
        raise refuse("TFOpLambda", name, f"calls tf.{function}, which is not imported; build the model of layers alone")
    scale, offset = lines[function]()
    # As a list: tf2onnx stumbles over sums with numbers of no dimension.
    return import_keras().layers.Rescaling(scale, [offset], name=name)


def _settings(kind: str, config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The arguments that Keras 3 knows."""
    if config.get("data_format") == "channels_first":
        raise refuse(kind, name, "has its channels first, which runs on GPUs alone; save the model with channels last")
    found = {key: value for key, value in config.items() if key not in _DROPPED and not key.endswith(_ONLY_TRAINING)}
    if kind in ("DepthwiseConv2D", "SeparableConv2D") and found.pop("groups", 1) != 1:
        raise refuse(kind, name, "has groups, which Keras 3 does not know")
    if kind == "DepthwiseConv2D":
        found = {key: value for key, value in found.items() if key not in ("filters", "rank")}
    if kind == "LeakyReLU" and "alpha" in found:
        found["negative_slope"] = found.pop("alpha")
    if isinstance(axis := found.get("axis"), list | tuple) and len(axis) == 1:
        found["axis"] = axis[0]
    if "activation" in found:
        found["activation"] = _activation(kind, found["activation"], name)
    return found


def _activation(kind: str, found: Any, name: str) -> str:
    if isinstance(found, dict):  # {"class_name": "function", "config": "relu6"}
        found = found.get("config") if isinstance(found.get("config"), str) else found.get("class_name")
    word = str(found or "linear")
    if word == "hard_sigmoid":
        raise refuse(kind, name, "uses hard_sigmoid, which is another function in Keras 3")
    if word not in ACTIVATIONS:
        raise refuse(kind, name, f"uses the activation {word!r}, which is not known here")
    return ACTIVATIONS[word]
