"""Sheets of drawn pieces: pairs that `imago train xml` takes."""

import numpy as np
import pytest
from PIL import Image

from bundle.xml import codec
from training import drawn
from training.pieces import sheets

pytest.importorskip("resvg_py", reason="drawing needs the train extra")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, imago):
    folder = tmp_path_factory.mktemp("sheets")
    done = imago("data", "sheets", folder, "--count", "12", "--size", "128", "--seed", "3")
    assert done.returncode == 0, done.stderr
    return folder


def test_every_sheet_has_a_valid_document(folder):
    language = codec.load(folder / sheets.SCHEMA.name)
    documents = [path.read_bytes() for path in sorted(folder.glob("*.svg"))]
    assert len(documents) == len(list(folder.glob("*.png"))) == 12
    assert all(language.valid(document) for document in documents)
    assert len({language.canonical(document) for document in documents}) == 12


def test_lines_lie_where_the_document_says(folder):
    for path in sorted(folder.glob("*.svg")):
        seen = np.asarray(Image.open(path.with_suffix(".png")).convert("L"), float)
        there = np.asarray(drawn.lines(path.read_bytes(), 128, 1.5).convert("L")) < 100
        assert seen[there].mean() < np.median(seen) - 10


def test_same_seed_draws_the_same_sheet():
    (one, first), (two, second) = (sheets.picture(seed=1, index=5, size=64) for _ in range(2))
    assert (one, first.tobytes()) == (two, second.tobytes())
