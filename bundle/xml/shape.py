"""One closed path of straight lines and cubic curves, as the arrays that a fit works on."""

from dataclasses import dataclass

import numpy as np

KINDS = {"L": 1, "C": 3}


@dataclass(frozen=True)
class Shape:
    """Piece k goes from vertex k to the next, the last one back to the first; controls count where the kind is C."""

    kinds: str  # of L and C
    vertices: np.ndarray  # float64 (n, 2)
    controls: np.ndarray  # float64 (n, 2, 2)


def read(d: str) -> Shape | None:
    """None for a path that is not one closed line of M, L, C and Z."""
    words = d.replace(",", " ").split()
    if not words or words[0] != "M" or words[-1] != "Z" or words.count("M") != 1 or words.count("Z") != 1:
        return None
    kinds, vertices, controls = "", [np.array(words[1:3], float)], []
    at = 3
    while at < len(words) - 1:
        kind = words[at]
        points = np.array(words[at + 1 : at + 1 + 2 * KINDS[kind]], float).reshape(-1, 2)
        at += 1 + 2 * KINDS[kind]
        kinds += kind
        controls.append(points[:2] if kind == "C" else np.zeros((2, 2)))
        vertices.append(points[-1])
    if (vertices[-1] == vertices[0]).all() and kinds:
        vertices.pop()
    else:
        kinds, controls = kinds + "L", [*controls, np.zeros((2, 2))]
    return Shape(kinds, np.array(vertices), np.array(controls))


def write(shape: Shape) -> str:
    """With whole numbers; a last straight line is what Z draws."""
    words = ["M", *_words(shape.vertices[0])]
    for at, kind in enumerate(shape.kinds):
        last = at == len(shape.kinds) - 1
        if kind == "L" and last and at:
            break
        words += [kind, *(_words(shape.controls[at]) if kind == "C" else ())]
        words += _words(shape.vertices[0 if last else at + 1])
    return " ".join([*words, "Z"])


def _words(points: np.ndarray) -> list[str]:
    return [str(int(number)) for number in np.rint(points).ravel()]


def points(shape: Shape) -> np.ndarray:
    """float64 (n, u, 2) with u = 4: the pieces as cubic curves, straight ones evenly paced."""
    start, end = shape.vertices, np.roll(shape.vertices, -1, 0)
    curved = np.array([kind == "C" for kind in shape.kinds])[:, None]
    first = np.where(curved, shape.controls[:, 0], start + (end - start) / 3)
    second = np.where(curved, shape.controls[:, 1], end - (end - start) / 3)
    return np.stack([start, first, second, end], 1)


def flat(shape: Shape, steps: int = 16) -> np.ndarray:
    """float64 (n * steps, 2): a closed line of short straight ones."""
    line: np.ndarray = basis(np.arange(steps) / steps) @ points(shape)
    return line.reshape(-1, 2)


def basis(t: np.ndarray) -> np.ndarray:
    """float64 (..., 4): what each of a cubic curve's four points weighs at t."""
    s = 1 - t
    return np.stack([s**3, 3 * s * s * t, 3 * s * t * t, t**3], -1)


def slope(t: np.ndarray) -> np.ndarray:
    """The same for its direction."""
    s = 1 - t
    return np.stack([-3 * s * s, 3 * s * s - 6 * s * t, 6 * s * t - 3 * t * t, 3 * t * t], -1)


def area(line: np.ndarray) -> float:
    """Of a closed line; positive where it goes clockwise as seen, y growing downwards."""
    x, y = line.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def clockwise(shape: Shape) -> Shape:
    """The same line, drawn the other way round where it must be."""
    if area(flat(shape)) >= 0:
        return shape
    return Shape(shape.kinds[::-1], np.roll(shape.vertices[::-1], 1, 0), shape.controls[::-1, ::-1])
