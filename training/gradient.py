"""Heads that are fitted by gradient descent on batches: one hidden layer, and the recipe of TensorFlow's old retrain.py."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from training.dense import Dense, Layers, standard
from training.linear import Judge
from training.losses import Goal, priors, slopes

HIDDEN = 256
BATCH = 128
RATE = 0.001
DECAY = 0.01  # of the kernels, beside Adam's step
ROUNDS = 60  # a round is once through the photos, but never more than so many rows
MOST_ROWS = 16384
PATIENCE = 6  # rounds without a validation loss that is better by a hundredth
BETTER = 0.99

# Of retrain.py, as its flags had them.
RETRAIN_STEPS, RETRAIN_BATCH, RETRAIN_RATE, RETRAIN_SPREAD = 4000, 100, 0.01, 0.001


def mlp(features: np.ndarray, goal: Goal, judge: Judge, *, dropout: float, seed: int) -> tuple[Layers, str]:
    """Dense, relu, dropout, dense on standardised features (n, d), by Adam; the weights of the best validation loss."""
    rng = np.random.default_rng(seed)
    standardise = standard(features)
    seen = standardise.of(features)
    weights = Weights.zeros(seen.shape[1], goal.targets.shape[1])
    weights.begin(rng, priors(goal))
    slope, adam = Weights.zeros(seen.shape[1], goal.targets.shape[1]), Adam(weights.flat)
    best, least, best_round = None, np.inf, 0
    for turn in range(1, ROUNDS + 1):
        order = rng.permutation(len(seen))[:MOST_ROWS]
        for at in range(0, len(order), BATCH):
            chosen = order[at : at + BATCH]
            backward(weights, seen[chosen], goal.at(chosen), kept_units(rng, len(chosen), dropout), slope)
            adam.step(slope.flat)
        layers = (standardise.folded(weights.first, weights.first_bias), weights.answer())
        found = judge(layers)
        if best is None or found < BETTER * least:
            best, least, best_round = layers, found, turn
        if turn - best_round == PATIENCE:
            break
    assert best is not None
    return best, f"{HIDDEN} hidden, round {best_round} of {turn}"


def retrain(features: np.ndarray, goal: Goal, seed: int) -> tuple[Layers, str]:
    """4,000 steps of plain gradient descent on raw features (n, d). A batch draws the label first and then one of its photos,
    as retrain.py did, so rare labels are seen like frequent ones; of several labels a photo, any photo."""
    if goal.scores == "softmax":  # rare labels are drawn more often already
        goal = replace(goal, weights=np.ones_like(goal.weights))
    rng = np.random.default_rng(seed)
    kernel = _truncated(rng, (features.shape[1], goal.targets.shape[1])) * np.float32(RETRAIN_SPREAD)
    bias = np.zeros(goal.targets.shape[1], np.float32)
    draw = drawing(rng, goal)
    for _ in range(RETRAIN_STEPS):
        chosen = draw()
        seen = features[chosen]
        change = slopes(seen @ kernel + bias, goal.at(chosen))
        change *= np.float32(RETRAIN_RATE / RETRAIN_BATCH)
        kernel -= seen.T @ change
        bias -= change.sum(axis=0)
    return (Dense(kernel, bias),), f"{RETRAIN_STEPS} steps"


class Adam:
    """Steps in place on one float32 vector, which decays a little beside them."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights
        self.mean, self.square = np.zeros_like(weights), np.zeros_like(weights)
        self.count = 0

    def step(self, slope: np.ndarray) -> None:
        self.count += 1
        # Both corrections for the zeros that the means began with.
        rate = RATE * (1 - 0.999**self.count) ** 0.5 / (1 - 0.9**self.count)
        self.mean += 0.1 * (slope - self.mean)
        self.square += 0.001 * (slope * slope - self.square)
        self.weights *= 1 - RATE * DECAY
        self.weights -= rate * self.mean / (np.sqrt(self.square) + 1e-7)


@dataclass(frozen=True)
class Weights:
    """Both layers, as views of one vector: Adam steps on it as a whole."""

    flat: np.ndarray  # float32
    first: np.ndarray  # (d, HIDDEN)
    first_bias: np.ndarray
    last: np.ndarray  # (HIDDEN, k)
    last_bias: np.ndarray

    @classmethod
    def zeros(cls, width: int, labels: int) -> "Weights":
        shapes = ((width, HIDDEN), (HIDDEN,), (HIDDEN, labels), (labels,))
        sizes = [math.prod(shape) for shape in shapes]
        flat = np.zeros(sum(sizes), np.float32)
        parts = np.split(flat, np.cumsum(sizes)[:-1])
        return cls(flat, *(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)))

    def begin(self, rng: np.random.Generator, bias: np.ndarray) -> None:
        """He's normal, then kernels so small that the priors are the first answer."""
        self.first[:] = rng.standard_normal(self.first.shape, np.float32) * (2 / len(self.first)) ** 0.5
        self.last[:] = rng.standard_normal(self.last.shape, np.float32) * 0.1 / HIDDEN**0.5
        self.last_bias[:] = bias

    def answer(self) -> Dense:
        return Dense(self.last.copy(), self.last_bias.copy())


def kept_units(rng: np.random.Generator, count: int, dropout: float) -> np.ndarray:
    """float32 (count, HIDDEN): 0 for what is dropped, and more than 1 for the rest, so that the mean stays."""
    return (rng.random((count, HIDDEN), np.float32) >= dropout) / np.float32(1 - dropout)


def backward(weights: Weights, seen: np.ndarray, goal: Goal, kept: np.ndarray, slope: Weights) -> None:
    """Into `slope` goes the gradient of the mean entropy of these photos."""
    hidden = np.maximum(seen @ weights.first + weights.first_bias, 0)
    dropped = hidden * kept
    change = slopes(dropped @ weights.last + weights.last_bias, goal) / len(seen)
    back = (change @ weights.last.T) * kept * (hidden > 0)
    np.matmul(seen.T, back, out=slope.first)
    np.matmul(dropped.T, change, out=slope.last)
    slope.first_bias[:], slope.last_bias[:] = back.sum(axis=0), change.sum(axis=0)


def _truncated(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """float32, normal and never further than 2 from zero."""
    drawn = rng.standard_normal(shape, np.float32)
    while (far := np.abs(drawn) > 2).any():
        drawn[far] = rng.standard_normal(int(far.sum()), np.float32)
    return drawn


def drawing(rng: np.random.Generator, goal: Goal) -> Callable[[], np.ndarray]:
    """Each call gives the places (RETRAIN_BATCH,) of a batch's photos."""
    if goal.scores == "sigmoid":
        return lambda: rng.integers(len(goal), size=RETRAIN_BATCH)
    classes = goal.targets.argmax(axis=1)
    order = np.argsort(classes, kind="stable")
    counts = np.bincount(classes)
    first, filled = np.cumsum(counts) - counts, np.flatnonzero(counts)

    def draw() -> np.ndarray:
        label = filled[rng.integers(len(filled), size=RETRAIN_BATCH)]
        chosen: np.ndarray = order[first[label] + (rng.random(RETRAIN_BATCH) * counts[label]).astype(int)]
        return chosen

    return draw
