"""`imago evaluate`, with a real bundle on real files."""

import json
import shutil

import pytest
from PIL import Image

from bundle import model
from training import xml_metrics
from training.disturb import DISTURBANCES

FIGURES = {"exact", "token_error", "edit_error", "bleu", "tree", "valid", "sure", "sure_wrong", "distinct", "ms"}


@pytest.fixture(scope="module")
def pairs(boxes, encoded, tmp_path_factory):
    """Four pictures with what the bundle says to them as their truth, but for the last, which has another colour."""
    folder = tmp_path_factory.mktemp("pairs")
    opened = model.open(boxes, "onnx")
    for at, colour in enumerate(("red", "lime", "blue", "darkred")):
        data = encoded(Image.new("RGB", (60, 40), colour), "PNG")
        (folder / f"{at}.png").write_bytes(data)
        xml = opened.convert(opened.prepare(data)).xml
        (folder / f"{at}.xml").write_bytes(xml.replace(b'"red"', b'"green"') if at == 3 else xml)
    return folder


def test_json_has_every_figure_and_names_the_wrong_one(imago, boxes, pairs):
    done = imago("evaluate", boxes, pairs, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["pictures"] == 4
    assert found["metrics"].keys() >= FIGURES
    assert (found["metrics"]["exact"], found["metrics"]["valid"]) == (0.75, 1)
    assert [row["file"] for row in found["wrong"]] == [str(pairs / "3.png")]


def test_figures_are_those_of_the_documents_that_are_served(imago, boxes, pairs):
    opened = model.open(boxes, "onnx")
    errors = []
    for path in sorted(pairs.glob("*.png")):
        said = opened.convert(opened.prepare(path.read_bytes())).xml
        errors.append(xml_metrics.score(opened.codec, said, path.with_suffix(".xml").read_bytes()).token_error)
    found = json.loads(imago("evaluate", boxes, pairs, "--json").stdout)["metrics"]
    assert found["token_error"] == pytest.approx(sum(errors) / 4)


def test_robust_has_a_row_for_each_disturbance(imago, boxes, pairs):
    done = imago("evaluate", boxes, pairs, "--json", "--robust")
    rows = json.loads(done.stdout)["robust"]
    assert rows.keys() == DISTURBANCES.keys()
    assert all(row.keys() >= FIGURES and row["valid"] == 1 for row in rows.values())


def test_table_is_for_people(imago, boxes, pairs):
    done = imago("evaluate", boxes, pairs)
    assert done.stdout.startswith("4 pictures")
    assert "as they are" in done.stdout
    assert f"{pairs / '3.png'}: edit error" in done.stdout


def test_pair_that_cannot_be_judged_is_named_and_the_status_is_one(imago, boxes, pairs, tmp_path):
    for name in ("0.png", "0.xml"):
        (tmp_path / name).write_bytes((pairs / name).read_bytes())
    (tmp_path / "broken.png").write_bytes((pairs / "1.png").read_bytes()[:60])
    (tmp_path / "broken.xml").write_bytes((pairs / "1.xml").read_bytes())
    (tmp_path / "other.png").write_bytes((pairs / "1.png").read_bytes())
    (tmp_path / "other.xml").write_text("<page/>")
    done = imago("evaluate", boxes, tmp_path)
    assert done.returncode == 1
    assert "broken.png: not judged: the picture cannot be decoded" in done.stdout
    assert "other.png: not judged:" in done.stdout
    assert "other.xml: line 1" in done.stdout


def test_folder_without_pairs_is_one_sentence(imago, boxes, tmp_path):
    done = imago("evaluate", boxes, tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"imago: {tmp_path}: no pairs")


def test_drawings_have_areas(imago, drawing, pairs, tmp_path):
    (tmp_path / "0.png").write_bytes((pairs / "0.png").read_bytes())
    (tmp_path / "0.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" version="1.1" viewBox="0 0 256 256">'
        '<path class="cut" d="M 0 0 L 9 0 L 9 9 Z"/></svg>'
    )
    done = imago("evaluate", drawing, tmp_path, "--json", "--no-fit")
    assert {"iou", "ssim", "command_ratio"} <= json.loads(done.stdout)["metrics"].keys(), done.stderr


# ---- classifiers ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled(encoded, tmp_path_factory):
    """Two red, two green and a blue picture, where one that is called green is red, and a file that is none."""
    folder = tmp_path_factory.mktemp("labelled")
    for label, colours in {"red": ("red", "darkred"), "green": ("lime", "#f00000"), "blue": ("blue",)}.items():
        (folder / label).mkdir()
        for at, colour in enumerate(colours):
            (folder / label / f"{at}.png").write_bytes(encoded(Image.new("RGB", (20, 20), colour), "PNG"))
    return folder


def test_classifier_s_figures_are_those_of_what_is_served(imago, tiny, labelled):
    done = imago("evaluate", tiny, labelled, "--json", "--top-k", 2)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["metrics"]["accuracy"] == 0.8
    assert {"top_2", "macro_f1", "ece"} <= found["metrics"].keys()
    assert found["labels"] == ["red", "green", "blue"]
    assert found["confusion"] == [[2, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert [(c["label"], c["photos"], c["recall"]) for c in found["classes"]] == (
        [("red", 2, 1.0), ("green", 2, 0.5), ("blue", 1, 1.0)]
    )
    (wrong,) = found["sets"]["data"]["mistakes"]
    assert (wrong["file"], wrong["truth"], wrong["answer"]) == (str(labelled / "green" / "1.png"), ["green"], ["red"])


def test_classifier_s_table_is_for_people(imago, tiny, labelled):
    done = imago("evaluate", tiny, labelled)
    head, figures, _, _, red, *_, last = done.stdout.splitlines()
    assert head.split()[:3] == ["5", "pictures", "accuracy"]
    assert figures.split()[:5] == ["as", "they", "are", "80.0", "%"]
    assert red.split()[:4] == ["red", "2", "66.7", "%"]
    assert last.startswith(f"{labelled / 'green' / '1.png'}: is green, answered red (red ")


def test_classifier_s_report_is_a_page(imago, tiny, labelled, tmp_path):
    done = imago("evaluate", tiny, labelled, "--report", tmp_path / "page")
    assert done.returncode == 0, done.stderr
    assert "Mistakes, data" in (tmp_path / "page" / "index.html").read_text()
    assert json.loads((tmp_path / "page" / "report.json").read_text())["metrics"]["accuracy"] == 0.8


def test_classifier_under_disturbance_has_a_row_each(imago, tiny, labelled):
    rows = json.loads(imago("evaluate", tiny, labelled, "--json", "--robust").stdout)["robust"]
    assert rows.keys() == DISTURBANCES.keys()
    assert all(0 <= row["accuracy"] <= 1 for row in rows.values())


def test_picture_that_cannot_be_judged_is_listed_and_the_status_is_one(imago, tiny, labelled, tmp_path):
    folder = shutil.copytree(labelled, tmp_path / "some")
    (folder / "red" / "cut.png").write_bytes((folder / "red" / "0.png").read_bytes()[:50])
    done = imago("evaluate", tiny, folder)
    assert done.returncode == 1
    assert f"{folder / 'red' / 'cut.png'}: not judged: " in done.stdout
    assert done.stdout.startswith("5 pictures")


def test_labels_that_the_bundle_does_not_have_are_one_sentence(imago, tiny, labelled, tmp_path):
    folder = shutil.copytree(labelled, tmp_path / "some")
    shutil.copytree(folder / "red", folder / "rose")
    done = imago("evaluate", tiny, folder)
    assert (done.returncode, done.stdout) == (1, "")
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith(f"imago: {folder}")
    assert "rose" in sentence


@pytest.mark.parametrize(
    ("which", "words", "sentence"),
    [
        ("tiny", ["--beam", "2"], "--beam is for bundles that make XML; this one does not"),
        ("boxes", ["--top-k", "2"], "--top-k is for bundles that classify; this one does not"),
    ],
)
def test_option_that_would_do_nothing_is_a_mistake(imago, request, labelled, which, words, sentence):
    done = imago("evaluate", request.getfixturevalue(which), labelled, *words)
    assert done.returncode == 2
    assert sentence in done.stderr
