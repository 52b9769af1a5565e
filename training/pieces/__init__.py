"""Drawn garment pieces: a label and a seed give an SVG document, a picture of it, a folder of them; training data that is nobody's."""

import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from training.pieces import bodices, drawing, lower, necks, pockets, sleeves
from training.pieces.pen import Pen, Rng, between, chance

Draft = Callable[[Rng], Pen]
DRAFTS: dict[str, tuple[tuple[Draft, float], ...]] = {  # how often each, of all pieces with the label
    "bodice-back": (
        (bodices.back, 0.66),
        (bodices.yoked_back, 0.14),
        (bodices.princess_back, 0.12),
        (bodices.dolman_back, 0.08),
    ),
    "bodice-front": (
        (bodices.front, 0.6),
        (bodices.jacket_front, 0.12),
        (bodices.dolman_front, 0.08),
        (bodices.wrap_front, 0.08),
        (bodices.princess_front, 0.12),
    ),
    "collar": (
        (necks.shirt_collar, 0.4),
        (necks.stand, 0.22),
        (necks.flat_collar, 0.2),
        (necks.shawl_collar, 0.12),
        (necks.sailor_collar, 0.06),
    ),
    "cuff": ((sleeves.cuff, 0.75), (sleeves.shaped_cuff, 0.25)),
    "hood": ((necks.hood, 1.0),),
    "pocket": (
        (pockets.patch_pocket, 0.26),
        (pockets.pointed_pocket, 0.14),
        (pockets.flap, 0.16),
        (pockets.pocket_bag, 0.2),
        (pockets.tall_bag, 0.14),
        (pockets.kangaroo_pocket, 0.1),
    ),
    "skirt": ((lower.skirt, 0.5), (lower.circle_skirt, 0.3), (lower.gore, 0.2)),
    "sleeve": (
        (sleeves.sleeve, 0.56),
        (sleeves.raglan_sleeve, 0.16),
        (sleeves.top_sleeve, 0.16),
        (sleeves.under_sleeve, 0.12),
    ),
    "trousers": ((lower.trouser_front, 0.42), (lower.trouser_back, 0.42), (lower.leggings, 0.16)),
    "waistband": ((lower.waistband, 0.7), (lower.contour_waistband, 0.3)),
    "yoke": ((necks.yoke, 1.0),),
}

LABELS: tuple[str, ...] = tuple(sorted(DRAFTS))
GRID = 256  # the document's square: training/schemas/pattern.rng


def svg(label: str, rng: Rng) -> str:
    """One piece, fitted somewhere in the grid; valid against training/schemas/pattern.rng."""
    drafts = DRAFTS[label]
    odds = np.array([odds for _, odds in drafts])
    pen = drafts[rng.choice(len(drafts), p=odds / odds.sum())][0](rng)
    if chance(rng, 0.5):
        pen = pen.moved(lambda point: -point.conjugate())
    if chance(rng, 0.06):
        quarter = 1j ** int(rng.integers(1, 4))
        pen = pen.moved(lambda point: point * quarter)
    marks = pen.marks if chance(rng, 0.75) else []
    if chance(rng, 0.45):
        marks = marks + grain(rng, pen)
    if chance(rng, 0.3):
        marks = marks + notches(rng, pen)
    return document(rng, pen, marks)


def document(rng: Rng, pen: Pen, marks: list[tuple[str, Pen]]) -> str:
    """The outline and its marks as text, in whole grid units."""
    points = [point for _, path in [("cut", pen), *marks] for step in path.steps for point in step]
    low = complex(min(p.real for p in points), min(p.imag for p in points))
    span = complex(max(p.real for p in points), max(p.imag for p in points)) - low
    scale = (GRID - 1) * between(rng, 0.7, 1.0) / max(span.real, span.imag)
    room = complex(GRID - 1, GRID - 1) - span * scale
    shift = complex(room.real * rng.random(), room.imag * rng.random()) - low * scale
    paths = outline(rng, pen) + [(kind, mark, "") for kind, mark in marks]
    drawn = [(kind, data(path, scale, shift), end) for kind, path, end in paths]
    lines = [f'  <path class="{kind}" d="{d}{end}"/>' for kind, d, end in drawn if d.count(" ") > 2]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" viewBox="0 0 {GRID} {GRID}">'
    return "\n".join([head, *lines, "</svg>\n"])


