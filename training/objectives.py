"""What a network is asked for: targets and weights of a batch's truth, and the loss on its logits."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bundle.engine.keras_any import import_keras
from training.run import Run


def loss(scores: str) -> Any:
    """For `compile`: (targets (n, k), logits (n, k)) -> (n,) for softmax, (n, k) for sigmoid."""
    keras = import_keras()
    if scores == "softmax":
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    return lambda targets, logits: keras.ops.binary_crossentropy(targets, logits, from_logits=True)


def targets(run: Run, truth: np.ndarray, labels: int) -> np.ndarray:
    """float32 (n, k), smoothed; unknown labels are 0 here and have no weight."""
    smooth = run.label_smoothing
    if truth.ndim == 1:
        return np.eye(labels, dtype=np.float32)[truth] * (1 - smooth) + np.float32(smooth / labels)
    return np.nan_to_num(truth).astype(np.float32) * (1 - smooth) + np.float32(smooth / 2)


def weigher(run: Run, truth: np.ndarray, labels: int) -> Callable[[np.ndarray], np.ndarray]:
    """From the truth of all that trains: a batch's truth -> float32 weights, (n,) or (n, k), whose mean over all is 1.

    What is unknown weighs nothing, and what is known the same in every batch, however much of it is unknown.
    """
    weigh = _classes(run, truth, labels) if truth.ndim == 1 else _presence(run, truth)
    mean = weigh(truth).mean()
    return lambda some: (weigh(some) / (mean or 1)).astype(np.float32)


def _classes(run: Run, truth: np.ndarray, labels: int) -> Callable[[np.ndarray], np.ndarray]:
    if not run.class_weights:
        return lambda some: np.ones(len(some))
    counts = np.maximum(np.bincount(truth, minlength=labels), 1)
    return lambda some: 1 / counts[some]


def _presence(run: Run, truth: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """With weighted_loss those that have a label count together as much as those that do not."""
    if not run.weighted_loss:
        return lambda some: (~np.isnan(some)).astype(float)
    present = 1 / np.maximum((truth == 1).sum(axis=0), 1)
    absent = 1 / np.maximum((truth == 0).sum(axis=0), 1)
    return lambda some: np.where(some == 1, present, np.where(some == 0, absent, 0))
