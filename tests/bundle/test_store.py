"""A bundle on disk: whatever was changed, missing, added or linked is refused with one sentence that says which file."""

import json
import os
import re
import shutil

import pytest

from bundle import store
from bundle.errors import BundleError


def refusal(directory):
    """The one sentence, the directory itself left out."""
    with pytest.raises(BundleError) as caught:
        store.verify(directory)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(str(directory), "BUNDLE")


def edit(directory, **changes):
    """The manifest, changed without a new id."""
    path = directory / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flip(path, at=-1):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_untouched_bundle_is_good(tiny):
    assert store.verify(tiny) == store.read_manifest(tiny)


def test_copied_bundle_is_good_under_any_name(tiny, tmp_path):
    assert store.verify(shutil.copytree(tiny, tmp_path / "renamed")).name == "tiny"


@pytest.mark.parametrize("path", ["model.onnx", "labels.txt", "golden/0.png", "golden/expected.json"])
@pytest.mark.parametrize("at", [0, -1])
def test_changed_byte_is_refused(tiny_copy, path, at):
    flip(tiny_copy / path, at)
    assert refusal(tiny_copy) == (f"BUNDLE/{path}: its content was changed (sha256 differs); fetch the bundle again")


@pytest.mark.parametrize("path", ["model.onnx", "labels.txt", "golden/0.png", "golden/expected.json"])
def test_another_size_is_refused(tiny_copy, path):
    size = (tiny_copy / path).stat().st_size
    os.truncate(tiny_copy / path, size - 1)
    assert refusal(tiny_copy) == f"BUNDLE/{path}: {size - 1} bytes, {size} wanted; fetch the bundle again"


@pytest.mark.parametrize("path", ["model.onnx", "labels.txt", "golden/0.png", "golden/expected.json"])
def test_missing_file_is_refused(tiny_copy, path):
    (tiny_copy / path).unlink()
    assert refusal(tiny_copy) == f"BUNDLE/{path}: missing; fetch the bundle again"


@pytest.mark.parametrize(
    "path", ["weights.pkl", ".hidden", "golden/1.jpg", "golden/deep/er/1.jpg", "manifest.json.bak"]
)
def test_extra_file_is_refused(tiny_copy, path):
    (tiny_copy / path).parent.mkdir(parents=True, exist_ok=True)
    (tiny_copy / path).write_bytes(b"")
    assert refusal(tiny_copy) == f"BUNDLE/{path}: not in the manifest; remove it or fetch the bundle again"


@pytest.mark.parametrize("path", ["model.onnx", "labels.txt", "golden/0.png", "manifest.json"])
def test_link_is_refused_even_to_the_right_content(tiny_copy, tiny, path):
    (tiny_copy / path).unlink()
    (tiny_copy / path).symlink_to(tiny / path)
    assert refusal(tiny_copy) == (f"BUNDLE/{path}: a link; a bundle holds plain files only, copy the file in its place")


def test_linked_directory_is_refused(tiny_copy, tiny):
    shutil.rmtree(tiny_copy / "golden")
    (tiny_copy / "golden").symlink_to(tiny / "golden")
    assert refusal(tiny_copy).startswith("BUNDLE/golden: a link; ")


def test_link_to_nowhere_is_refused(tiny_copy):
    (tiny_copy / "more").symlink_to("/nowhere")
    assert refusal(tiny_copy).startswith("BUNDLE/more: a link; ")


@pytest.mark.parametrize("path", ["pipe", "model.onnx", "manifest.json"])
def test_pipe_is_refused_and_not_waited_for(tiny_copy, path):
    (tiny_copy / path).unlink(missing_ok=True)
    os.mkfifo(tiny_copy / path)
    assert refusal(tiny_copy) == f"BUNDLE/{path}: not a plain file; remove it or fetch the bundle again"


def test_directory_in_a_files_place_is_refused(tiny_copy):
    (tiny_copy / "model.onnx").unlink()
    (tiny_copy / "model.onnx").mkdir()
    assert refusal(tiny_copy) == "BUNDLE/model.onnx: not a plain file; remove it or fetch the bundle again"


