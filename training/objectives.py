"""What a network is asked for: targets and weights of a batch's truth, as heads are (losses.py), and the loss that Keras makes of them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bundle.engine.keras_any import import_keras
from training import losses
from training.run import Run

Asked = tuple[np.ndarray, np.ndarray]


def loss(scores: str) -> Any:
    """For `compile`: (targets (n, k), logits (n, k)) -> (n,) for softmax, (n, k) for sigmoid."""
    keras = import_keras()
    if scores == "softmax":
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    return lambda targets, logits: keras.ops.binary_crossentropy(targets, logits, from_logits=True)


def asker(run: Run, truth: np.ndarray, labels: int) -> Callable[[np.ndarray], Asked]:
    """From the truth of all that trains: a batch's truth -> float32 targets (n, k), and weights (n,) or (n, k) whose mean over all is 1.

    What is unknown weighs nothing, and what is known the same in every batch, however much of it is unknown.
    """
    weighing = losses.weighing(truth, labels, run)
    mean = float(losses.goal(truth, weighing).weights.mean()) or 1.0

    def ask(some: np.ndarray) -> Asked:
        wanted = losses.goal(some, weighing, run.label_smoothing)
        weights = wanted.weights / np.float32(mean)
        return wanted.targets, weights[:, 0] if truth.ndim == 1 else weights

    return ask
