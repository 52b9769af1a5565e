"""Training from scratch: all layers of a network that starts from random numbers."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bundle.engine.keras_any import import_keras
from training.data.cache import Cache
from training.data.photos import Photo
from training.run import Run

# BatchNormalization forgets slowly by default (0.99), too slowly for the few thousand steps of a small set.
BATCH_MOMENTUM = 0.9
DROPOUT = 0.2
RATE = 0.003


def fit(
    run: Run, model: Any, cache: Cache, photos: tuple[Photo, ...], report: Callable[[int, dict[str, float]], None]
) -> None:
    """Trains `model` (pixels -> softmax) in place, Adam with a half-cosine rate; `report` hears of every epoch."""
    keras = import_keras()
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = BATCH_MOMENTUM
    highest = run.learning_rate or RATE
    steps = math.ceil(len(photos) / run.batch_size) * run.epochs
    warm = max(1, steps // 20)
    rate = keras.optimizers.schedules.CosineDecay(
        highest / 20, max(1, steps - warm), warmup_target=highest, warmup_steps=warm
    )
    model.compile(optimizer=keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    heard = keras.callbacks.LambdaCallback(on_epoch_end=report)
    model.fit(_batches(run, cache, photos), epochs=run.epochs, verbose=0, callbacks=[heard])


def _batches(run: Run, cache: Cache, photos: tuple[Photo, ...]) -> Any:
    """Pictures come from the cache batch by batch, so a set may be larger than memory; shuffled anew each epoch."""
    keras = import_keras()

    class Batches(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__(workers=1)
            self.rng = np.random.default_rng(run.seed)
            self.on_epoch_end()

        def __len__(self) -> int:
            return math.ceil(len(photos) / run.batch_size)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            chosen = [photos[at] for at in self.order[index * run.batch_size : (index + 1) * run.batch_size]]
            return np.stack([cache.read(photo) for photo in chosen]), np.array([photo.label for photo in chosen])

        def on_epoch_end(self) -> None:
            self.order = self.rng.permutation(len(photos))

    return Batches()
