"""SVG paths of absolute M, L, C and Z: read and written, one canonical spelling for one drawing, and polylines. Imports numpy and lxml only."""

import re
from typing import NamedTuple

import numpy as np
from lxml import etree

SVG = "{http://www.w3.org/2000/svg}"

Point = tuple[float, float]
# One point: a line to it. Three: a cubic curve, two handles and its end.
Step = tuple[Point, ...]

NUMBER = r"[+-]?\d+(?:\.\d+)?"
WORDS = re.compile(rf"{NUMBER}|[MLCZ]")
SHAPE = re.compile(r"Mnn(Lnn|Cnnnnnn)+Z?")  # n for a number


class Path(NamedTuple):
    start: Point
    steps: tuple[Step, ...]  # at least one
    closed: bool


def parse(d: str) -> Path | None:
    """Whole numbers become int, others float. None for what is not one subpath of absolute M, L, C and Z, every letter spelled out."""
    words = WORDS.findall(d)
    letters = "".join(word if word in "MLCZ" else "n" for word in words)
    if not SHAPE.fullmatch(letters) or WORDS.sub("", d).strip(" ,\t\r\n"):
        return None
    numbers = iter([_number(word) for word in words if word not in "MLCZ"])
    points = iter(list(zip(numbers, numbers, strict=True)))
    start = next(points)
    steps = [tuple(next(points) for _ in range(3 if letter == "C" else 1)) for letter in letters if letter in "LC"]
    return Path(start, tuple(steps), letters.endswith("Z"))


def _number(word: str) -> float:
    number = float(word)
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def format(path: Path) -> str:
    """Every letter and number set off by a blank."""
    words = ["M", *map(str, path.start)]
    for step in path.steps:
        words += ["L" if len(step) == 1 else "C", *(str(number) for point in step for number in point)]
    return " ".join([*words, "Z"] if path.closed else words)


# ---- canonical ------------------------------------------------------------------------------


def canonical(root: etree._Element) -> None:
    """In place: every path that `parse` reads as `settled`, and paths that have only paths beside them sorted by (class, start)."""
    for element in root.iter(f"{SVG}path"):
        path = parse(element.get("d", ""))
        if path and _whole(path):
            element.set("d", format(settled(path)))
    for parent in root.iter():
        children = list(parent)
        if len(children) > 1 and all(child.tag == f"{SVG}path" for child in children):
            parent[:] = sorted(children, key=_place)


def settled(path: Path) -> Path:
    """The same drawing from its first vertex, the one with the least (y, x): clockwise on the screen where it is closed, and then without
    a straight line back, since Z draws it; from the end that comes first where it is open. Steps that go nowhere are left out."""
    steps = _moving(path.start, path.steps)
    if not steps:
        return Path(path.start, ((path.start,),), path.closed)
    if not path.closed:
        return min(Path(path.start, steps, False), _reversed(Path(path.start, steps, False)), key=_rank)
    ring = Path(path.start, steps if steps[-1][-1] == path.start else (*steps, (path.start,)), True)
    area = _area(ring)
    rings = [ring] if area > 0 else [_reversed(ring)] if area < 0 else [ring, _reversed(ring)]
    return min((turned for one in rings for turned in _turns(one)), key=_rank)


def _moving(at: Point, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    starts = (at, *(step[-1] for step in steps))
    return tuple(step for start, step in zip(starts, steps, strict=False) if set(step) != {start})


def _reversed(path: Path) -> Path:
    points = [(path.start,), *path.steps]
    steps = tuple((*step[-2::-1], before[-1]) for before, step in zip(points[-2::-1], points[:0:-1], strict=True))
    return Path(points[-1][-1], steps, path.closed)


def _turns(ring: Path) -> list[Path]:
    """The ring from each of its vertices with the least (y, x)."""
    first = min((step[-1] for step in ring.steps), key=_down)
    turns = []
    for at, step in enumerate(ring.steps):
        if step[-1] == first:
            steps = (*ring.steps[at + 1 :], *ring.steps[: at + 1])
            turns.append(Path(first, steps[:-1] if len(steps[-1]) == 1 else steps, True))
    return turns


def _area(ring: Path) -> float:
    """Twenty times what it encloses, exact for whole numbers; positive where it is drawn clockwise on the screen."""
    total, at = 0.0, ring.start
    for step in ring.steps:
        if len(step) == 1:
            total += 10 * _cross(at, step[0])
        else:
            one, two, end = step
            total += 6 * (_cross(at, one) + _cross(two, end)) + _cross(at, end)
            total += 3 * (_cross(at, two) + _cross(one, two) + _cross(one, end))
        at = step[-1]
    return total


def _cross(one: Point, two: Point) -> float:
    return one[0] * two[1] - one[1] * two[0]


def _down(point: Point) -> Point:
    return point[1], point[0]


def _rank(path: Path) -> tuple[Point, tuple[Step, ...]]:
    return _down(path.start), path.steps


def _place(element: etree._Element) -> tuple[str, Point, str]:
    d = element.get("d", "")
    path = parse(d)
    return element.get("class", ""), _down(path.start) if path else (0, 0), d


def _whole(path: Path) -> bool:
    return all(isinstance(number, int) for step in ((path.start,), *path.steps) for point in step for number in point)


# ---- polylines ------------------------------------------------------------------------------


def flatten(d: str, steps: int = 16) -> np.ndarray:
    """float (n, 2): a polyline along the path, every curve in `steps` pieces; a closed one ends where it began. Raises ValueError."""
    path = parse(d)
    if path is None:
        raise ValueError(f"{d[:40]!r} is no path of absolute M, L, C and Z")
    parts, at = [np.array([path.start], float)], path.start
    for step in path.steps:
        parts.append(_curve(at, step, steps) if len(step) == 3 else np.array(step, float))
        at = step[-1]
    if path.closed and at != path.start:
        parts.append(parts[0])
    return np.concatenate(parts)


def _curve(at: Point, step: Step, steps: int) -> np.ndarray:
    """float (steps, 2): without its start."""
    t = np.linspace(0, 1, steps + 1)[1:, None]
    weights = np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    return np.asarray(weights @ np.array([at, *step], float))
