"""The whole network of a classifier, in Keras' layers: a backbone and a head behind it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bundle import canonical
from bundle.engine import Engine
from bundle.engine.keras_any import import_keras
from bundle.errors import BundleError
from training import backbones, whole
from training.data.cache import Cache
from training.data.photos import Photo, Photos
from training.dense import Dense, Layers
from training.features import Extractor
from training.run import Run

# Scores of one picture by two engines, or by one engine on two machines, differ by less (1e-5 in fp32).
TOLERANCE = 1e-4

# The layer before the last.
DROPOUT = "dropout"

# Pictures that layers and export are compared on, and that Keras gets at once.
COMPARED, BLOCK = 8, 32


def build(run: Run, sees: Extractor | None, layers: Layers, photos: Photos) -> Any:
    """keras.Model: uint8 (n, h, w, 3) -> probabilities (n, k); the head's layers behind the backbone, or one of random numbers."""
    keras = import_keras()
    backbone = sees.model if sees else backbones.features(run)
    x = backbone.output
    for at, layer in enumerate(layers[:-1]):
        x = keras.layers.Dense(len(layer.bias), activation="relu", name=f"hidden_{at}")(x)
    x = keras.layers.Dropout(run.dropout, name=DROPOUT)(x)
    x = keras.layers.Dense(len(photos.labels), activation=photos.scores, name="scores")(x)
    full = keras.Model(backbone.input, x, name="classifier")
    if layers:
        put(full, layers)
    return full


def backbone_of(full: Any) -> Any:
    """The part of it that sees: uint8 -> features."""
    first = _denses(full)[0]
    before = full.get_layer(DROPOUT) if first.name == "scores" else first
    return import_keras().Model(full.input, before.input, name="backbone")


def keras_bytes(run: Run, sees: Extractor | None, layers: Layers, photos: Photos, build: Callable[[], Any]) -> bytes:
    """model.keras; of a frozen backbone it is made of one that is kept, which takes no Keras."""
    if sees is None:
        return canonical.keras_bytes(build())
    head = [(layer.kernel, layer.bias) for layer in layers]
    return whole.keras_bytes(sees, head, [photos.scores, run.dropout], build)


def _denses(full: Any) -> list[Any]:
    """The head's layers, from the backbone on."""
    return [layer for layer in full.layers if layer.name == "scores" or layer.name.startswith("hidden_")]


def put(full: Any, layers: Layers) -> None:
    """Gives it the weights of this head."""
    for layer, found in zip(_denses(full), layers, strict=True):
        layer.set_weights([found.kernel, found.bias])


def layers_of(full: Any) -> Layers:
    """Its head."""
    return tuple(Dense(*layer.get_weights()) for layer in _denses(full))


def rows(full: Any, cache: Cache, some: Sequence[Photo]) -> np.ndarray:
    """What the layers say that were trained, (n, k)."""
    starts = range(0, len(some), BLOCK)
    blocks = (np.stack([cache.read(photo) for photo in some[at : at + BLOCK]]) for at in starts)
    return np.concatenate([np.asarray(full(block, training=False)) for block in blocks])


def check(full: Any, served: Engine, cache: Cache, photos: Photos) -> None:
    """The layers and their export agree on real pictures, before anything is written. Raises BundleError."""
    batch = np.stack([cache.read(photo) for photo in photos.validation[:COMPARED]])
    off = float(np.abs(np.asarray(full(batch, training=False)) - served.run(batch)).max())
    if not off <= TOLERANCE:
        raise BundleError(
            f"the exported model differs from Keras by {off:.2g}, at most {TOLERANCE:g} wanted; nothing was written"
        )
