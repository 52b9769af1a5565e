"""Classifier heads on frozen features: fitted in a blink, dense layers that fold into the exported model."""

from dataclasses import dataclass, replace

import numpy as np

from training import dense, gradient, linear, losses
from training.dense import Dense, Layers
from training.losses import Scores
from training.run import HeadKind, Run

__all__ = ["Bank", "Dense", "Head", "fit", "logits", "rows"]

# Products (photos x features x labels) from where on every core is worth its cost: some 10,000 photos of 100 labels.
LARGE = 10**9


@dataclass(frozen=True, kw_only=True)
class Head:
    kind: HeadKind
    layers: Layers  # relu between, the last gives logits
    note: str  # for the table of heads: which penalty, how many rounds, labels that nothing could be learned about


@dataclass(frozen=True, kw_only=True)
class Bank:
    """Features of the photos that teach and of those that judge. Augmented copies are rows like others."""

    scores: Scores
    labels: int
    train: np.ndarray  # float32 (n, d)
    truth: np.ndarray  # int64 (n,) of softmax; float32 (n, labels) of 1, 0, NaN of sigmoid
    validation: np.ndarray  # float32 (m, d)
    validation_truth: np.ndarray


def logits(head: Head, features: np.ndarray) -> np.ndarray:
    """(n, d) -> float64 (n, k)."""
    return dense.forward(head.layers, features)


def rows(answers: np.ndarray, scores: Scores) -> np.ndarray:
    """Logits (n, k) -> probabilities; of softmax they sum to 1."""
    return losses.probabilities(answers, scores)


def fit(kind: HeadKind, bank: Bank, run: Run) -> Head:
    """The same bank, knobs and seed give the same head, to the bit on one kind of processor.

    A label that no training photo has, or every one, gets its prior: there is nothing to tell it by.
    """
    from threadpoolctl import threadpool_limits

    weighing = losses.weighing(bank.truth, bank.labels, run)
    goal = losses.goal(bank.truth, weighing, run.label_smoothing)
    judged = losses.goal(bank.validation_truth, weighing)
    silent = _silent(bank)
    if bank.scores == "sigmoid":
        goal.weights[:, silent] = 0
        judged.weights[:, silent] = 0

    def judge(layers: Layers) -> float:
        return losses.loss(dense.forward(layers, bank.validation), judged)

    features = np.ascontiguousarray(bank.train, np.float32)
    # One thread: small matrices cost more to share out, and sums come out the same however many cores there are.
    with threadpool_limits(1 if features.size * bank.labels < LARGE else None):
        if kind == "linear":
            layers, note = linear.fit(features, goal, judge)
        elif kind == "mlp":
            layers, note = gradient.mlp(features, goal, judge, dropout=run.dropout, seed=run.seed)
        else:
            layers, note = gradient.retrain(features, goal, run.seed)
    return _with_priors(Head(kind=kind, layers=layers, note=note), bank, silent)


def _silent(bank: Bank) -> np.ndarray:
    """bool (labels,): several labels a photo, and no photo has this one, or none is known to be without it."""
    if bank.scores == "softmax":
        return np.zeros(bank.labels, bool)
    return ~((bank.truth == 1).any(axis=0) & (bank.truth == 0).any(axis=0))


def _with_priors(head: Head, bank: Bank, silent: np.ndarray) -> Head:
    if not silent.any():
        return head
    present, absent = (bank.truth == 1).sum(axis=0), (bank.truth == 0).sum(axis=0)
    prior = np.log((present + 0.5) / (absent + 0.5))
    last = head.layers[-1]
    told = Dense(
        np.where(silent, 0, last.kernel).astype(np.float32), np.where(silent, prior, last.bias).astype(np.float32)
    )
    count = int(silent.sum())
    words = (
        f"{head.note}; {count} label{'s have' if count > 1 else ' has'} no photos to tell by, and a fixed probability"
    )
    return replace(head, layers=(*head.layers[:-1], told), note=words)