def test_empty_directory_is_refused(tiny_copy):
    (tiny_copy / "notes").mkdir()
    assert refusal(tiny_copy) == "BUNDLE/notes: not a plain file; remove it or fetch the bundle again"


def test_label_too_few_is_refused(tiny_copy, resign):
    (tiny_copy / "labels.txt").write_text("red\ngreen\n")
    assert refusal(resign(tiny_copy)) == (
        "BUNDLE/labels.txt: 2 labels, 3 wanted by manifest.json; write the bundle again"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"red\ngreen\nred\n", "line 3: 'red' is empty or there twice"),
        (b"red\n\nblue\n", "line 2: '' is empty or there twice"),
        (b"red\n  \nblue\n", "line 2: '  ' is empty or there twice"),
        (b"", "line 1: '' is empty or there twice"),
        (b"red\ngreen\nbl\xfce\n", "not UTF-8; save it as UTF-8, one label a line"),
    ],
)
def test_bad_label_file_is_refused_by_line(tiny_copy, resign, text, words):
    (tiny_copy / "labels.txt").write_bytes(text)
    assert refusal(resign(tiny_copy)).startswith(f"BUNDLE/labels.txt: {words}")


def test_labels_may_hold_any_letters(tiny_copy, resign):
    (tiny_copy / "labels.txt").write_text("größer\n<b>\n猫, 犬\n", encoding="utf-8")
    store.verify(resign(tiny_copy))
    assert store.read_labels(tiny_copy) == ("größer", "<b>", "猫, 犬")


@pytest.mark.parametrize(
    "change",
    [{"metrics": {"accuracy": 0.99}}, {"tolerance": 0.5}, {"name": "other"}, {"files": {}}, {"id": "0" * 64}],
    ids=str,
)
def test_edited_manifest_is_refused(tiny_copy, change):
    files = json.loads((tiny_copy / "manifest.json").read_text())["files"]
    edit(tiny_copy, **({"files": {**files, "new": {"sha256": "0" * 64, "size": 0}}} if "files" in change else change))
    wanted = r"BUNDLE/manifest\.json: id is [0-9a-f]{8} but the content gives [0-9a-f]{8}; fetch the bundle again"
    assert re.fullmatch(wanted, refusal(tiny_copy))


def test_manifest_in_another_spelling_is_the_same_bundle(tiny_copy):
    path = tiny_copy / "manifest.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items())), indent=4))
    assert store.verify(tiny_copy).name == "tiny"


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a\\b"])
def test_manifest_that_points_outside_is_refused(tiny_copy, path):
    files = json.loads((tiny_copy / "manifest.json").read_text())["files"]
    edit(tiny_copy, files={**files, path: {"sha256": "0" * 64, "size": 1}})
    assert refusal(tiny_copy).startswith("BUNDLE/manifest.json: files")


@pytest.mark.parametrize("path", ["manifest.json", "labels.txt"])
def test_huge_text_is_refused_unread(tiny_copy, path):
    os.truncate(tiny_copy / path, 1 << 40)
    with pytest.raises(BundleError, match=f"{path}: 1099511627776 bytes, at most 16777216 wanted"):
        store.read_file(tiny_copy, path)


def test_no_directory_is_refused_with_what_to_do(tmp_path):
    assert refusal(tmp_path / "gone") == "BUNDLE: no such bundle directory; `imago bundle list DIR` shows what is there"


def test_directory_without_a_manifest_is_refused_with_what_to_do(tmp_path):
    assert refusal(tmp_path).startswith("BUNDLE/manifest.json: missing; is BUNDLE a bundle?")


def test_find_shows_bundles_by_name_and_none_half_written(tiny, tmp_path):
    for name in ("b", "a", ".tmp-c"):
        shutil.copytree(tiny, tmp_path / name)
    (tmp_path / "no bundle").mkdir()
    assert [path.name for path in store.find(tmp_path)] == ["a", "b"]


def test_find_takes_a_bundle_itself(tiny):
    assert store.find(tiny) == [tiny]


def test_find_refuses_what_is_no_directory(tmp_path):
    with pytest.raises(BundleError, match="no such directory"):
        store.find(tmp_path / "gone")
