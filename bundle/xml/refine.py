"""Moves all points of a path together until it lies on an outline, then to whole numbers."""

import numpy as np

from bundle.xml import shape
from bundle.xml.shape import Shape

ROUNDS = 5
STEPS = 16  # of each piece, where the path is looked at
# Keeps points that the outline says nothing about; against 400 distances it moves none of the others.
DAMPING = 0.05


def refined(drawn: Shape, line: np.ndarray, top: float) -> Shape:
    """All vertices and controls moved so that the path comes near every point of the line (Gauss-Newton, distances along the
    path's normals), then to whole numbers 0 .. top, each rounding made good by those not rounded yet."""
    free = _free(drawn.kinds)
    x = np.concatenate([drawn.vertices, drawn.controls.reshape(-1, 2)[_inner(drawn.kinds)]]).ravel()
    t = np.arange(STEPS) / STEPS
    weights = np.einsum("tu,nuv->ntv", shape.basis(t), free).reshape(-1, free.shape[2])
    slopes = np.einsum("tu,nuv->ntv", shape.slope(t), free).reshape(-1, free.shape[2])
    for _ in range(ROUNDS):
        now = x.reshape(-1, 2)
        on, speed = weights @ now, slopes @ now
        nearest = ((on**2).sum(1) - 2 * line @ on.T).argmin(1)
        speed = speed[nearest]
        normals = np.stack([-speed[:, 1], speed[:, 0]], 1) / np.maximum(np.hypot(*speed.T), 1e-9)[:, None]
        rows = (weights[nearest][:, :, None] * normals[:, None]).reshape(len(line), -1)
        off = (normals * (line - on[nearest])).sum(1)
        square = rows.T @ rows + DAMPING * np.eye(len(x))
        x = x + np.linalg.solve(square, rows.T @ off)
    return _made(drawn.kinds, _rounded(x, square, top))


def _rounded(x: np.ndarray, square: np.ndarray, top: float) -> np.ndarray:
    """The nearest plane method: whole numbers near x in the measure of `square`."""
    upper = np.linalg.cholesky(square).T
    whole = x.copy()
    for at in range(len(x) - 1, -1, -1):
        pull = upper[at, at + 1 :] @ (whole[at + 1 :] - x[at + 1 :]) / upper[at, at]
        whole[at] = np.rint(x[at] - np.clip(pull, -2, 2)).clip(0, top)
    return whole


def _inner(kinds: str) -> np.ndarray:
    return np.repeat(np.array([kind == "C" for kind in kinds]), 2)


def _free(kinds: str) -> np.ndarray:
    """float64 (n, 4, points): the four points of each piece as a sum of vertices and, after them, the curves' inner points."""
    count = len(kinds)
    free = np.zeros((count, 4, count + 2 * kinds.count("C")))
    own = count
    for at, kind in enumerate(kinds):
        after = (at + 1) % count
        free[at, 0, at] += 1
        free[at, 3, after] += 1
        if kind == "C":
            free[at, 1, own] = free[at, 2, own + 1] = 1
            own += 2
        else:
            free[at, 1, [at, after]] += (2 / 3, 1 / 3)
            free[at, 2, [at, after]] += (1 / 3, 2 / 3)
    return free


def _made(kinds: str, x: np.ndarray) -> Shape:
    points = x.reshape(-1, 2)
    controls = np.zeros((2 * len(kinds), 2))
    controls[_inner(kinds)] = points[len(kinds) :]
    return Shape(kinds, points[: len(kinds)], controls.reshape(-1, 2, 2))
