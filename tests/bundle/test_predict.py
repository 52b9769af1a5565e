"""`imago predict`: a table, JSON or CSV, one row a picture, and the reason where one could not be read."""

import csv
import io
import json
import re

import pytest
from click.testing import CliRunner
from PIL import Image

from bundle import model
from bundle.errors import DataError
from bundle.predict import predict


def run(*words):
    return CliRunner().invoke(predict, [*map(str, words), "--engine", "onnx"], catch_exceptions=False)


def answers(*words):
    return json.loads(run(*words, "--json").stdout)["results"]


@pytest.fixture
def folder(tmp_path, encoded):
    """red, green, blue, and a fourth that is cut off."""
    for at, color in enumerate(("red", "lime", "blue")):
        (tmp_path / f"{at}.png").write_bytes(encoded(Image.new("RGB", (20, 10), color), "PNG"))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "cut.JPG").write_bytes(encoded(Image.new("RGB", (20, 10)), "JPEG")[:300])
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_table_is_a_line_a_label_as_label_image_printed_it(tiny, folder):
    result = run(tiny, folder / "0.png")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["red", "green", "blue"]
    scores = [line.split()[1] for line in lines]
    assert all(re.fullmatch(r"[01]\.\d{5}", score) for score in scores)
    assert scores == sorted(scores, reverse=True)


def test_table_of_many_names_each_above_its_labels(tiny, folder):
    blocks = run(tiny, folder / "0.png", folder / "2.png", "--top", 2).stdout.split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == [str(folder / "0.png"), str(folder / "2.png")]
    assert [block.splitlines()[1].split()[0] for block in blocks] == ["red", "blue"]
    assert [len(block.splitlines()) for block in blocks] == [3, 3]


def test_json_is_the_servers_own_answer(tiny, folder):
    opened = model.open(tiny, "onnx")
    pixels = opened.prepare((folder / "2.png").read_bytes())
    wanted = opened.answer(opened.run(pixels[None])[0], 5)
    assert answers(tiny, folder / "2.png") == [{"file": str(folder / "2.png"), "predictions": wanted}]


def test_json_names_the_model(tiny, folder):
    content = json.loads(run(tiny, folder / "0.png", "--json").stdout)
    assert content["model"] == {"name": "tiny", "id": json.loads((tiny / "manifest.json").read_text())["id"]}


def test_csv_has_a_row_a_label(tiny, folder):
    rows = list(csv.DictReader(io.StringIO(run(tiny, folder / "1.png", "--csv", "--top", 2).stdout)))
    assert [(row["file"], row["rank"], row["label"]) for row in rows] == [
        (str(folder / "1.png"), "1", "green"),
        (str(folder / "1.png"), "2", "red"),
    ]


@pytest.mark.parametrize(("top", "count"), [(1, 1), (2, 2), (1000, 3)])
def test_top_is_how_many_labels_a_picture_gets(tiny, folder, top, count):
    (answer,) = answers(tiny, folder / "0.png", "--top", top)
    assert len(answer["predictions"]) == count


@pytest.mark.parametrize("top", ["0", "1001", "-1", "many"])
def test_bad_top_is_told_with_status_2(tiny, folder, top):
    assert run(tiny, folder / "0.png", "--top", top).exit_code == 2


def test_several_labels_a_picture_come_with_present(multi, folder):
    (answer,) = answers(multi, folder / "0.png")
    assert [(label["label"], label["present"]) for label in answer["predictions"]] == (
        [("red", True), ("green", False), ("blue", False)]
    )


def test_table_says_present_where_there_may_be_several(multi, folder):
    lines = [line.split() for line in run(multi, folder / "0.png").stdout.splitlines()]
    assert [(line[0], line[2]) for line in lines] == [("red", "present"), ("green", "absent"), ("blue", "absent")]


def test_folder_gives_its_pictures_at_any_depth_by_name(tiny, folder):
    assert [answer["file"] for answer in answers(tiny, folder)] == (
        [str(folder / name) for name in ("0.png", "1.png", "2.png", "deep/cut.JPG")]
    )


def test_unreadable_picture_has_its_reason_and_the_others_their_answers(tiny, folder):
    result = run(tiny, folder, "--json")
    *good, bad = json.loads(result.stdout)["results"]
    assert [answer["predictions"][0]["label"] for answer in good] == ["red", "green", "blue"]
    assert (bad["error"]["code"], bad["error"]["detail"].startswith("the picture cannot be decoded")) == (
        "bad-picture",
        True,
    )
    assert result.exit_code == 1


@pytest.mark.parametrize("form", [(), ("--csv",), ("--json",)], ids=str)
def test_unreadable_picture_is_status_1_and_says_why_in_every_form(tiny, folder, form):
    result = run(tiny, folder, *form)
    assert (result.exit_code, "the picture cannot be decoded" in result.stdout) == (1, True)


def test_missing_file_has_its_reason(tiny, folder):
    (answer,) = answers(tiny, folder / "gone.png")
    assert answer["error"] == {"code": "unreadable", "detail": "cannot be read: No such file or directory"}


def test_named_file_counts_as_a_picture_whatever_its_name(tiny, folder):
    (answer,) = answers(tiny, folder / "notes.txt")
    assert answer["error"]["code"] == "not-a-picture"


def test_many_pictures_keep_their_order(tiny, folder):
    names = [folder / f"{at % 3}.png" for at in range(150)]
    found = answers(tiny, *names)
    assert [answer["predictions"][0]["label"] for answer in found] == ["red", "green", "blue"] * 50


def test_folder_without_pictures_is_one_sentence(tiny, tmp_path):
    with pytest.raises(DataError, match=r": no pictures in this folder; wanted files ending in \.bmp, "):
        run(tiny, tmp_path)


def test_folder_without_pictures_is_one_sentence_on_stderr(imago, tiny, tmp_path):
    done = imago("predict", tiny, tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"imago: {tmp_path}: no pictures in this folder; ")


def test_no_pictures_at_all_is_told_with_status_2(tiny):
    assert run(tiny).exit_code == 2
