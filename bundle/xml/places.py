"""Where along an outline a path's pieces begin: dynamic programming over corners and places between them.

Every piece of the outline from one place to another is fitted by a straight line and by a cubic curve once; then the pieces of a
given structure are laid out, or the structure itself is chosen.
"""

from dataclasses import dataclass

import numpy as np

from bundle.xml import shape
from bundle.xml.shape import Shape

# What a piece of a path must be worth where the structure is chosen: squared distance, summed along the outline, in units^3.
LINE, CURVE = 12.0, 16.0
# Of the vertices that the network said: how much their squared distance counts, and from which distance on no more.
TRUST, FAR = 0.5, 24.0
# Of the outline: at least so often a piece may begin.
GAP = 1 / 48
SAMPLES = 20  # of a piece of the outline


@dataclass(frozen=True)
class Table:
    """For an outline cut open at its sharpest corner: what one piece from place a to place b > a would be off. Last place = first."""

    places: np.ndarray  # float64 (k + 1, 2)
    line: np.ndarray  # float64 (k + 1, k + 1), infinite where b <= a
    curve: np.ndarray
    controls: np.ndarray  # float64 (k + 1, k + 1, 2, 2)


def table(line: np.ndarray, near: np.ndarray) -> Table:
    """Of an evenly spaced closed line; places are its corners, those nearest to the points `near`, and some between."""
    at = _places(line, near)
    count, length = len(line), float(np.hypot(*(np.roll(line, -1, 0) - line).T).sum())
    at = np.append(at, at[0] + count)
    first, last = np.triu_indices(len(at), 1)
    along = at[first, None] + (at[last] - at[first])[:, None] * np.linspace(0, 1, SAMPLES)
    points = _along(line, along)
    span = (at[last] - at[first]) * (length / count)
    shape_ = (len(at), len(at))
    straight, bent, controls = np.full(shape_, np.inf), np.full(shape_, np.inf), np.zeros((*shape_, 2, 2))
    straight[first, last] = _off_line(points) * span
    inner, off = _curves(points)
    bent[first, last], controls[first, last] = off * span, inner
    return Table(_along(line, at.astype(float)), straight, np.minimum(bent, straight), controls)


