"""Tiny pages to learn from: a coloured head, rows of one to three coloured boxes below it; drawn with the document that says so."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle.xml import schema
from bundle.xml.codec import Codec

SCHEMA = """<grammar xmlns="http://relaxng.org/ns/structure/1.0" xmlns:i="urn:imago:xml"><start>
  <element name="page">
    <element name="head"><attribute name="c"><choice><value>red</value><value>blue</value></choice></attribute></element>
    <oneOrMore i:bands="y" i:max="3">
      <element name="row"><attribute name="c"><choice><value>red</value><value>green</value><value>blue</value></choice></attribute></element>
    </oneOrMore>
  </element></start></grammar>"""
COLOURS = {"red": (220, 30, 30), "green": (30, 160, 30), "blue": (30, 30, 220)}


def _page(head: str, rows: list[str], side: int = 64) -> tuple[np.ndarray, str]:
    """uint8 (side, side, 3) and its document: bands of a seventh of the side."""
    band = side // 7
    pixels = np.full((side, side, 3), 255, np.uint8)
    for at, colour in enumerate([head, *rows]):
        top = band // 2 + at * (band + band // 2)
        pixels[top : top + band, 4 : side - 4 if at else side // 2] = COLOURS[colour]
    return pixels, f'<page><head c="{head}"/>' + "".join(f'<row c="{row}"/>' for row in rows) + "</page>"


def _write(folder: Path, count: int, *, seed: int = 0, side: int = 64, bands: bool = True) -> Path:
    """So many pairs, and their schema."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    (folder / "page.rng").write_text(SCHEMA if bands else SCHEMA.replace(' i:bands="y"', ""))
    for at in range(count):
        rows = [str(row) for row in rng.choice(list(COLOURS), rng.integers(1, 4))]
        pixels, document = _page(str(rng.choice(["red", "blue"])), rows, side)
        speckled = np.clip(pixels + rng.normal(0, 1, pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(speckled).save(folder / f"{at:03}.png")
        (folder / f"{at:03}.xml").write_text(document)
    return folder


@pytest.fixture(scope="session")
def pages():
    """(folder, count, seed=, side=, bands=) -> the folder, with so many pairs in it."""
    return _write


@pytest.fixture(scope="session")
def page():
    """(head, rows) -> pixels and document."""
    return _page


@pytest.fixture(scope="session")
def page_codec():
    return Codec(schema.parse(SCHEMA.encode()))
