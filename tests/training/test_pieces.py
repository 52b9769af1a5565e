"""Drawn garment pieces: valid documents, the same from the same seed, and something to see in the pictures."""

import re
from pathlib import Path

import numpy as np
import pytest

from training import pieces
from training.pieces import drawing

pytest.importorskip("resvg_py", reason="drawing needs the train extra")

RULES = Path(pieces.__file__).parents[1] / "schemas" / "pattern.rng"
POINT = r" \d{1,3} \d{1,3}"
PATH = rf'  <path class="(cut|fold|grain)" d="M{POINT}( L{POINT}| C{POINT}{POINT}{POINT})+( Z)?"/>\n'
DOCUMENT = rf'<svg xmlns="http://www\.w3\.org/2000/svg" version="1\.1" viewBox="0 0 256 256">\n({PATH})+</svg>\n'


def documents(label: str, count: int = 40) -> list[str]:
    return [pieces.svg(label, pieces.generator(7, label, index)) for index in range(count)]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.mark.parametrize("label", pieces.LABELS)
def test_documents_are_valid_against_the_schema(label):
    etree = pytest.importorskip("lxml.etree", reason="RELAX NG is checked by lxml, of the dev extra")
    schema = etree.RelaxNG(etree.parse(str(RULES)))
    for text in documents(label):
        schema.assertValid(etree.fromstring(text))


@pytest.mark.parametrize("label", pieces.LABELS)
def test_documents_follow_the_grammar_within_the_grid(label):
    for text in documents(label):
        assert re.fullmatch(DOCUMENT, text), text
        assert all(int(word) <= 255 for _, d in drawing.paths(text) for word in d.split() if word.isdigit())


@pytest.mark.parametrize("label", pieces.LABELS)
def test_every_document_is_another_piece(label):
    assert len(set(documents(label))) == 40


@pytest.mark.parametrize("label", pieces.LABELS)
def test_the_outline_comes_first_and_fills_the_grid(label):
    for text in documents(label):
        kind, d = drawing.paths(text)[0]
        points = np.array([int(word) for word in d.split() if word.isdigit()]).reshape(-1, 2)
        assert kind == "cut"
        assert np.ptp(points, axis=0).max() > 140


def test_labels_are_sorted_and_hold_what_the_classifier_promises():
    promised = {"bodice-back", "bodice-front", "collar", "cuff", "pocket", "skirt", "sleeve", "trousers", "waistband"}
    assert tuple(sorted(pieces.LABELS)) == pieces.LABELS
    assert promised <= set(pieces.LABELS)


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        assert len(list(pieces.write(tmp_path / name, count=2, seed=3, size=64))) == 2 * len(pieces.LABELS)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_more_pictures_begin_with_the_same_ones(tmp_path):
    list(pieces.write(tmp_path / "few", count=1, seed=3, size=64))
    list(pieces.write(tmp_path / "many", count=2, seed=3, size=64))
    assert files(tmp_path / "few").items() <= files(tmp_path / "many").items()


def test_another_seed_draws_other_pictures(tmp_path):
    list(pieces.write(tmp_path / "one", count=1, seed=3, size=64))
    list(pieces.write(tmp_path / "two", count=1, seed=4, size=64))
    assert not set(files(tmp_path / "one").values()) & set(files(tmp_path / "two").values())


def test_each_picture_comes_with_its_document(tmp_path):
    for path, text in pieces.write(tmp_path, count=1, seed=3, size=64, labels=("cuff", "sleeve")):
        assert path.is_file()
        assert re.fullmatch(DOCUMENT, text)


@pytest.mark.parametrize("label", pieces.LABELS)
def test_pictures_have_ink(label):
    for index in range(10):
        _, image = pieces.picture(label, seed=5, index=index, size=96)
        assert (image.mode, image.size) == ("RGB", (96, 96))
        assert np.asarray(image.convert("L"), float).std() > 2


def test_a_clean_picture_is_black_on_white_inside_its_margin():
    pixels = np.asarray(drawing.clean(documents("sleeve", 1)[0], 128))
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert all((edge == 255).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
