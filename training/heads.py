"""Classifier heads on frozen features: fitted in a blink, folded into one dense layer."""

import warnings
from dataclasses import dataclass

import numpy as np

# Strengths of the L2 penalty that validation chooses from, over features of unit variance.
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1)


@dataclass(frozen=True, kw_only=True)
class Head:
    """scores = softmax(features @ kernel + bias)."""

    kernel: np.ndarray  # float32 (d, k)
    bias: np.ndarray  # float32 (k,)
    strength: float


def linear(
    train: np.ndarray, labels: np.ndarray, validation: np.ndarray, validation_labels: np.ndarray
) -> tuple[Head, dict[float, float]]:
    """Multinomial logistic regression by L-BFGS on standardised features (n, d), and each strength's validation loss.

    The strength is chosen by the loss, which is smoother than the accuracy of a few hundred photos.
    """
    mean, spread = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    spread = np.where(spread > 1e-6, spread, 1.0)  # a feature that never changes says nothing, and must not divide
    heads = _fits((train - mean) / spread, labels)
    folded = [
        _folded(kernel, bias, mean, spread, strength) for strength, (kernel, bias) in zip(STRENGTHS, heads, strict=True)
    ]
    losses = {head.strength: loss(scores(head, validation), validation_labels) for head in folded}
    return min(folded, key=lambda head: losses[head.strength]), losses


def scores(head: Head, features: np.ndarray) -> np.ndarray:
    """(n, d) -> float64 (n, k), rows sum to 1."""
    logits = features.astype(np.float64) @ head.kernel + head.bias
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax: np.ndarray = grown / grown.sum(axis=1, keepdims=True)
    return softmax


def loss(rows: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross entropy in nats."""
    return float(-np.log(np.maximum(rows[np.arange(len(labels)), labels], 1e-12)).mean())


def _fits(features: np.ndarray, labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernel and bias for each strength, every fit starting from the one before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    found = []
    model = LogisticRegression(max_iter=500, warm_start=True)
    # One thread: matrices this small cost more to share out, and sums come out the same on every machine.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # validation judges what 500 steps reached
        for strength in STRENGTHS:
            model.set_params(C=strength).fit(features, labels)
            found.append((model.coef_.T.copy(), model.intercept_.copy()))
    if len(model.classes_) == 2:  # one column stands for two
        return [(np.hstack([-kernel / 2, kernel / 2]), np.array([-0.5, 0.5]) * bias) for kernel, bias in found]
    return found


def _folded(kernel: np.ndarray, bias: np.ndarray, mean: np.ndarray, spread: np.ndarray, strength: float) -> Head:
    """The same head for features as they come: (x - mean) / spread goes into kernel and bias."""
    scaled = kernel / spread[:, None]
    return Head(kernel=scaled.astype(np.float32), bias=(bias - mean @ scaled).astype(np.float32), strength=strength)
