"""Moves a drawing's paths onto the outlines traced in its picture: the network gives the structure, the picture the precision.

numpy alone: the image of the server has neither a rasteriser nor an optimiser.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from lxml import etree

from bundle.errors import DocumentError
from bundle.xml import area, places, shape
from bundle.xml.codec import Codec
from bundle.xml.refine import refined
from bundle.xml.shape import Shape
from bundle.xml.trace import Outline, trace

Way = Literal["kept", "fitted", "restructured"]
Structure = Literal["kept", "trusted", "doubted"]

# Under this IoU after the fit, the network's structure is taken to be wrong.
LEAST = 0.97
# A structure of our own must be better by so much than the network's, fitted.
GAIN = 0.005
# Pieces for one of what the outline asks for, from where on a structure that is not trusted is too rich. Paths that people drew have
# 1.3 on average, nine of ten at most 1.8.
RICH = 1.5
# Of longer paths the structure is not laid out, which takes time with the square of its pieces: a network that goes in circles writes such.
MOST_PIECES = 80
# Open paths with so many pieces were to be outlines; grain and fold lines have fewer.
OPEN = 8
COARSE = 128  # pixels, where paths look for their outlines


@dataclass(frozen=True)
class Fitted:
    xml: bytes
    iou: float | None  # of the area within the paths and within the outlines; None where either has none
    before: float | None
    way: Way  # restructured: at least one path has pieces that the network did not say


def fit(xml: bytes, picture: np.ndarray, codec: Codec, *, resize: str, structure: Structure = "trusted") -> Fitted:
    """Never worse than it was, always valid. `picture` is uint8 (h, w) or (h, w, 3), upright, as decoded; `resize` of the model's
    Preprocess says how the drawing lies on it. A path gets the pieces that its outline asks for where it stays under LEAST, unless
    its structure is kept, and where it has RICH times as many and its structure is doubted."""
    root = etree.fromstring(xml)
    unit, drawn = _unit(root), _closed(root, doubted=structure == "doubted")
    outlines = trace(picture, unit=unit, resize=resize) if unit and drawn else []
    value = _iou(drawn.values(), outlines, unit)
    kept = Fitted(xml, value, value, "kept")
    ways: set[Way] = set()
    for node, outline in _matched(drawn, outlines, unit):
        found, way = _better(drawn[node], outline, unit, structure)
        node.set("d", shape.write(found))
        ways.add(way)
    if not ways - {"kept"}:
        return kept
    return _judged(root, kept, codec, outlines, "restructured" if "restructured" in ways else "fitted")


def iou(xml: bytes, picture: np.ndarray, *, resize: str) -> float | None:
    """Of the area within the document's closed paths and within the outlines traced in the picture; None where either has none."""
    root = etree.fromstring(xml)
    unit = _unit(root)
    drawn = _closed(root)
    return _iou(drawn.values(), trace(picture, unit=unit, resize=resize), unit) if unit and drawn else None


def _unit(root: etree._Element) -> int:
    """The side of the square that the document draws on; 0 where it is none."""
    words = root.get("viewBox", "").split()
    square = len(words) == 4 and words[:2] == ["0", "0"] and words[2] == words[3] and words[2].isdecimal()
    return int(words[2]) if square else 0


def _closed(root: etree._Element, *, doubted: bool = False) -> dict[etree._Element, Shape]:
    """The closed paths. Of a document that is doubted those too that are long and open: a bound may have ended them."""
    words = {node: node.get("d", "") for node in root.iter("{*}path")}
    shapes = {node: shape.read(d) or (shape.read(f"{d} Z") if doubted else None) for node, d in words.items()}
    return {
        node: found for node, found in shapes.items() if found and (words[node][-1:] == "Z" or len(found.kinds) >= OPEN)
    }


def _iou(shapes: Iterable[Shape], outlines: list[Outline], unit: int) -> float | None:
    lines = [shape.flat(one) for one in shapes]
    if not lines or not outlines:
        return None
    return area.same(area.filled(lines, unit), area.filled((one.points for one in outlines), unit))


def _matched(
    drawn: dict[etree._Element, Shape], outlines: list[Outline], unit: int
) -> Iterator[tuple[etree._Element, Outline]]:
    """Each outline with the path that covers it best, the best pairs first; those that cover nothing by their size."""
    nodes = sorted(drawn, key=lambda node: -abs(shape.area(shape.flat(drawn[node]))))
    inner = [area.filled([shape.flat(drawn[node])], unit, COARSE) for node in nodes]
    outer = [area.filled([outline.points], unit, COARSE) for outline in outlines]
    pairs = sorted((-area.same(a, b), i, j) for i, a in enumerate(inner) for j, b in enumerate(outer))
    left = (set(range(len(nodes))), set(range(len(outlines))))
    for _, i, j in pairs:
        if i in left[0] and j in left[1]:
            yield nodes[i], outlines[j]
            left[0].remove(i)
            left[1].remove(j)


def _better(drawn: Shape, outline: Outline, unit: int, structure: Structure) -> tuple[Shape, Way]:
    """The path as it was, fitted or restructured."""
    line = outline.points
    target = area.filled([line], unit)

    def score(one: Shape) -> float:
        return area.same(area.filled([shape.flat(one)], unit), target)

    long = len(drawn.kinds) > MOST_PIECES
    if not drawn.kinds or (long and structure == "kept"):
        return drawn, "kept"
    costs = places.table(line, drawn.vertices[: 0 if long else None])
    same = drawn if long else refined(places.aligned(shape.clockwise(drawn), costs), line, unit - 1)
    value, fitted = score(drawn), score(same)
    best: tuple[Shape, Way] = (same, "fitted") if fitted > value else (drawn, "kept")
    if structure == "kept":
        return best
    own = places.restructured(costs)
    rich = structure == "doubted" and len(drawn.kinds) >= RICH * len(own.kinds)
    if max(value, fitted) < LEAST or rich:
        own = refined(own, line, unit - 1)
        if score(own) > max(value, fitted) + (-GAIN if rich else GAIN):
            return own, "restructured"
    return best


def _judged(root: etree._Element, kept: Fitted, codec: Codec, outlines: list[Outline], way: Way) -> Fitted:
    """The new document where it is valid and better, else the old one."""
    try:
        xml = codec.write(codec.events(etree.tostring(root)))
    except DocumentError:  # the schema is narrower than what was found
        return kept
    after = _iou(_closed(root).values(), outlines, _unit(root))
    worth = (kept.iou or 0) - (GAIN if way == "restructured" else 0)
    better = after is not None and after > worth
    return Fitted(xml, after, kept.iou, way) if better else kept
