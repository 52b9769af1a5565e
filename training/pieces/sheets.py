"""Sheets with one to three pieces on them: a picture and its document, for models that turn a drawing into XML."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lxml import etree
from PIL import Image

from bundle.xml import paths
from training import pieces
from training.pieces import drawing
from training.pieces.pen import Rng, between, chance

SVG = "{http://www.w3.org/2000/svg}"
SCHEMA = Path(__file__).resolve().parent.parent / "schemas" / "pattern.rng"
MARGIN = 6  # grid units around each piece

# Left, top, right, bottom of each piece's room, in parts of the sheet.
LAYOUTS: tuple[tuple[tuple[float, float, float, float], ...], ...] = (
    ((0, 0, 1, 1),),
    ((0, 0, 0.5, 1), (0.5, 0, 1, 1)),
    ((0, 0, 1, 0.5), (0, 0.5, 1, 1)),
    ((0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 1, 1)),
    ((0, 0, 0.5, 1), (0.5, 0, 1, 0.5), (0.5, 0.5, 1, 1)),
)
ODDS = (0.5, 0.2, 0.14, 0.08, 0.08)


def svg(rng: Rng) -> str:
    """Outlines, now and then with the grain or a fold line; valid against training/schemas/pattern.rng."""
    layout = LAYOUTS[rng.choice(len(LAYOUTS), p=ODDS)]
    lines = [line for room in layout for line in _piece(rng, room)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" viewBox="0 0 {pieces.GRID} {pieces.GRID}">'
    return "\n".join([head, *lines, "</svg>\n"])


def picture(*, seed: int, index: int, size: int = 256) -> tuple[str, Image.Image]:
    """A sheet's document and a drawing of it, every point where the document says."""
    rng = pieces.generator(seed, "sheet", index)
    text = svg(rng)
    return text, drawing.exact(text, rng, size)


def write(folder: Path, *, count: int, seed: int, size: int = 256) -> Iterator[Path]:
    """Pairs NAME.png and NAME.svg, and their schema; gives each picture's path once the pair is written."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCHEMA.name).write_bytes(SCHEMA.read_bytes())
    for index in range(count):
        text, image = picture(seed=seed, index=index, size=size)
        path = folder / f"{index:05}.png"
        path.with_suffix(".svg").write_text(text)
        path.write_bytes(pieces.png(image))
        yield path


def _piece(rng: Rng, room: tuple[float, float, float, float]) -> list[str]:
    """The paths of one piece, moved into its room."""
    label = pieces.LABELS[rng.integers(len(pieces.LABELS))]
    root = etree.fromstring(pieces.svg(label, rng).encode())
    found = [(element.get("class", ""), paths.parse(element.get("d", ""))) for element in root.iter(f"{SVG}path")]
    kept = [(kind, path) for kind, path in found if path and (kind == "cut" and path.closed)]
    if not kept or len(kept[0][1].steps) > 24:
        return _piece(rng, room)  # an outline that is open, or longer than a model should learn first
    drawn = kept[:1] + [(kind, path) for kind, path in found if path and kind == "grain" and chance(rng, 0.5)][:1]
    points = np.array([point for _, path in drawn for step in ((path.start,), *path.steps) for point in step], float)
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    left, top, right, bottom = (edge * (pieces.GRID - 1) for edge in room)
    space = np.array([right - left, bottom - top]) - 2 * MARGIN
    scale = float((space / np.maximum(span, 1)).min()) * between(rng, 0.75, 1.0)
    shift = np.array([left, top]) + MARGIN + (space - span * scale) * rng.random(2) - low * scale
    return [f'  <path class="{kind}" d="{_data(path, scale, shift)}"/>' for kind, path in drawn]


def _data(path: paths.Path, scale: float, shift: np.ndarray) -> str:
    def moved(point: paths.Point) -> paths.Point:
        x, y = np.rint(np.array(point) * scale + shift).astype(int).tolist()
        return x, y

    steps = tuple(tuple(moved(point) for point in step) for step in path.steps)
    return paths.format(paths.settled(paths.Path(moved(path.start), steps, path.closed)))