def outline(rng: Rng, pen: Pen) -> list[tuple[str, Pen, str]]:
    """Closed; or, where an edge lies on the fold, now and then left open there and closed by a fold line."""
    if pen.folded and chance(rng, 0.4):
        return [("cut", pen, ""), ("fold", Pen(pen.at).line(pen.steps[0][0]), "")]
    return [("cut", pen, " Z")]


def data(pen: Pen, scale: float, shift: complex) -> str:
    """The d attribute; steps that round to nothing are left out, which may leave the start alone: M x y."""
    words: list[str] = []
    at = ""
    for i, step in enumerate(pen.steps):
        texts = [f"{round(p.real)} {round(p.imag)}" for p in (point * scale + shift for point in step)]
        if texts[-1] != at or len(set(texts)) > 1:
            words += ["M" if i == 0 else "C" if len(step) == 3 else "L", *texts]
        at = texts[-1]
    if words[-2:] == ["L", words[1]]:  # Z draws that line
        del words[-2:]
    return " ".join(words)


def grain(rng: Rng, pen: Pen) -> list[tuple[str, Pen]]:
    """The line along the grain, upright within the piece, often with arrow heads."""
    corners = np.array(flat(pen))
    x = float(np.quantile(corners.real, between(rng, 0.3, 0.7))) + 0.01
    ahead = np.roll(corners, -1)
    cross = (corners.real > x) != (ahead.real > x)
    near, far = corners[cross], ahead[cross]
    heights = np.sort(near.imag + (far.imag - near.imag) * (x - near.real) / (far.real - near.real))
    if len(heights) < 2:
        return []
    spans = heights[1::2] - heights[::2]
    top, length = heights[::2][spans.argmax()], spans.max()
    up = complex(x, top + length * between(rng, 0.08, 0.35))
    down = complex(x, top + length * between(rng, 0.65, 0.92))
    lines = [("grain", Pen(up).line(down))]
    if chance(rng, 0.6):
        tip = abs(down - up) * 0.06
        heads = [(up, tip), (down, -tip)][: int(rng.integers(1, 3))]
        lines += [("grain", Pen(p + complex(-t, t * 1.5)).line(p, p + complex(t, t * 1.5))) for p, t in heads]
    return lines


def notches(rng: Rng, pen: Pen) -> list[tuple[str, Pen]]:
    """Short ticks from the outline inward, where a seam is matched to its neighbour."""
    corners = flat(pen)
    area = sum((corners[i - 1].conjugate() * corners[i]).imag for i in range(len(corners)))
    inward = math.copysign(between(rng, 0.015, 0.03), area) * 1j * max(abs(corner - corners[0]) for corner in corners)
    lines: list[tuple[str, Pen]] = []
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(corners)))
        way = corners[at] - corners[at - 1]
        if abs(way):
            middle = (corners[at] + corners[at - 1]) / 2
            lines.append(("cut", Pen(middle).line(middle + way / abs(way) * inward)))
    return lines


def flat(pen: Pen) -> list[complex]:
    """The outline as corners, eight to a curve."""
    corners = [pen.steps[0][0]]
    for step in pen.steps[1:]:
        if len(step) == 1:
            corners.append(step[0])
            continue
        (a, b, c), start = step, corners[-1]
        for t in np.linspace(0.125, 1, 8):
            u = 1 - t
            corners.append(complex(u**3 * start + 3 * u * u * t * a + 3 * u * t * t * b + t**3 * c))
    return corners


def generator(seed: int, label: str, index: int) -> Rng:
    """Chance for one piece, the same whatever else is drawn."""
    return np.random.default_rng([seed, *label.encode(), index])


def picture(label: str, *, seed: int, index: int, size: int = 256) -> tuple[str, Image.Image]:
    """A piece's document and a drawing of it."""
    rng = generator(seed, label, index)
    text = svg(label, rng)
    return text, drawing.draw(text, rng, size)


def write(
    folder: Path, *, count: int, seed: int, size: int = 256, labels: tuple[str, ...] = LABELS
) -> Iterator[tuple[Path, str]]:
    """A folder for each label with count pictures in it; gives each path once it is written, and the picture's document."""
    for label in labels:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            text, image = picture(label, seed=seed, index=index, size=size)
            path = folder / label / f"{index:05}.png"
            path.write_bytes(png(image))
            yield path, text


def png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()
