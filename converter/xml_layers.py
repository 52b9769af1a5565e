"""The layers of a network that `imago train xml` made, by name, and what each is for one token."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bundle.errors import BundleError
from converter.subject import Subject, tensorflow

MEMORY = ("memory_keys", "memory_values")
CACHES = ("cache_keys", "cache_values")
GROWN = ("new_cache_keys", "new_cache_values")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    height: int
    width: int
    layers: int
    heads: int
    size: int  # of a head
    places: int  # of the picture that the decoder looks at
    tokens: int
    most: int  # tokens of a document, and places of a cache

    def encoder(self, image: str) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """Shapes of what goes in and comes out; `image` is the name of the pixels."""
        return {image: [1, self.height, self.width, 3]}, self._memory()

    def step(self) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        cache = [self.layers, 1, self.heads, self.most, self.size]
        into = {"token": [1], "position": [1], **dict.fromkeys(CACHES, cache), **self._memory()}
        return into, {"logits": [1, self.tokens], **dict.fromkeys(GROWN, cache)}

    def _memory(self) -> dict[str, list[int]]:
        """Keys are turned, ready to be multiplied."""
        keys, values = (self.size, self.places), (self.places, self.size)
        return {name: [self.layers, 1, self.heads, *last] for name, last in zip(MEMORY, (keys, values), strict=True)}


class Dense:
    """x (n, d) -> (n, k)."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, scale: float = 1.0) -> None:
        self.bias = bias.reshape(-1) * np.float32(scale)
        self.kernel = kernel.reshape(-1, self.bias.size) * np.float32(scale)

    def __call__(self, x: Any) -> Any:
        return tensorflow().matmul(x, self.kernel) + self.bias


class Block:
    """One layer of the decoder, for one token."""

    def __init__(self, subject: Subject, at: int, wanted: Sizes) -> None:
        self.wanted = wanted
        self.norms = [norm(subject, f"norm_{part}_{at}") for part in ("self", "cross", "dense")]
        self.wide, self.narrow = (Dense(*weights(subject, f"{part}_{at}")) for part in ("wide", "narrow"))
        mine, cross = layer(subject, f"self_{at}"), layer(subject, f"cross_{at}")
        scale = wanted.size**-0.5  # of the scores, so that no step has to multiply by it
        self.query, self.asked = (Dense(*dense(one, "query"), scale) for one in (mine, cross))
        self.key, self.value = (Dense(*dense(mine, part)) for part in ("key", "value"))
        self.out, self.told = (Dense(*dense(one, "output")) for one in (mine, cross))

    def run(self, x: Any, here: Any, later: Any, *held: Any) -> tuple[Any, Any, Any]:
        """`held`: this layer's caches and memory. Gives x and the caches with this token."""
        tf = tensorflow()
        keys, values, memory_keys, memory_values = held
        y = self.norms[0](x)
        # 0 and 1 choose between the row that was there and the new one: no runtime has to scatter.
        keys = keys * (1.0 - here) + self._headed(self.key(y)) * here
        values = values * (1.0 - here) + self._headed(self.value(y)) * here
        scores = tf.matmul(self._headed(self.query(y)), keys, transpose_b=True) + later
        x = x + self.out(self._flat(tf.matmul(tf.nn.softmax(scores), values)))
        scores = tf.matmul(self._headed(self.asked(self.norms[1](x))), memory_keys)
        x = x + self.told(self._flat(tf.matmul(tf.nn.softmax(scores), memory_values)))
        return x + self.narrow(tf.nn.relu(self.wide(self.norms[2](x)))), keys, values

    def _headed(self, x: Any) -> Any:
        return tensorflow().reshape(x, (1, self.wanted.heads, 1, self.wanted.size))

    def _flat(self, x: Any) -> Any:
        return tensorflow().reshape(x, (1, self.wanted.heads * self.wanted.size))


def norm(subject: Subject, name: str) -> Callable[[Any], Any]:
    scale, shift = weights(subject, name)
    epsilon = layer(subject, name).epsilon

    def run(x: Any) -> Any:
        tf = tensorflow()
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(centred * centred, axis=-1, keepdims=True)
        return centred * tf.math.rsqrt(variance + epsilon) * scale + shift

    return run


def attentions(subject: Subject, kind: str) -> list[Any]:
    names = {one.name for one in subject.network.layers}
    return [layer(subject, f"{kind}_{at}") for at in range(len(names)) if f"{kind}_{at}" in names]


def layer(subject: Subject, name: str) -> Any:
    """Raises BundleError."""
    try:
        return subject.network.get_layer(name)
    except ValueError:
        raise BundleError(
            f"{subject.directory}: model.keras has no layer {name}, so it is none that `imago train xml` made; "
            "export it with --to onnx"
        ) from None


def weights(subject: Subject, name: str) -> Any:
    """A list of arrays."""
    return layer(subject, name).get_weights()


def dense(attention: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
    kernel, bias = getattr(attention, f"{part}_dense").get_weights()
    return kernel, bias
