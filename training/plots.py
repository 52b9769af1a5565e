"""Small plots as SVG that a page's style colours: lines, dots, a heatmap. No scripts, no fonts, nothing loaded."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from training import markup

Points = Sequence[tuple[float, float]]

LEFT, TOP, BOTTOM, RIGHT = 46, 24, 38, 12
STYLE = """
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1.5rem }
svg { display: block; max-width: 100%; height: auto; overflow: visible }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif } svg .grid { stroke: var(--line) }
svg .one { stroke: var(--one); fill: var(--one) } svg .two { stroke: var(--two); fill: var(--two) }
svg path.one, svg path.two { fill: none; stroke-width: 2; stroke-linejoin: round } svg path.two { stroke-dasharray: 5 3 }
svg .even { stroke: var(--soft); stroke-dasharray: 2 4 } svg .area { fill: var(--one); fill-opacity: .15; stroke: none }
svg .right { fill: var(--one) } svg .wrong { fill: var(--bad) } svg .cell { stroke: none } svg .frame { fill: none; stroke: var(--line) }
svg .count { text-anchor: middle; fill: var(--text) } svg .end { text-anchor: end } svg .name { fill: var(--text) } svg .middle { text-anchor: middle }
"""


class Plane:
    """A rectangle of numbers on a rectangle of pixels, with its axes drawn."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], *, width: int = 420, height: int = 260) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels from the top left."""
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        wide, high = self.width - LEFT - RIGHT, self.height - TOP - BOTTOM
        return round(LEFT + across * wide, 1), round(TOP + (1 - up) * high, 1)

    def path(self, points: Points, kind: str) -> str:
        places = " ".join(f"{x:g},{y:g}" for x, y in (self.at(*point) for point in points))
        return f"<path class={kind} d='M{places}'/>" if len(points) > 1 else self.dots(points, kind)

    def dots(self, points: Points, kind: str, sizes: Sequence[float] = (), words: Sequence[str] = ()) -> str:
        found = []
        for number, point in enumerate(points):
            x, y = self.at(*point)
            title = f"<title>{markup.text(words[number])}</title>" if words else ""
            found.append(
                f"<circle class={kind} fill-opacity='.55' cx='{x:g}' cy='{y:g}' r='{sizes[number] if sizes else 3:.1f}'>{title}</circle>"
            )
        return "".join(found)

    def svg(self, inside: str, x: str, y: str, words: str) -> str:
        """The plot, with `words` for those who cannot see it."""
        bottom, middle = self.height - BOTTOM, (LEFT + self.width - RIGHT) / 2
        across = "".join(
            f"<text class=middle x='{self.at(tick, 0)[0]:g}' y='{bottom + 15}'>{tick:g}</text>"
            for tick in ticks(*self.x)
        )
        up = "".join(
            f"<line class=grid x1='{LEFT}' x2='{self.width - RIGHT}' y1='{v:g}' y2='{v:g}'/><text class=end x='{LEFT - 6}' y='{v + 4:g}'>{tick:g}</text>"
            for tick, v in ((tick, self.at(0, tick)[1]) for tick in ticks(*self.y))
        )
        names = (
            f"<text class=middle x='{middle:g}' y='{self.height - 4}'>{markup.text(x)}</text>"
            f"<text class=name x='0' y='11'>{markup.text(y)}</text>"
        )
        return f"<svg viewBox='0 0 {self.width} {self.height}' width={self.width} role=img aria-label='{markup.text(words)}'>{up}{across}{inside}{names}</svg>"


def ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers from `low` to `high`."""
    span = high - low
    if not span > 0:
        return [low]
    step = 10 ** math.floor(math.log10(span / 4))
    step = next(step * times for times in (1, 2, 5, 10) if span / (step * times) <= 8)
    return [round(step * at, 10) for at in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def lines(series: Mapping[str, Points], *, x: str, y: str) -> str:
    """Up to two lines over one another, each with its name below."""
    places = [point for points in series.values() for point in points]
    low, high = min(v for _, v in places), max(v for _, v in places)
    room = (high - low) * 0.05 or abs(high) * 0.05 or 0.05
    low = 0.0 if low >= 0 and low < (high - low) else low - room
    plane = Plane((min(u for u, _ in places), max(u for u, _ in places)), (low, high + room))
    kinds = dict(zip(series, ("one", "two"), strict=False))
    inside = "".join(plane.path(series[name], kind) for name, kind in kinds.items())
    return f"<figure>{plane.svg(inside, x, y, f'{y} over {x}')}{legend(kinds)}</figure>"


def legend(kinds: Mapping[str, str]) -> str:
    keys = "".join(f"<span class='key {kind}'>{markup.text(name)}</span>" for name, kind in kinds.items() if name)
    return f"<figcaption>{keys}</figcaption>" if keys else ""


def thinned(points: Points, most: int = 100) -> Points:
    """About so many of them, evenly, with both ends."""
    if len(points) <= most:
        return points
    return [points[round(at * (len(points) - 1) / (most - 1))] for at in range(most)]


def area(points: Points) -> str:
    """A curve from 0 to 1 both ways, without numbers: one of many beside each other. Points with rising x."""
    places = " ".join(f"{100 * x:.1f},{100 * (1 - y):.1f}" for x, y in thinned(points))
    if not places:
        return "<svg viewBox='0 0 100 100' width=100 aria-hidden=true><rect class=frame width=100 height=100 /></svg>"
    first, last = points[0][0], points[-1][0]
    return (
        "<svg viewBox='0 0 100 100' width=100 aria-hidden=true><rect class=frame width=100 height=100 />"
        f"<path class=area d='M{100 * first:.1f},100 {places} {100 * last:.1f},100Z'/><path class=one d='M{places}'/></svg>"
    )


def heatmap(labels: Sequence[str], counts: np.ndarray) -> str:
    """int (k, k) [truth, answer]: a row's shares as shades, what is right in one colour and what is wrong in another."""
    k = len(labels)
    cell = max(12, min(46, 720 // k))
    words = min(26, max(len(label) for label in labels))
    corner = 7 * words + 10
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    drawn = [
        f"<g transform='translate({corner + answer * cell} {corner + truth * cell})'>"
        f"<title>{markup.text(f'{labels[truth]} answered {labels[answer]}: {counts[truth, answer]}')}</title>"
        f"{_cell(cell, int(counts[truth, answer]), shares[truth, answer], 'right' if truth == answer else 'wrong')}</g>"
        for truth, answer in zip(*np.nonzero(counts), strict=True)
    ]
    for at, label in enumerate(labels):
        word = markup.text(label if len(label) <= words else label[: words - 1] + "…")
        middle = corner + at * cell + cell / 2 + 4
        drawn.append(f"<text class=end x='{corner - 6}' y='{middle:g}'>{word}</text>")
        drawn.append(f"<text transform='translate({middle:g} {corner - 6}) rotate(-90)'>{word}</text>")
    side = corner + k * cell + 1
    frame = f"<rect class=frame x='{corner}' y='{corner}' width='{k * cell}' height='{k * cell}'/>"
    return (
        f"<svg class=heatmap viewBox='0 0 {side} {side}' width={side} role=img aria-label='confusion of {k} labels'>"
        f"{frame}{''.join(drawn)}</svg>"
    )


def _cell(side: int, count: int, share: float, kind: str) -> str:
    """Where one of a hundred is wrong it should still be seen; a number only where it fits."""
    fits = side >= 9 + 7 * len(str(count))
    number = f"<text class=count x='{side / 2:g}' y='{side / 2 + 4:g}'>{count}</text>" if fits else ""
    shade = f"fill-opacity='{0.2 + 0.6 * share:.2f}'"
    return f"<rect class='cell {kind}' x='.5' y='.5' width='{side - 1}' height='{side - 1}' {shade}/>{number}"
