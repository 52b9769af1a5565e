"""The linear head: logistic regression by L-BFGS, its penalty chosen by validation."""

from collections.abc import Callable

import numpy as np

from training.dense import Layers, standard
from training.losses import Goal, entropies, priors, slopes

# Penalties on features of variance 1, from one that leaves little but the priors; each fit starts from the one before.
PENALTIES = tuple(10 ** (0.5 - step / 2) for step in range(10))
# Validation losses in a row that are no better before the weaker penalties are left out.
PATIENCE = 2
STEPS = 200
# Rows whose logits are held at once, so that 100,000 photos of 1,000 labels need no gigabytes.
ROWS = 8192

Judge = Callable[[Layers], float]  # the validation loss


def fit(features: np.ndarray, goal: Goal, judge: Judge, penalties: tuple[float, ...] = PENALTIES) -> tuple[Layers, str]:
    """Layers for features float32 (n, d) as they come, and which penalty it was.

    The loss chooses, which is smoother than the accuracy of a few hundred photos.
    """
    standardise = standard(features)
    seen = standardise.of(features)
    shared = _alike(goal)
    weights = np.vstack([np.zeros((seen.shape[1], goal.targets.shape[1])), priors(goal)])
    best, least, worse = None, np.inf, 0
    for penalty in penalties:
        weights = _minimum(seen, shared, penalty, weights)
        layers = (standardise.folded(weights[:-1], weights[-1]),)
        found = judge(layers)
        if best is None or found < least:
            best, least, worse = (layers, f"penalty {penalty:.2g}"), found, 0
        else:
            worse += 1
        if worse == PATIENCE:
            break
    assert best is not None
    return best


def _alike(goal: Goal) -> Goal:
    """Weights that sum to 1: of all photos, or of each label alone, whose fit is its own and knows a penalty of the same size."""
    sums = goal.weights.sum(axis=0, dtype=np.float64)
    weights = (goal.weights / np.where(sums > 0, sums, 1)).astype(np.float32)
    return Goal(scores=goal.scores, targets=goal.targets, weights=weights)


def _minimum(features: np.ndarray, goal: Goal, penalty: float, start: np.ndarray) -> np.ndarray:
    """float64 (d + 1, k), the bias last and without penalty: mean entropy + penalty / 2 * kernel ** 2 at its least."""
    from scipy.optimize import minimize

    def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(start.shape)
        kernel, bias = weights[:-1].astype(np.float32), weights[-1].astype(np.float32)
        total, slope = 0.0, penalty * weights
        slope[-1] = 0
        for at in range(0, len(features), ROWS):
            part = goal.at(slice(at, at + ROWS))
            logits = features[at : at + ROWS] @ kernel + bias
            total += float((part.weights * entropies(logits, part)).sum(dtype=np.float64))
            change = slopes(logits, part)
            slope[:-1] += features[at : at + ROWS].T @ change
            slope[-1] += change.sum(axis=0, dtype=np.float64)
        return total + penalty / 2 * float((weights[:-1] ** 2).sum()), slope.ravel()

    # Tolerances at what float32 can tell apart; validation judges what so many steps reached.
    options = {"maxiter": STEPS, "gtol": 1e-4, "ftol": 1e-7}
    return minimize(cost, start.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(start.shape)
