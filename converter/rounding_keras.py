"""A network of Keras' layers before LiteRT rounds it: weights that lie on the grid already, and biases that make up for it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from bundle.engine.keras_any import import_keras
from converter.rounding import Moments, fits, nearest
from converter.subject import tensorflow

LAYERS = ("Conv2D", "DepthwiseConv2D", "Dense")


def corrected(network: Any, pictures: np.ndarray) -> Any:
    """A copy behind an input of float32 (0 to 255), with weights that rounding leaves alone, and a bias on every layer that has such."""
    keras = import_keras()
    # A layer that is used at several places has no one input; it stays as it is.
    layers = [layer for layer in network.layers if type(layer).__name__ in LAYERS and hasattr(layer, "input")]
    kernels = _kernels(keras, network, layers, pictures)
    shifts = _shifts(keras, network, layers, kernels, pictures)

    def with_bias(layer: Any) -> Any:
        config = layer.get_config()
        return type(layer).from_config({**config, "use_bias": True} if layer.name in shifts else config)

    pixels = keras.Input(network.input_shape[1:], dtype="float32", name="pixels")
    copy = keras.models.clone_model(network, input_tensors=pixels, clone_function=with_bias)
    for layer, old in zip(_inner(copy), _inner(network), strict=True):
        kept = old.get_weights()
        if old.name in shifts:
            kept = [kernels[old.name], (kept[1] if old.use_bias else 0) + shifts[old.name]]
        layer.set_weights(kept)
    return copy


def _inner(network: Any) -> list[Any]:
    return [layer for layer in network.layers if type(layer).__name__ != "InputLayer"]


def _rows(keras: Any, network: Any, outputs: list[Any], pictures: np.ndarray) -> Iterator[list[np.ndarray]]:
    """What the network has at `outputs`, a picture at a time."""
    probe = keras.Model(network.inputs[0], outputs)
    program = tensorflow().function(lambda pixels: probe(pixels, training=False), autograph=False)
    for picture in pictures:
        yield [np.asarray(row) for row in program(picture[None])]


def _kernels(keras: Any, network: Any, layers: list[Any], pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Name of a layer -> its kernel, rounded."""
    found = {layer.name: layer.get_weights()[0] for layer in layers}
    rounded = {layer.name: nearest(found[layer.name], _axes(layer)) for layer in layers}
    fit = [layer for layer in layers if _fits(layer, found[layer.name])]
    moments = [Moments(found[layer.name], type(layer).__name__ == "DepthwiseConv2D") for layer in fit]
    for row in _rows(keras, network, [layer.input for layer in fit], pictures) if fit else ():
        for one, given in zip(moments, row, strict=True):
            one.add(given[0])
    return rounded | {layer.name: one.rounded() for layer, one in zip(fit, moments, strict=True)}


def _axes(layer: Any) -> tuple[int, ...]:
    kernel = layer.get_weights()[0]
    return (0, 1) if type(layer).__name__ == "DepthwiseConv2D" else tuple(range(kernel.ndim - 1))


def _fits(layer: Any, kernel: np.ndarray) -> bool:
    if type(layer).__name__ == "Dense" or layer.data_format != "channels_last" or getattr(layer, "groups", 1) != 1:
        return False
    inputs = np.prod([kernel.shape[axis] for axis in _axes(layer)])
    return fits(int(inputs), layer.dilation_rate)


def _shifts(
    keras: Any, network: Any, layers: list[Any], rounded: dict[str, np.ndarray], pictures: np.ndarray
) -> dict[str, np.ndarray]:
    """Name of a layer -> mean of what rounding takes from each of its channels."""
    means = []
    for layer in layers:
        config = {**layer.get_config(), "activation": None, "use_bias": False, "name": f"{layer.name}_lost"}
        twin = type(layer).from_config(config)
        out = twin(layer.input)
        twin.set_weights([layer.get_weights()[0] - rounded[layer.name]])
        means.append(keras.ops.mean(out, axis=tuple(range(len(out.shape) - 1))))
    if not means:
        return {}
    rows = list(_rows(keras, network, means, pictures))
    return {layer.name: np.mean([row[at] for row in rows], axis=0) for at, layer in enumerate(layers)}
