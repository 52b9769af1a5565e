"""Labels as other tools wrote them, and what numbers a network was trained on."""

import pytest

from bundle.errors import BundleError
from converter import label_files, pixels
from converter.pixels import Line

LISTS = {
    "labels.txt": "red\ngreen\nblue\n",
    "windows.txt": "\ufeffred\r\ngreen\r\nblue\r\n\r\n",
    "numbered.txt": "0 red\n1 green\n2 blue\n",
    "list.json": '["red", "green", "blue"]',
    "index.json": '{"1": "green", "0": "red", "2": "blue"}',
    "synsets.json": '{"0": ["n01", "red"], "1": ["n02", "green"], "2": ["n03", "blue"]}',
    "generator.json": '{"blue": 2, "green": 1, "red": 0}',
    "map.pbtxt": 'item {\n  id: 2\n  name: "green"\n}\nitem { id: 1 name: "red" }\nitem { id: 3 display_name: "blue" }\n',
    "entries.pbtxt": 'entry { target_class: 0 target_class_string: "red" }\n'
    'entry: { target_class: 1 target_class_string: "green" }\nentry: { target_class: 2 target_class_string: "blue" }',
    "octal.pbtxt": r'item { id: 1 name: "r\145d" } item { id: 2 name: "green" } item { id: 3 name: "blue" }',
    "blank.txt": "\n\nred\ngreen\nblue\n\n  \n",
    "lines.pbtxt": 'label: "red"\nlabel: "green"\nlabel: "blue"\n',
}


@pytest.mark.parametrize("name", LISTS)
def test_list_is_read_in_output_order(tmp_path, name):
    (tmp_path / name).write_text(LISTS[name], encoding="utf-8")
    assert label_files.read(tmp_path / name) == ("red", "green", "blue")


def test_label_that_is_there_twice_is_numbered(tmp_path):
    (tmp_path / "l.txt").write_text("crane\nmaillot\ncrane\n")
    assert label_files.read(tmp_path / "l.txt") == ("crane", "maillot", "crane (2)")


def test_number_behind_a_label_is_one_that_no_other_has(tmp_path):
    (tmp_path / "l.txt").write_text("crane\ncrane\ncrane (2)\n")
    assert label_files.read(tmp_path / "l.txt") == ("crane", "crane (3)", "crane (2)")


def test_protobufs_spelling_of_other_letters_is_read(tmp_path):
    (tmp_path / "l.pbtxt").write_text(r'item { id: 1 name: "b\303\244r \"x\"" }')
    assert label_files.read(tmp_path / "l.pbtxt") == ('bär "x"',)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("l.txt", "red\n\nblue\n", "label 2 is empty"),
        ("l.txt", "", "holds no labels"),
        ("l.pbtxt", "red\nblue\n", "holds no labels"),
        ("l.json", '{"red": 0, "blue": 0}', "two labels have the number 0"),
        ("l.json", '{"0": "red", "x": "blue"}', "'x' is no number of a label"),
        ("l.json", '[{"id": 0, "name": "red"}]', "is no label; words wanted"),
        ("l.pbtxt", 'item { id: 1 name: "red" } item { id: 1 name: "blue" }', "two labels have the number 1"),
        ("l.json", '["red"', "not JSON"),
        ("l.json", '{"0": "red", "2": "blue"}', "label 1 is missing"),
        ("l.pbtxt", 'item { id: 1 name: "red" }\nitem { id: 3 name: "blue" }', "label 2 is missing"),
        ("l.pbtxt", "item { id: 1 }", "item 1 has no name"),
    ],
)
def test_list_with_a_gap_is_refused(tmp_path, name, text, reason):
    (tmp_path / name).write_text(text)
    with pytest.raises(BundleError, match=reason):
        label_files.read(tmp_path / name)


def test_missing_list_is_refused(tmp_path):
    with pytest.raises(BundleError, match="no such file"):
        label_files.read(tmp_path / "l.txt")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (Line(1 / 255, 0), "0..255"),
        (Line(1 / 127.5, -1), "0..255"),
        (Line(1, -128), "0..255"),
        (Line(2, -1), "0..1"),
        (Line(1, -0.5), "0..1"),
        (Line(1, 0), None),
        (Line(1, 1), None),
        (Line(-1, 1), None),
    ],
)
def test_range_is_told_only_where_there_is_no_doubt(line, said):
    assert pixels.told(line) == said


def test_mean_and_deviation_may_be_given_for_each_colour():
    assert pixels.parse("1,2,3/4") == pixels.Pixels(mean=(1, 2, 3), std=(4, 4, 4))


@pytest.mark.parametrize("text", ["", "0-255", "128", "1,2/3", "128/0", "nan/1", "128/-1", "a/b"])
def test_unknown_range_is_refused(text):
    with pytest.raises(BundleError, match="--pixels"):
        pixels.parse(text)
