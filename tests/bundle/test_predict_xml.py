"""`imago predict` with a bundle that makes XML: a file beside each picture, never over one that is there."""

import csv
import io
import json

import pytest
from click.testing import CliRunner
from PIL import Image

from bundle import model
from bundle.errors import DataError
from bundle.predict import predict


def run(*words):
    return CliRunner().invoke(predict, [*map(str, words), "--engine", "onnx"], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path, encoded):
    """red, green, and a third that is cut off."""
    for at, color in enumerate(("red", "lime")):
        (tmp_path / f"{at}.png").write_bytes(encoded(Image.new("RGB", (20, 10), color), "PNG"))
    (tmp_path / "cut.jpg").write_bytes(encoded(Image.new("RGB", (20, 10)), "JPEG")[:300])
    return tmp_path


def test_document_is_written_beside_its_picture(boxes, folder):
    opened = model.open(boxes, "onnx")
    assert run(boxes, folder / "0.png").exit_code == 0
    assert (folder / "0.xml").read_bytes() == opened.convert(opened.prepare((folder / "0.png").read_bytes())).xml


def test_drawing_is_written_as_svg(drawing, folder):
    run(drawing, folder / "0.png")
    assert (folder / "0.svg").read_bytes().startswith(b"<svg ")


def test_out_is_where_documents_go(boxes, folder, tmp_path):
    out = tmp_path / "deep" / "out"
    run(boxes, folder / "0.png", folder / "1.png", "--out", out)
    assert sorted(path.name for path in out.iterdir()) == ["0.xml", "1.xml"]
    assert not (folder / "0.xml").exists()


def test_xml_that_is_there_is_not_written_over(boxes, folder):
    (folder / "1.xml").write_text("mine")
    with pytest.raises(DataError) as caught:
        run(boxes, folder / "0.png", folder / "1.png")
    assert str(caught.value) == (
        f"{folder / '1.xml'} is there already; choose another folder with --out, or write over it with --force"
    )
    assert ((folder / "1.xml").read_text(), (folder / "0.xml").exists()) == ("mine", False)


def test_force_writes_over_it(boxes, folder):
    (folder / "1.xml").write_text("mine")
    assert run(boxes, folder / "1.png", "--force").exit_code == 0
    assert (folder / "1.xml").read_text().startswith("<page>")


def test_two_pictures_of_one_name_are_refused(boxes, folder, encoded):
    (folder / "0.gif").write_bytes(encoded(Image.new("RGB", (9, 9)), "GIF"))
    with pytest.raises(DataError, match=r"both would become .*0\.xml; convert them one by one$"):
        run(boxes, folder / "0.png", folder / "0.gif")


def test_json_has_a_row_a_picture_and_the_reason_of_a_bad_one(boxes, folder):
    done = run(boxes, folder, "--json")
    first, second, bad = json.loads(done.stdout)["results"]
    assert list(first) == ["file", "written", "valid", "sure", "score", "tokens"]
    assert (first["sure"], second["written"]) == (True, str(folder / "1.xml"))
    assert (bad["error"]["code"], done.exit_code) == ("bad-picture", 1)


def test_table_has_a_row_a_picture(boxes, folder):
    head, row = run(boxes, folder / "0.png").stdout.splitlines()
    assert head.split() == ["file", "written", "sure", "score", "tokens"]
    assert row.split() == [str(folder / "0.png"), str(folder / "0.xml"), "yes", "0.848", "4"]


def test_csv_has_a_row_a_picture(boxes, folder):
    first, second, bad = csv.DictReader(io.StringIO(run(boxes, folder, "--csv").stdout))
    assert (first["sure"], second["tokens"], bad["error"][:30]) == ("True", "4", "the picture cannot be decoded:")


@pytest.mark.parametrize("words", [("--beam", 3), ("--no-fit",), ("--fit", "--beam", "8")], ids=str)
def test_ways_to_decode_are_taken(drawing, folder, words):
    assert run(drawing, folder / "0.png", *words).exit_code == 0


@pytest.mark.parametrize("words", [("--beam", 0), ("--beam", 9), ("--top", 3)], ids=str)
def test_bad_option_is_told_with_status_2(boxes, folder, words):
    assert run(boxes, folder / "0.png", *words).exit_code == 2


@pytest.mark.parametrize("words", [("--beam", 2), ("--no-fit",), ("--out", "x"), ("--force",)], ids=str)
def test_option_of_xml_is_refused_for_labels(tiny, folder, words):
    done = run(tiny, folder / "0.png", *words)
    assert (done.exit_code, "for bundles that make XML" in done.output) == (2, True)


def test_place_that_cannot_be_written_has_its_reason(boxes, folder):
    (folder / "0.xml").mkdir()
    done = run(boxes, folder / "0.png", "--force", "--json")
    (answer,) = json.loads(done.stdout)["results"]
    assert (answer["error"]["code"], done.exit_code) == ("unwritable", 1)
