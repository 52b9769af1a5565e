"""An SVG document drawn again: its paths as filled areas, for measures, or as lines, for people and for training pictures."""

import numpy as np
from lxml import etree
from PIL import Image

from training.pieces.drawing import raster

PATH = "{http://www.w3.org/2000/svg}path"


def filled(document: bytes, size: int) -> np.ndarray:
    """uint8 (size, size): black where any path encloses something (an open one is closed as SVG does it), white elsewhere."""
    paths = "".join(f'<path d="{d}" fill="black"/>' for d in commands(document))
    return np.asarray(_picture(document, paths, size).convert("L"))


def lines(document: bytes, size: int, stroke: float) -> Image.Image:
    """RGB, size x size: every path as a black line of `stroke` pixels on white."""
    width = stroke * _side(document) / size
    look = f'fill="none" stroke="black" stroke-width="{width:.4f}" stroke-linejoin="round" stroke-linecap="round"'
    return _picture(document, "".join(f'<path d="{d}" {look}/>' for d in commands(document)), size)


def commands(document: bytes) -> list[str]:
    """The `d` of every path; escaped already, since they are letters and numbers."""
    return [path.get("d", "") for path in etree.fromstring(document).iter(PATH)]


def _side(document: bytes) -> float:
    return max(float(word) for word in _box(document).split()[2:])


def _box(document: bytes) -> str:
    return etree.fromstring(document).get("viewBox") or "0 0 256 256"


def _picture(document: bytes, paths: str, size: int) -> Image.Image:
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="{_box(document)}">'
        f'<rect width="100%" height="100%" fill="white"/>{paths}</svg>'
    )
    return raster(text, size)
