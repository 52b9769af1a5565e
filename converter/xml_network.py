"""The two TensorFlow programs of a bundle that makes XML: the picture once, then a step a token, with every shape fixed.

Core ML and LiteRT know no caches that grow, so these are as long as a document can be and a position says how much of them counts.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from bundle.engine.keras_any import hushed, import_keras
from bundle.errors import BundleError
from converter.subject import Subject, tensorflow
from converter.xml_layers import CACHES, MEMORY, Block, Dense, Sizes, attentions, dense, layer, norm, weights

# Of places that are not written yet: its exponential is 0, and fp16 holds it.
UNSEEN = -1e4


def sizes(subject: Subject) -> Sizes:
    """As the Keras layers have them. Raises BundleError for layers that do not fit the manifest or are not those of image to XML."""
    manifest, network = subject.manifest, subject.network
    if manifest.kind != "xml":
        raise BundleError(f"{subject.directory}: a {manifest.kind}, not a model that makes XML")
    positions, tokens = (weights(subject, name)[0].shape[0] for name in ("position", "token"))
    if positions < manifest.most_tokens or tokens != manifest.vocabulary:
        raise BundleError(
            f"{subject.directory}: model.keras has {positions} positions and {tokens} tokens, "
            f"{manifest.most_tokens} and {manifest.vocabulary} wanted by manifest.json; write the bundle again"
        )
    return Sizes(
        height=subject.spec.height,
        width=subject.spec.width,
        layers=len(attentions(subject, "cross")),
        heads=layer(subject, "self_0").num_heads,
        size=layer(subject, "self_0").key_dim,
        places=network.get_layer("memory").output.shape[1],
        tokens=tokens,
        most=manifest.most_tokens,
    )


def encoder(subject: Subject, *, name: str = "pixels", floating: bool = False) -> Any:
    """A tf.ConcreteFunction: pixels (1, h, w, 3), uint8 or float32 of 0 to 255 -> memory_keys (layers, 1, heads, size, m),
    memory_values (layers, 1, heads, m, size), float32."""
    tf, wanted = tensorflow(), sizes(subject)
    look, crosses = _looking(subject), attentions(subject, "cross")
    keys, values = ([Dense(*dense(cross, part)) for cross in crosses] for part in ("key", "value"))

    def stacked(denses: list[Dense], memory: Any, turn: list[int]) -> Any:
        shape = (1, wanted.places, wanted.heads, wanted.size)
        return tf.stack([tf.transpose(tf.reshape(dense(memory), shape), turn) for dense in denses])

    def run(**given: Any) -> dict[str, Any]:
        pixels = given[name]
        memory = look(pixels if floating else tf.cast(pixels, tf.float32), training=False)
        memory = tf.reshape(memory, (wanted.places, -1))
        turned = stacked(keys, memory, [0, 2, 3, 1]), stacked(values, memory, [0, 2, 1, 3])
        return _named(dict(zip(MEMORY, turned, strict=True)))

    (shape,) = wanted.encoder(name)[0].values()
    return _concrete(run, {name: (shape, tf.float32 if floating else tf.uint8)})


def step(subject: Subject) -> Any:
    """A tf.ConcreteFunction: token, position int32 (1,), cache_keys, cache_values (layers, 1, heads, most, size), what the encoder gave
    -> logits (1, tokens), and the caches with this token's row at its position. Rows from the position on may hold any finite numbers."""
    tf, wanted = tensorflow(), sizes(subject)
    embedded, placed = weights(subject, "token")[0], weights(subject, "position")[0][: wanted.most]
    places = np.arange(wanted.most, dtype=np.int32)
    blocks = [Block(subject, at, wanted) for at in range(wanted.layers)]
    last, logits = norm(subject, "norm_last"), Dense(*weights(subject, "logits"))

    def run(**given: Any) -> dict[str, Any]:
        position = given["position"]
        x = tf.gather(embedded, given["token"]) + tf.gather(placed, position)
        here = tf.reshape(tf.cast(tf.equal(places, position), tf.float32), (1, 1, wanted.most, 1))
        later = tf.reshape(tf.cast(tf.greater(places, position), tf.float32), (1, 1, 1, wanted.most)) * UNSEEN
        rows = (tf.unstack(given[name]) for name in (*CACHES, *MEMORY))
        grown = []
        for block, *held in zip(blocks, *rows, strict=True):
            x, keys, values = block.run(x, here, later, *held)
            grown.append((keys, values))
        keys, values = (tf.stack(stack) for stack in zip(*grown, strict=True))
        return _named({"logits": logits(last(x)), "new_cache_keys": keys, "new_cache_values": values})

    into = wanted.step()[0]
    whole = ("token", "position")
    return _concrete(run, {name: (into[name], tf.int32 if name in whole else tf.float32) for name in into})


def _looking(subject: Subject) -> Any:
    """keras.Model: float32 pixels of 0 to 255 -> what the decoder looks at (n, m, width). The layers are the network's own."""
    keras = import_keras()
    layer(subject, "memory")

    def shared(one: Any) -> Any:
        return _floating(one, shared) if isinstance(one, keras.Model) else one

    model = keras.Model(subject.network.inputs[0], subject.network.get_layer("memory").output, name="encoder")
    with hushed():
        return _floating(model, shared)


def _floating(model: Any, shared: Callable[[Any], Any]) -> Any:
    """The same layers behind an input of float32: Keras would cast to uint8 and back what its input says is uint8."""
    keras = import_keras()
    pixels = keras.Input(model.inputs[0].shape[1:], dtype="float32", name="pixels")
    return keras.models.clone_model(model, input_tensors=pixels, clone_function=shared)


def _named(outputs: dict[str, Any]) -> dict[str, Any]:
    return {name: tensorflow().identity(value, name=name) for name, value in outputs.items()}


def _concrete(run: Callable[..., Any], inputs: dict[str, tuple[list[int], Any]]) -> Any:
    tf = tensorflow()
    specs = {name: tf.TensorSpec(shape, kind, name=name) for name, (shape, kind) in inputs.items()}
    return tf.function(run, autograph=False).get_concrete_function(**specs)
