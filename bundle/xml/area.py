"""Closed lines as filled areas on a grid of pixels, and how much of two areas is the same."""

from collections.abc import Iterable

import numpy as np

SIDE = 256


def filled(lines: Iterable[np.ndarray], unit: float, side: int = SIDE) -> np.ndarray:
    """bool (side, side): pixels whose middle lies within any of the closed lines, each float (n, 2), even-odd, in a square of `unit`."""
    whole = np.zeros((side, side), bool)
    for line in lines:
        whole |= _filled(line * (side / unit), side)
    return whole


def same(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union, 0 to 1; of two empty areas 0, since nothing shows that they agree."""
    union = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / union if union else 0.0


def _filled(line: np.ndarray, side: int) -> np.ndarray:
    """Where a row of pixels crosses the line, inside and outside change places."""
    start, end = line - 0.5, np.roll(line, -1, 0) - 0.5  # middles of pixels are whole
    upper, lower = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    first, last = (np.ceil(at).clip(0, side).astype(int) for at in (upper, lower))
    counts = last - first
    edge = np.repeat(np.arange(len(line)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    slope = (end[edge, 0] - start[edge, 0]) / (end[edge, 1] - start[edge, 1])
    columns = np.ceil(start[edge, 0] + (rows - start[edge, 1]) * slope).clip(0, side).astype(int)
    changes = np.bincount(rows * (side + 1) + columns, minlength=side * (side + 1)).reshape(side, side + 1)
    inside: np.ndarray = np.bitwise_and(np.cumsum(changes[:, :-1], 1), 1).astype(bool)
    return inside
