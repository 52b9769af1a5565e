"""`imago bundle show | verify | list | diff`: what it prints, and with which exit status."""

import json
import os
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

from bundle.cli import bundle
from bundle.errors import BundleError
from bundle.write import write


def run(*words):
    result = CliRunner().invoke(bundle, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def root(tiny, multi, tmp_path):
    """Two good bundles with a bad one between them."""
    for source, name in ((tiny, "a"), (tiny, "b"), (multi, "c")):
        shutil.copytree(source, tmp_path / name)
    (tmp_path / "b" / "manifest.json").write_text("{}")
    return tmp_path


def test_show_says_what_the_bundle_is(tiny):
    rows = dict(line.split(maxsplit=1) for line in run("show", tiny).output.splitlines())
    assert rows.pop("id") == json.loads((tiny / "manifest.json").read_text())["id"]
    assert {key: rows[key] for key in rows if key != "files"} == {
        "name": "tiny",
        "kind": "classifier, one label a picture",
        "labels": "red, green, blue",
        "input": "8 x 8 RGB, squash",
        "source": "model.onnx",
        "trained": "elsewhere",
        "metrics": "accuracy 90.0 %",
    }


def test_show_says_that_a_picture_may_have_several_labels(multi):
    assert "classifier, several labels a picture" in run("show", multi).output


def test_show_json_is_the_manifest(tiny):
    assert json.loads(run("show", tiny, "--json").output) == json.loads((tiny / "manifest.json").read_text())


def test_verify_says_good(tiny):
    assert run("verify", tiny, "--engine", "onnx").output == (
        f"{tiny}: good: 4 files, golden pictures agree on onnxruntime\n"
    )


def test_verify_warns_of_other_pixels_and_is_good(tiny_copy, resign):
    path = tiny_copy / "golden" / "expected.json"
    content = json.loads(path.read_text())
    content["pictures"]["0.png"]["input_sha256"] = "0" * 64
    path.write_text(json.dumps(content))
    result = run("verify", resign(tiny_copy), "--engine", "onnx")
    assert (result.exit_code, result.stderr.startswith("warning: golden/0.png decodes")) == (0, True)


def test_list_has_a_line_a_bundle_and_the_bad_one_does_not_hide_the_others(root):
    assert run("list", root).output.splitlines() == [
        f"{root}/a  classifier, 3 labels, accuracy 90.0 %",
        f"{root}/b/manifest.json: format: Field required (and 12 more); write the bundle again",
        f"{root}/c  classifier, 3 labels, accuracy 90.0 %",
    ]


def test_list_json_has_an_entry_a_bundle(root):
    rows = json.loads(run("list", root, "--json").output)
    assert [sorted(row) for row in rows] == [
        ["id", "kind", "labels", "metrics", "name", "path"],
        ["error", "path"],
        ["id", "kind", "labels", "metrics", "name", "path"],
    ]


def test_list_of_nothing_says_how_to_make_a_bundle(tmp_path):
    result = run("list", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{tmp_path}: no bundles; `imago train classifier` makes one\n"


def test_diff_of_the_same_is_empty_with_status_0(tiny, tiny_copy):
    result = run("diff", tiny, tiny_copy)
    assert (result.exit_code, result.output) == (0, "")


def test_diff_of_others_names_what_differs_with_status_1(tiny, parts, tmp_path):
    result = run("diff", tiny, write(tmp_path, replace(parts, labels=("red", "green", "navy"))))
    assert result.exit_code == 1
    assert [line.partition(":")[0] for line in result.output.splitlines()] == (
        ["files.labels.txt.sha256", "id", "label 3"]
    )
    assert "label 3: blue -> navy" in result.output


def test_diff_json_has_old_and_new(tiny, parts, tmp_path):
    result = run("diff", tiny, write(tmp_path, replace(parts, metrics={"accuracy": 0.8})), "--json")
    changes = {change["what"]: (change["old"], change["new"]) for change in json.loads(result.output)}
    assert changes["metrics.accuracy"] == (0.9, 0.8)


@pytest.mark.parametrize("words", [("show",), ("verify",), ("diff", ".")], ids=str)
def test_what_is_no_bundle_is_a_bundle_error(tmp_path, words):
    with pytest.raises(BundleError, match=r"no such bundle directory|is \. a bundle\?"):
        CliRunner().invoke(bundle, [*words, str(tmp_path / "gone")], catch_exceptions=False)


# ---- the whole command ---------------------------------------------------------------------


def test_error_is_one_sentence_on_stderr_with_status_1(imago, tmp_path):
    done = imago("bundle", "verify", tmp_path / "gone")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"imago: {tmp_path}/gone: no such bundle directory; `imago bundle list DIR` shows what is there\n"
    )


def test_changed_bundle_is_one_sentence_without_a_traceback(imago, tiny_copy):
    (tiny_copy / "labels.txt").write_text("red\ngreen\ngrue\n")
    done = imago("bundle", "verify", tiny_copy)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{tiny_copy}/labels.txt" in done.stderr


def test_unknown_verb_is_told_with_status_2(imago):
    done = imago("classify")
    assert (done.returncode, "No such command 'classify'" in done.stderr) == (2, True)


def test_show_loads_no_engine(imago, tiny):
    done = imago("bundle", "show", tiny, env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"})
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "bundle.store" in loaded
    assert not loaded & {"onnxruntime", "tensorflow", "keras", "flask"}
