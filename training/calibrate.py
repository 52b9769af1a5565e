"""A temperature for the logits, so that of the answers given with 80 % some 80 % are right."""

from dataclasses import dataclass

import numpy as np

from training import losses, metrics
from training.dense import Dense, Layers
from training.losses import Goal, Scores, Weighing

# The temperatures that are looked at.
LEAST, MOST = 0.05, 20.0

# How far the logarithm of a temperature strays from zero before any photo was seen. Twenty photos that are all right
# would otherwise say that every answer is certain; at some hundred photos it is no longer felt.
STRAY = 0.5

# Validation photos below which a temperature says little.
FEW = 50


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Of validation photos, on which the temperature itself was found; a test set says it without favour."""

    temperature: float
    loss_before: float
    loss_after: float
    ece_before: float
    ece_after: float
    note: str  # empty, or why little should be made of it


def calibration(logits: np.ndarray, truth: np.ndarray, scores: Scores) -> Calibration:
    """What the temperature does for logits (n, k) of validation photos and their truth."""
    found = temperature(logits, truth)
    goal = _goal(logits, truth)
    before, after = (losses.probabilities(logits / by, scores) for by in (1.0, found))
    return Calibration(
        temperature=found,
        loss_before=losses.loss(logits, goal),
        loss_after=losses.loss(logits / found, goal),
        ece_before=metrics.ece(metrics.bins(before, truth)),
        ece_after=metrics.ece(metrics.bins(after, truth)),
        note=f"the temperature comes of {len(truth)} photos, and stays near 1" if len(truth) < FEW else "",
    )


def temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """What logits (n, k) are divided by. Never makes their loss larger: it lies between 1 and the one of least loss.

    Cross entropy has one valley in 1 / temperature, and so has the distance from 1 that is added to it.
    """
    from scipy.optimize import minimize_scalar

    goal = _goal(logits, truth)
    if not goal.weights.any():
        return 1.0
    total = float(goal.weights.sum())

    def cost(log: float) -> float:
        return total * losses.loss(logits / np.exp(log), goal) + (log / STRAY) ** 2 / 2

    found = float(minimize_scalar(cost, bounds=(np.log(LEAST), np.log(MOST)), method="bounded").x)
    better = losses.loss(logits / np.exp(found), goal) <= losses.loss(logits, goal)
    return float(np.exp(found)) if better else 1.0


def cooled(layers: Layers, temperature: float) -> Layers:
    """The layers whose logits are those divided by the temperature: folded into the last."""
    last, by = layers[-1], np.float32(temperature)
    return (*layers[:-1], Dense(last.kernel / by, last.bias / by))


def _goal(logits: np.ndarray, truth: np.ndarray) -> Goal:
    """Every known cell counts alike: what is served is asked about photos as they come."""
    even = np.ones(logits.shape[1])
    return losses.goal(truth, Weighing(even, even))
