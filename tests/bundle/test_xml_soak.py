"""Any picture at all becomes a valid document: 10,000 of noise, soft colours and pages, by the embedded bundles that make XML, else by tiny ones."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bundle import model, store
from bundle.engine import cores
from bundle.errors import BundleError

EMBEDDED = Path(__file__).parents[2] / "server" / "bundles"


@pytest.fixture(scope="module")
def bundles_of_xml(boxes, drawing):
    found = []
    for folder in sorted(EMBEDDED.iterdir()):
        try:
            found += [folder] if store.read_manifest(folder).kind == "xml" else []
        except BundleError:
            continue  # a report's folder
    return found or [boxes, drawing]


def noise(rng):
    return Image.fromarray(rng.integers(0, 256, (64, 96, 3), np.uint8))


def photo_like(rng):
    coarse = rng.integers(0, 256, (*rng.integers(2, 12, 2), 3), np.uint8)
    return Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC)


def page(rng):
    """Boxes and lines on white, some of them upright and in rows, as pages and drawings have them."""
    sheet = Image.new("RGB", (200, 160), "white")
    pencil = ImageDraw.Draw(sheet)
    for _ in range(int(rng.integers(0, 30))):
        left, top = rng.integers(0, 180, 2).tolist()
        colour = tuple(rng.integers(0, 256, 3).tolist())
        pencil.rectangle((left, top, left + int(rng.integers(1, 60)), top + int(rng.integers(1, 40))), outline=colour)
        pencil.line(rng.integers(0, 200, 4).tolist(), fill=colour, width=int(rng.integers(1, 5)))
    return sheet


KINDS = (noise, photo_like, page)


def invalid(bundle, count, encoded):
    """The numbers of the pictures that did not become valid documents, and how many of all were called sure."""
    opened = model.open(bundle, "onnx")

    def said(at):
        picture = KINDS[at % len(KINDS)](np.random.default_rng(at))
        return opened.convert(opened.prepare(encoded(picture, "PNG")))

    with ThreadPoolExecutor(cores()) as pool:
        answers = list(pool.map(said, range(count)))
    bad = [at for at, answer in enumerate(answers) if not answer.valid or not opened.codec.valid(answer.xml)]
    return bad, sum(answer.sure for answer in answers)


@pytest.mark.parametrize("count", [60, pytest.param(10_000, marks=pytest.mark.soak)])
def test_any_picture_becomes_a_valid_document(bundles_of_xml, encoded, count):
    for bundle in bundles_of_xml:
        bad, sure = invalid(bundle, count, encoded)
        print(f"\n{bundle.name}: {count} pictures, {len(bad)} invalid, {sure} sure")
        assert not bad
