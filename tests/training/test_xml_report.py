"""The report of a run that learnt XML, from a real bundle's answers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle import model, write
from bundle.manifest import XmlTraining
from training import evaluate, xml_report
from training.progress import Progress
from training.xml_report import Report


@pytest.fixture(scope="module")
def pairs(encoded, tmp_path_factory):
    """A page in red that is said to be green, and a square."""
    folder = tmp_path_factory.mktemp("pairs")
    data = encoded(Image.new("RGB", (60, 40), "red"), "PNG")
    documents = {"page.xml": '<page><box color="green"/></page>', "square.svg": SQUARE}
    for name, text in documents.items():
        (folder / name).write_text(text)
        (folder / name).with_suffix(".png").write_bytes(data)
    return folder


SQUARE = (
    '<svg xmlns="http://www.w3.org/2000/svg" version="1.1" viewBox="0 0 256 256">'
    '<path class="cut" d="M 9 9 L 99 9 L 99 99 L 9 99 Z"/></svg>'
)


def judged(bundle, pairs, name, tmp_path):
    """A report on what the bundle says to one of the pairs."""
    opened = model.open(bundle, "onnx")
    picture = pairs / f"{name}.png"
    answers, _ = evaluate.judged(opened, [(picture, picture.with_suffix(opened.suffix))], Progress())
    return Report(
        bundle=tmp_path / bundle.name,
        command="imago train xml <pairs>",
        pairs={"train": 12, "validation": 1},
        parameters=1234,
        metrics=evaluate.metrics(answers),
        answers=answers,
        samples=[np.full((8, 8, 3), at, np.uint8) for at in range(10)],
        sure=opened.manifest.sure,
        negatives=40,
        encoders={"own": {"exact": 1.0}, "frozen:mobilenet": {"exact": 0.5}},
        skipped=[(Path("bad.png"), "it is <broken>")],
    )


@pytest.fixture
def progress():
    progress = Progress()
    progress.curve += [{"step": 100, "loss": 2.0}, {"step": 200, "loss": 1.0, "exact": 0.5}]
    return progress


def test_report_is_two_files_beside_the_bundle(boxes, pairs, tmp_path, progress):
    report = judged(boxes, pairs, "page", tmp_path)
    folder = xml_report.write(report, progress)
    assert folder == tmp_path / f"{boxes.name}.report"
    found = json.loads((folder / "report.json").read_text())
    assert found["metrics"]["exact"] == 0
    assert found["wrong"] == ["page.png"]
    assert found["curve"] == progress.curve
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "report.json"]


def test_lines_that_differ_are_marked_on_both_sides(boxes, pairs, tmp_path, progress):
    text = xml_report.as_html(judged(boxes, pairs, "page", tmp_path), progress)
    assert "<span class=gone>  &lt;box color=&quot;green&quot;/&gt;</span>" in text
    assert "<span class=new>  &lt;box color=&quot;red&quot;/&gt;</span>" in text
    assert "\n&lt;/page&gt;</pre>" in text  # the same in both


def test_page_has_everything_and_loads_nothing(boxes, pairs, tmp_path, progress):
    text = xml_report.as_html(judged(boxes, pairs, "page", tmp_path), progress)
    for words in (
        "imago train xml &lt;pairs&gt;",
        "frozen:mobilenet",
        "95 % interval",
        "it is &lt;broken&gt;",
        "1,234",
    ):
        assert words in text
    assert "src='http" not in text
    assert "<link" not in text
    assert "<script" not in text


def test_drawings_are_drawn(drawing, pairs, tmp_path, progress):
    text = xml_report.as_html(judged(drawing, pairs, "square", tmp_path), progress)
    assert text.count("<svg viewBox='0 0 256 256'") == 2
    assert "d='M 9 9 L 99 9 L 99 99 L 9 99 Z'" in text
    assert "times the commands" in text


def test_run_that_was_right_everywhere_says_so(boxes, pairs, tmp_path, progress):
    report = judged(boxes, pairs, "page", tmp_path)
    right = [evaluate.Answer(**{**vars(one), "said": one.true, "score": PERFECT}) for one in report.answers]
    assert "Every answer was exact." in xml_report.as_html(Report(**{**vars(report), "answers": right}), progress)


PERFECT = evaluate.Score(
    exact=True, valid=True, token_error=0, edit_error=0, tree=1, iou=None, ssim=None, command_ratio=None
)


def test_runs_of_other_encoders_on_the_same_data_stand_beside_this_one(tmp_path, xml_parts):
    taught = XmlTraining(encoder="own", weights_sha256=None, seed=0, data_sha256="d" * 64, pairs=9, versions={})
    write.write(tmp_path, replace(xml_parts, training=taught))
    mine = {"exact": 0.5}
    found = xml_report.encoders(tmp_path, "d" * 64, "frozen:mobilenet", mine)
    assert found == {"frozen:mobilenet": mine, "own": xml_parts.metrics}
    assert xml_report.encoders(tmp_path, "0" * 64, "frozen:mobilenet", mine) == {}
    assert xml_report.encoders(tmp_path, "d" * 64, "own", mine) == {}
