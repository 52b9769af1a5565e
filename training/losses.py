"""What a head is fitted to: soft targets, weights that are 0 where nobody knows, and the cross entropy of logits against them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.run import Run

Scores = Literal["softmax", "sigmoid"]


@dataclass(frozen=True, kw_only=True)
class Goal:
    scores: Scores
    targets: np.ndarray  # float32 (n, k)
    weights: np.ndarray  # float32 (n, 1) of softmax, (n, k) of sigmoid; 0 where the truth is unknown

    def at(self, chosen: np.ndarray | slice) -> "Goal":
        return Goal(scores=self.scores, targets=self.targets[chosen], weights=self.weights[chosen])

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Weighing:
    """What a photo of each label counts, present and absent; from the training photos, and the same for those that judge."""

    present: np.ndarray  # float64 (k,)
    absent: np.ndarray  # float64 (k,); softmax has no use for it


def hot(truth: np.ndarray, labels: int) -> np.ndarray:
    """float32 (n, k) of 1, 0 and NaN, of indices (n,) or of that itself."""
    return truth.astype(np.float32) if truth.ndim == 2 else np.eye(labels, dtype=np.float32)[truth]


def weighing(truth: np.ndarray, labels: int, run: Run) -> Weighing:
    """class_weights: n / (k * count), so that rare labels count like frequent ones. weighted_loss, of several labels a photo:
    half of a label's weight goes to the photos that have it, half to the others."""
    known = hot(truth, labels)
    counts = (known == 1).sum(axis=0)
    seen, here = (~np.isnan(known)).sum(axis=0), np.maximum(counts, 1)
    present, absent = np.ones(labels), np.ones(labels)
    if run.weighted_loss and truth.ndim == 2:
        present, absent = seen / (2 * here), seen / (2 * np.maximum(seen - counts, 1))
    if run.class_weights:
        share = counts.sum() / (labels * here)
        present, absent = present * share, absent * share
    return Weighing(present, absent)


def goal(truth: np.ndarray, weights: Weighing, smoothing: float = 0.0) -> Goal:
    """`smoothing` is the share of a target that goes to all labels alike, or to present and absent alike."""
    labels = len(weights.present)
    wanted = hot(truth, labels)
    if truth.ndim == 1:
        counted = weights.present[truth][:, None]
        soft = wanted * (1 - smoothing) + smoothing / labels
        return Goal(scores="softmax", targets=soft.astype(np.float32), weights=counted.astype(np.float32))
    counted = np.where(np.isnan(wanted), 0, np.where(wanted == 1, weights.present, weights.absent))
    soft = np.nan_to_num(wanted) * (1 - smoothing) + smoothing / 2
    return Goal(scores="sigmoid", targets=soft.astype(np.float32), weights=counted.astype(np.float32))


def loss(logits: np.ndarray, wanted: Goal) -> float:
    """Mean cross entropy in nats: of photos, or of the cells (photo, label) that are known."""
    weights = wanted.weights.astype(np.float64)
    total = float((weights * entropies(logits, wanted)).sum())
    return total / max(float(weights.sum()), 1e-12)


def entropies(logits: np.ndarray, wanted: Goal) -> np.ndarray:
    """Cross entropies unweighted: (n, 1) of softmax, (n, k) of sigmoid."""
    if wanted.scores == "sigmoid":
        cells: np.ndarray = np.log(1 + np.exp(-np.abs(logits))) + np.maximum(logits, 0) - wanted.targets * logits
        return cells
    top = logits.max(axis=1, keepdims=True)
    spread = np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    photos: np.ndarray = spread - (wanted.targets * (logits - top)).sum(axis=1, keepdims=True)
    return photos


def slopes(logits: np.ndarray, wanted: Goal) -> np.ndarray:
    """(n, k): how each photo's weighted entropy changes with each of its logits."""
    difference: np.ndarray = probabilities(logits, wanted.scores) - wanted.targets
    return difference * wanted.weights


def probabilities(logits: np.ndarray, scores: Scores) -> np.ndarray:
    """(n, k) of the logits' own dtype; rows of softmax sum to 1."""
    if scores == "sigmoid":
        # exp of what is not above zero cannot overflow.
        small = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1, small) / (1 + small)
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows: np.ndarray = grown / grown.sum(axis=1, keepdims=True)
    return rows


def priors(wanted: Goal) -> np.ndarray:
    """float64 (k,): logits for somebody who has not looked, half a photo for and against added, so none is infinite."""
    known = wanted.weights > 0
    present, count = (wanted.targets * known).sum(axis=0, dtype=np.float64), known.sum(axis=0)
    if wanted.scores == "softmax":
        return np.log((present + 0.5) / (count + 0.5 * wanted.targets.shape[1]))
    return np.log((present + 0.5) / (count - present + 0.5))
