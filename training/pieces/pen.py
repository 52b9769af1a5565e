"""The pen that garment pieces are drafted with, and its few ready shapes. Imports numpy only."""

import cmath
import math
from collections.abc import Callable
from typing import Self

import numpy as np

Rng = np.random.Generator
ROUND = 0.55  # the reach of a cubic's handles that makes a right corner into a quarter circle


class Pen:
    """A path drawn clockwise, y down, its points complex numbers; marks are open lines within it, (class, path)."""

    def __init__(self, start: complex) -> None:
        self.steps: list[tuple[complex, ...]] = [(complex(start),)]  # one point: a line to it; three: a curve
        self.marks: list[tuple[str, Pen]] = []
        self.folded = False  # the closing line, from the last point to the first, is a fold

    @property
    def at(self) -> complex:
        return self.steps[-1][-1]

    def line(self, *ends: complex) -> Self:
        self.steps += [(complex(end),) for end in ends]
        return self

    def curve(self, leave: complex, arrive: complex, end: complex) -> Self:
        self.steps.append((complex(leave), complex(arrive), complex(end)))
        return self

    def bow(self, end: complex, sag: float) -> Self:
        """A shallow curve; sag is a part of its length, positive to the right of the way: into the piece."""
        way = end - self.at
        return self.curve(self.at + way * (1 / 3 + sag * 1j), self.at + way * (2 / 3 + sag * 1j), end)

    def turn(self, end: complex, corner: complex, reach: float = ROUND) -> Self:
        """A curve that leaves and arrives along the sides of a corner."""
        return self.curve(self.at + (corner - self.at) * reach, end + (corner - end) * reach, end)

    def arc(self, centre: complex, angle: float) -> Self:
        """Around a centre, clockwise where the angle (radians) is positive, at most a quarter circle a curve."""
        count = math.ceil(abs(angle) / (math.pi / 2) - 1e-9)
        reach = 4j / 3 * math.tan(angle / count / 4)
        for _ in range(count):
            start = self.at - centre
            end = start * cmath.exp(1j * angle / count)
            self.curve(centre + start * (1 + reach), centre + end * (1 - reach), centre + end)
        return self

    def notch(self, end: complex, where: float, width: float, depth: float) -> Self:
        """A straight line with a dart cut out of it."""
        way = (end - self.at) / abs(end - self.at)
        middle = self.at + (end - self.at) * where
        return self.line(middle - way * width / 2, middle + way * 1j * depth, middle + way * width / 2, end)

    def dart(self, rng: Rng, end: complex, where: float, width: float, depth: float) -> Self:
        """A straight line with a dart, cut out of the outline or marked within it."""
        if chance(rng, 0.5):
            return self.notch(end, where, width, depth)
        legs = Pen(self.at).notch(end, where, width, depth).steps[1:4]
        self.mark("cut", *(leg[0] for leg in legs))
        return self.line(end)

    def mark(self, kind: str, start: complex, *ends: complex) -> Self:
        self.marks.append((kind, Pen(start).line(*ends)))
        return self

    def moved(self, move: Callable[[complex], complex]) -> "Pen":
        """The same path with every point moved, its direction kept."""
        pen = Pen(0)
        pen.steps = [tuple(move(point) for point in step) for step in self.steps]
        pen.marks = [(kind, mark.moved(move)) for kind, mark in self.marks]
        pen.folded = self.folded
        return pen

    def whole(self) -> "Pen":
        """A half that starts and ends on x = 0, with its mirror image."""
        other = self.moved(lambda point: -point.conjugate())
        self.marks += other.marks
        for i in range(len(other.steps) - 1, 0, -1):
            self.steps.append((*other.steps[i][-2::-1], other.steps[i - 1][-1]))
        return self


def between(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def chance(rng: Rng, odds: float) -> bool:
    return bool(rng.random() < odds)


def halved(rng: Rng, pen: Pen, odds: float) -> Pen:
    """The half as it is, on the fold by the given odds, or else the whole."""
    if chance(rng, odds):
        pen.folded = True
        return pen
    if chance(rng, 0.3):
        pen.mark("fold", pen.steps[0][0], pen.at)
    return pen.whole()


def box(rng: Rng, width: float, height: float, corners: str, cut: float) -> Pen:
    """A rectangle; corners, one letter each from the top left: s(quare), r(ound) or c(ut off)."""
    points = [0, width, complex(width, height), complex(0, height)]
    pen: Pen | None = None
    for i, kind in enumerate(corners):
        corner, before, after = points[i], points[i - 1], points[(i + 1) % 4]
        size = 0 if kind == "s" else cut
        into = corner + (before - corner) / abs(before - corner) * size
        out = corner + (after - corner) / abs(after - corner) * size
        pen = pen.line(into) if pen else Pen(into)
        if kind == "r":
            pen.turn(out, corner)
        elif kind == "c":
            pen.line(out)
    assert pen is not None
    return pen


def ring(inner: float, height: float, angle: float) -> Pen:
    """A part of a ring, its opening downward."""
    start = -1j * cmath.exp(-0.5j * angle)
    return Pen(start * (inner + height)).arc(0, angle).line(start * cmath.exp(1j * angle) * inner).arc(0, -angle)
