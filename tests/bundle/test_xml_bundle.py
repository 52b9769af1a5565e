"""Bundles that make XML: written, verified, replayed, shown and compared as those that classify."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw

from bundle import model, store
from bundle.cli import bundle
from bundle.errors import BundleError, SchemaError
from bundle.write import write
from bundle.xml.model import XmlModel

PAGE = b'<page>\n  <box color="red"/>\n  <box color="red"/>\n</page>\n'


@pytest.fixture(scope="module")
def opened(boxes):
    return model.open(boxes, "onnx")


@pytest.fixture
def copy(boxes, tmp_path):
    return Path(shutil.copytree(boxes, tmp_path / boxes.name))


@pytest.fixture
def red(encoded):
    return encoded(Image.new("RGB", (20, 10), "red"), "PNG")


@pytest.fixture
def outline(encoded):
    picture = Image.new("RGB", (512, 400), "white")
    ImageDraw.Draw(picture).polygon([(100, 50), (400, 80), (300, 350)], outline="black", width=3)
    return encoded(picture, "PNG")


def expect(copy, resign, **new):
    path = copy / "golden" / "expected.json"
    content = json.loads(path.read_text())
    content["pictures"]["0.png"] |= new
    path.write_text(json.dumps(content))
    return resign(copy)


def run(*words):
    return CliRunner().invoke(bundle, [*map(str, words)], catch_exceptions=False)


# ---- opened --------------------------------------------------------------------------------


def test_xml_bundle_opens_as_what_makes_xml(opened):
    assert (type(opened), opened.warnings, opened.suffix, opened.engine.name) == (XmlModel, (), ".xml", "onnxruntime")


def test_picture_becomes_its_document(opened, red):
    found = opened.convert(opened.prepare(red))
    assert (found.xml, found.valid, found.sure, found.tokens, found.iou) == (PAGE, True, True, 4, None)


def test_stream_ends_with_the_same_answer_and_its_texts_are_the_document(opened, red):
    picture = opened.prepare(red)
    *pieces, last = opened.stream(picture)
    assert "".join(piece.text for piece in pieces).encode() == last.xml
    assert last == opened.convert(picture)


def test_score_below_the_bound_is_not_sure(boxes, xml_parts, tmp_path, red):
    strict = replace(xml_parts, sure=xml_parts.sure.model_copy(update={"score": 0.99}))
    opened = model.open(write(tmp_path, strict), "onnx")
    assert not opened.convert(opened.prepare(red)).sure


def test_least_probability_below_the_bound_is_not_sure(xml_parts, tmp_path, red):
    strict = replace(xml_parts, sure=xml_parts.sure.model_copy(update={"least": 0.99}))
    opened = model.open(write(tmp_path, strict), "onnx")
    assert not opened.convert(opened.prepare(red)).sure


def test_drawing_is_svg_and_is_valid_with_and_without_the_fit(drawing, outline):
    opened = model.open(drawing, "onnx")
    found = [opened.convert(opened.prepare(outline), fit=fit) for fit in (True, False)]
    assert (opened.suffix, [one.valid for one in found]) == (".svg", [True, True])


def test_drawing_that_does_not_cover_its_picture_is_not_sure(drawing_parts, tmp_path, red):
    sure = drawing_parts.sure.model_copy(update={"score": 0.0, "least": 0.0, "iou": 0.9})
    opened = model.open(write(tmp_path, replace(drawing_parts, sure=sure)), "onnx")
    assert not opened.convert(opened.prepare(red)).sure


def test_drawing_is_fitted_to_no_more_pixels_than_are_needed(drawing, encoded):
    opened = model.open(drawing, "onnx")
    assert opened.prepare(encoded(Image.new("RGB", (3000, 1500)), "PNG")).fine.shape == (500, 1000, 3)


def test_document_that_time_cut_short_is_valid_and_not_sure(slow, red):
    opened = model.open(slow, "onnx")
    found = opened.convert(opened.prepare(red), until=0.0)
    assert (found.valid, found.cut, found.sure) == (True, True, False)


def test_keras_is_no_engine_for_xml(boxes):
    with pytest.raises(BundleError, match="runs on ONNX Runtime; use --engine auto or onnx$"):
        model.open(boxes, "keras")


# ---- golden pictures -----------------------------------------------------------------------


def test_another_golden_token_is_refused(copy, resign):
    expect(copy, resign, output=[2, 1, 4, 1])
    with pytest.raises(BundleError, match=r"golden/0\.png: gives \d tokens that are not the 4 recorded ones; "):
        model.open(copy, "onnx")


def test_other_pixels_with_the_right_document_are_a_warning(copy, resign):
    expect(copy, resign, input_sha256="0" * 64)
    (warning,) = model.open(copy, "onnx").warnings
    assert warning == "golden/0.png decodes to slightly other pixels here, its document is the same"


# ---- what does not fit ---------------------------------------------------------------------


def test_schema_with_other_tokens_is_refused(copy, resign):
    path = copy / "schema.rng"
    path.write_bytes(path.read_bytes().replace(b"<value>blue</value>", b""))
    with pytest.raises(BundleError, match=r"schema\.rng: 5 tokens, 6 wanted by manifest\.json"):
        model.open(resign(copy), "onnx")


def test_broken_schema_is_refused_by_name(copy, resign):
    (copy / "schema.rng").write_bytes(b"<grammar/>")
    with pytest.raises(BundleError, match=r"schema\.rng: "):
        model.open(resign(copy), "onnx")


@pytest.mark.parametrize("name", ["encoder.onnx", "step.onnx"])
def test_model_of_another_shape_is_refused_by_name(copy, resign, name, slow):
    other = {"encoder.onnx": "step.onnx", "step.onnx": "encoder.onnx"}[name]
    shutil.copy(slow / other, copy / name)
    with pytest.raises(BundleError, match=f"{name}: "):
        model.open(resign(copy), "onnx")


@pytest.mark.parametrize("name", ["schema.rng", "encoder.onnx", "golden/0.png"])
def test_changed_byte_is_refused_by_name(copy, name):
    path = copy / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(BundleError, match=f"{name}: its content was changed"):
        store.verify(copy)


def test_parts_with_a_bad_schema_leave_nothing(xml_parts, tmp_path):
    with pytest.raises(SchemaError):
        write(tmp_path, replace(xml_parts, schema=b"<grammar/>"))
    assert list(tmp_path.iterdir()) == []


def test_same_parts_give_the_same_id(boxes, xml_parts, tmp_path):
    assert write(tmp_path, xml_parts).name == boxes.name


# ---- the command line ----------------------------------------------------------------------


def test_show_says_what_it_is(boxes):
    lines = dict(line.split(maxsplit=1) for line in run("show", boxes).stdout.splitlines())
    assert lines["kind"] == "xml, a document a picture"
    assert lines["schema"] == "schema.rng, 6 tokens, 100 a document at most"
    assert lines["sure"] == "0.00 % wrong (0.00 to 1.00) of those that are sure, on 300 pictures"


def test_verify_says_that_it_is_good(boxes):
    assert run("verify", boxes).stdout.endswith("golden pictures agree on onnxruntime\n")


def test_list_has_both_kinds(boxes, tiny, tmp_path):
    for path in (boxes, tiny):
        shutil.copytree(path, tmp_path / path.name)
    lines = [line.split("  ")[1] for line in run("list", tmp_path).stdout.splitlines()]
    assert lines == ["xml, 6 tokens, exact 1", "classifier, 3 labels, accuracy 90.0 %"]


def test_diff_between_kinds_names_what_differs(boxes, tiny):
    done = run("diff", tiny, boxes)
    assert done.exit_code == 1
    assert {"kind: classifier -> xml", "vocabulary: None -> 6", "label 1: red -> None"} <= set(done.stdout.splitlines())
