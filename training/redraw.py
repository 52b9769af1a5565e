"""Drawings made anew from their documents: sheared, scaled and shifted with all their numbers, in another line. Picture and label agree
by construction, since the picture is drawn from the label."""

from collections.abc import Sequence

import numpy as np
from lxml import etree

from bundle.xml import geometry
from bundle.xml.codec import Codec
from bundle.xml.grammar import Event
from training.pieces import drawing

PATH = "{http://www.w3.org/2000/svg}path"

# Lines from 1.5 to 8 pixels of a picture of 512.
THIN, THICK = 0.003, 0.016
# How much of the square the longer side takes.
REACH = (0.55, 0.97)
SHEAR, STRETCH = 0.15, 0.3


def redrawn(
    codec: Codec, events: Sequence[Event], size: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[Event]] | None:
    """uint8 (size, size, 3) and its document. None for one that cannot be moved, or that is no square."""
    side = square(codec.write(events))
    matrix = side and _matrix(codec, events, side, rng)
    moved = None if matrix is None or not side else geometry.moved(codec, events, matrix)
    if moved is None:
        return None
    stroke = size * np.exp(rng.uniform(np.log(THIN), np.log(THICK)))
    plain = rng.random() < 0.5
    paper, ink = ("#ffffff", "#000000") if plain else (drawing.light(rng), drawing.dark(rng))
    return draw(codec.write(moved), size, stroke=float(stroke), paper=paper, ink=ink), moved


def square(document: bytes) -> int | None:
    """The side of a drawing's square viewBox that begins at 0, in its units."""
    words = etree.fromstring(document).get("viewBox", "").split()
    return int(words[2]) if len(words) == 4 and words[:2] == ["0", "0"] and words[2] == words[3] else None


def _matrix(codec: Codec, events: Sequence[Event], side: int, rng: np.random.Generator) -> np.ndarray | None:
    """float (2, 3): turned, mirrored, sheared and stretched, then put somewhere in the square."""
    points = np.array([events[at][1] for at, _ in geometry.coordinates(codec, events)], float).reshape(-1, 2)
    if not len(points):
        return None
    linear = geometry.matrix(0, turns=int(rng.integers(4)), mirror=bool(rng.integers(2)))[:, :2]
    shear = rng.uniform(-SHEAR, SHEAR) * (rng.random() < 0.5)
    linear = np.array([[1, shear], [0, 1]]) @ np.diag(np.exp(rng.uniform(-STRETCH, STRETCH, 2))) @ linear
    moved = points @ linear.T
    low, extent = moved.min(axis=0), np.ptp(moved, axis=0)
    scale = rng.uniform(*REACH) * (side - 1) / max(extent.max(), 1e-9)
    room = side - 1 - extent * scale
    return np.column_stack([linear * scale, room * rng.uniform(0, 1, 2) - low * scale])


def draw(document: bytes, size: int, *, stroke: float, paper: str = "#ffffff", ink: str = "#000000") -> np.ndarray:
    """uint8 (size, size, 3): every path as a line of `stroke` pixels."""
    side = square(document) or size
    look = f'fill="none" stroke="{ink}" stroke-width="{stroke * side / size:.4f}" stroke-linejoin="round"'
    # Letters and numbers only, so there is nothing to escape.
    paths = "".join(f'<path d="{path.get("d")}" {look}/>' for path in etree.fromstring(document).iter(PATH))
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 {side} {side}">'
        f'<rect width="100%" height="100%" fill="{paper}"/>{paths}</svg>'
    )
    return np.asarray(drawing.raster(text, size))