def _places(line: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Indices, beginning with the sharpest corner and going up past the end."""
    count = len(line)
    back, ahead = line - np.roll(line, 3, 0), np.roll(line, -3, 0) - line
    turn = np.abs(np.arctan2(back[:, 0] * ahead[:, 1] - back[:, 1] * ahead[:, 0], (back * ahead).sum(1)))
    around = np.stack([np.roll(turn, by) for by in range(-4, 5)])
    corners = np.flatnonzero((turn >= around.max(0)) & (turn > 0.25))
    nearest = [int(((line - point) ** 2).sum(1).argmin()) for point in near]
    wanted = sorted({*corners.tolist(), *nearest, int(turn.argmax())})
    filled = []
    for start, end in zip(wanted, [*wanted[1:], wanted[0] + count], strict=True):
        parts = max(1, round((end - start) / (count * GAP)))
        filled += np.linspace(start, end, parts, endpoint=False).astype(int).tolist()
    at = np.unique(np.array(filled) % count)
    first = int(np.searchsorted(at, turn.argmax()))
    return np.concatenate([at[first:], at[:first] + count])


def _along(line: np.ndarray, at: np.ndarray) -> np.ndarray:
    low = np.floor(at).astype(int)
    share = (at - low)[..., None]
    points: np.ndarray = line[low % len(line)] * (1 - share) + line[(low + 1) % len(line)] * share
    return points


def _off_line(points: np.ndarray) -> np.ndarray:
    """Mean squared distance of rows of points from the straight line between their ends."""
    chord, away = points[:, -1:] - points[:, :1], points - points[:, :1]
    along = ((away * chord).sum(2) / np.maximum((chord**2).sum(2), 1e-9)).clip(0, 1)
    off: np.ndarray = ((away - along[..., None] * chord) ** 2).sum(2).mean(1)
    return off


def _curves(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least-squares cubic curve through each row of points, its ends kept: inner points (n, 2, 2), mean squared distance (n,)."""
    start, end = points[:, :1], points[:, -1:]
    t = np.broadcast_to(np.linspace(0, 1, points.shape[1]), points.shape[:2])
    for _ in range(3):
        weights = shape.basis(t)
        one, two = weights[..., 1], weights[..., 2]
        rest = points - weights[..., :1] * start - weights[..., 3:] * end
        a, b, c = (one * one).sum(1), (one * two).sum(1), (two * two).sum(1)
        left, right = (one[..., None] * rest).sum(1), (two[..., None] * rest).sum(1)
        whole = (a * c - b * b)[:, None]
        flat = np.concatenate([start * (2 / 3) + end / 3, start / 3 + end * (2 / 3)], 1)
        # Where all points fell on the two ends nothing says how the curve bends.
        told = whole > 1e-9
        by = np.where(told, whole, 1)
        fitted = np.stack(
            [(c[:, None] * left - b[:, None] * right) / by, (a[:, None] * right - b[:, None] * left) / by], 1
        )
        inner = np.where(told[..., None], fitted, flat)
        all_four = np.concatenate([start, inner, end], 1)
        away = weights @ all_four - points
        off = (away**2).sum(2).mean(1)
        speed = shape.slope(t) @ all_four
        t = (t - (away * speed).sum(2) / np.maximum((speed**2).sum(2), 1e-9)).clip(0, 1)
    return inner, off


def aligned(drawn: Shape, costs: Table) -> Shape:
    """The same pieces in the same order, each begun where all together are off least; which of them begins at the cut is tried out."""
    count = len(drawn.kinds)
    away = ((drawn.vertices[:, None] - costs.places[None]) ** 2).sum(2)
    away = TRUST * np.minimum(away, FAR**2)
    best: tuple[float, int, list[int]] = (np.inf, 0, [])
    for turn in range(count):
        total, at = _chain([drawn.kinds[(turn + k) % count] for k in range(count)], np.roll(away, -turn, 0), costs)
        best = min(best, (total, turn, at))
    _, turn, at = best
    if not at:
        return drawn
    begun = _shape(drawn.kinds, at, costs)
    return Shape(drawn.kinds, np.roll(begun.vertices, turn, 0), np.roll(begun.controls, turn, 0))


def _chain(kinds: list[str], away: np.ndarray, costs: Table) -> tuple[float, list[int]]:
    """The cheapest places 0 = at[0] < at[1] < ... for pieces of these kinds; dynamic programming piece by piece."""
    reached = np.full(len(costs.places), np.inf)
    reached[0] = away[0, 0]
    steps = []
    for k, kind in enumerate(kinds):
        ways = reached[:, None] + (costs.line if kind == "L" else costs.curve)
        steps.append(ways.argmin(0))
        reached = ways.min(0)
        if k + 1 < len(kinds):
            reached = reached + away[k + 1]
    at = [len(costs.places) - 1]
    for step in reversed(steps):
        at.append(int(step[at[-1]]))
    return float(reached[-1]), at[::-1] if np.isfinite(reached[-1]) else []


def restructured(costs: Table) -> Shape:
    """The path whose pieces are off least, each piece counted as LINE or CURVE."""
    ways = np.minimum(costs.line + LINE, costs.curve + CURVE)
    reached, steps = np.zeros(len(ways)), np.zeros(len(ways), int)
    for at in range(1, len(ways)):
        total = reached[:at] + ways[:at, at]
        steps[at] = total.argmin()
        reached[at] = total[steps[at]]
    at_ = [len(ways) - 1]
    while at_[-1]:
        at_.append(int(steps[at_[-1]]))
    places = at_[::-1]
    kinds = "".join(
        "L" if costs.line[a, b] + LINE <= costs.curve[a, b] + CURVE else "C"
        for a, b in zip(places, places[1:], strict=False)
    )
    return _shape(kinds, places, costs)


def _shape(kinds: str, at: list[int], costs: Table) -> Shape:
    return Shape(kinds, costs.places[at[:-1]], costs.controls[at[:-1], at[1:]])
