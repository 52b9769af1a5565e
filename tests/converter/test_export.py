"""`imago export` as a person runs it: every format checked, nothing written that is not the bundle, what was written checked again."""

import fcntl
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIECES = next((ROOT / "server" / "bundles").glob("pieces-????????"))
SHEETS = next((ROOT / "server" / "bundles").glob("sheets-????????"))
pytest.importorskip("tensorflow", reason="of the train extra")


def command(bundle, *words):
    return [sys.executable, "-m", "imago", "export", str(bundle), *map(str, words)]


def export(bundle, *words, **more):
    return subprocess.run(command(bundle, *words), cwd=ROOT, capture_output=True, text=True, timeout=300, **more)


def records(out, *words):
    done = export(PIECES, "--out", out, "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def said(done):
    """The sentence of a failure: one line, no trace."""
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("imago: ")]
    assert "Traceback" not in done.stderr
    return lines[-1]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """ONNX and keras-json of the embedded classifier, which tests may copy."""
    out = tmp_path_factory.mktemp("made")
    records(out, "--to", "onnx,keras-json")
    return out


@pytest.fixture
def copy(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    out = tmp_path_factory.mktemp("every")
    return out, records(out, "--to", "all")


def test_all_formats_are_written_by_one_command(every):
    out, written = every
    assert [one["format"] for one in written] == ["coreml", "litert", "onnx", "savedmodel", "graphdef", "keras-json"]
    assert sorted(path.name for path in out.iterdir()) == sorted(one["format"] for one in written)


def test_every_file_is_within_a_hundred_thousandth_of_keras(every):
    differences = {
        (one["format"], checked["file"]): max(of["difference"] for of in checked["figures"].values())
        for one in every[1]
        for checked in one["checked"]
    }
    assert len(differences) == 8  # two of Core ML, two of GraphDef
    assert max(differences.values()) <= 1e-5


def test_the_record_beside_the_files_is_what_was_printed(every):
    out, written = every
    assert [json.loads((out / one["format"] / "export.json").read_text()) for one in written] == written


def test_the_record_has_the_bound_that_the_scores_were_held_to(every):
    assert [one["bound"]["most"] for one in every[1]] == [2e-5] * 6


def test_the_closing_lines_say_what_was_found_and_what_was_allowed(tmp_path):
    done = export(PIECES, "--to", "onnx", "--out", tmp_path)
    assert re.search(r"scores within \d\.\de-\d\d \(2\.0e-05 allowed\), 0 of 11 answers differ", done.stdout)


def test_author_and_licence_stand_in_the_record_and_in_the_file(tmp_path):
    (record,) = records(tmp_path, "--to", "keras-json", "--author", "Ann", "--licence", "CC-BY-4.0")
    about = json.loads((tmp_path / "keras-json" / "about.json").read_text())
    assert [(told["author"], told["license"]) for told in (record, about)] == [("Ann", "CC-BY-4.0")] * 2


def test_the_record_names_every_file_with_its_digest(every):
    out, written = every
    for one in written:
        folder = out / one["format"]
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert files == {*one["files"], "export.json"}
        for path, file in one["files"].items():
            assert hashlib.sha256((folder / path).read_bytes()).hexdigest() == file["sha256"]


def test_a_folder_of_pictures_is_compared_too(tmp_path, photo):
    (tmp_path / "photos").mkdir()
    for seed in range(3):
        (tmp_path / "photos" / f"{seed}.jpg").write_bytes(photo(seed=seed))
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    done = export(PIECES, "--to", "onnx", "--out", tmp_path / "out", "--pictures", tmp_path / "photos", "--json")
    assert json.loads(done.stdout)[0]["checked"][0]["figures"]["pictures"]["pictures"] == 3
    assert "1 pictures could not be read" in done.stderr
    assert "broken.jpg" in done.stderr


def test_an_export_is_written_anew_in_place_of_the_old(copy):
    before = (copy / "onnx" / "export.json").read_bytes()
    (copy / "onnx" / "stranger").write_text("of last time")
    records(copy, "--to", "onnx")
    assert not (copy / "onnx" / "stranger").exists()
    assert (copy / "onnx" / "export.json").read_bytes() == before


def test_what_is_no_export_is_not_written_over(tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "thesis.txt").write_text("years of work")
    assert "something else than an export stands there" in said(export(PIECES, "--to", "onnx", "--out", tmp_path))
    assert (tmp_path / "onnx" / "thesis.txt").read_text() == "years of work"


def test_an_empty_folder_is_written_into(tmp_path):
    (tmp_path / "onnx").mkdir()
    records(tmp_path, "--to", "onnx")


def test_what_an_export_that_was_killed_left_is_taken_away(tmp_path):
    (tmp_path / ".tmp-onnx" / "onnx").mkdir(parents=True)
    (tmp_path / ".tmp-onnx" / "onnx" / "half.onnx").write_bytes(b"half")
    records(tmp_path, "--to", "onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["onnx"]


def test_a_second_export_into_the_same_folder_is_told_to_wait(tmp_path):
    (tmp_path / ".tmp-onnx").mkdir()
    handle = os.open(tmp_path / ".tmp-onnx", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    sentence = said(export(PIECES, "--to", "onnx", "--out", tmp_path))
    os.close(handle)
    assert "onnx: another export is writing there; wait for it" in sentence


def test_sigterm_leaves_nothing_behind(tmp_path):
    run = subprocess.Popen(command(PIECES, "--to", "litert", "--out", tmp_path / "out"), cwd=ROOT)
    until = time.monotonic() + 120
    while not list(tmp_path.glob("out/.tmp-*/litert")) and time.monotonic() < until:
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    assert run.wait(120) == 128 + signal.SIGTERM
    assert not list((tmp_path / "out").iterdir())


def test_a_disk_that_is_full_is_one_sentence_for_each_format(tmp_path):
    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = export(PIECES, "--to", "onnx,savedmodel", "--out", tmp_path / "out", preexec_fn=small)
    assert said(done)
    for form in ("onnx", "savedmodel"):
        assert re.search(rf"^imago: {form}: .*{form}: cannot be written \(.*\); see to that", done.stderr, re.MULTILINE)
    assert not list((tmp_path / "out").iterdir())


def test_nothing_is_left_where_an_export_fails(tmp_path, bundle_copy):
    (bundle_copy / "labels.txt").write_text("changed\n")
    assert "labels.txt" in said(export(bundle_copy, "--to", "onnx", "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.fixture
def bundle_copy(tmp_path):
    return Path(shutil.copytree(PIECES, tmp_path / PIECES.name))


# ---- checked again --------------------------------------------------------------------------


def check(out, form="onnx"):
    return export(PIECES, "--to", form, "--out", out, "--check-only")


def test_what_was_exported_is_checked_again(made):
    assert check(made).returncode == 0
    assert check(made, "keras-json").returncode == 0


def test_a_changed_byte_is_found(copy):
    path = next((copy / "onnx").glob("*.onnx"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "was changed after it was exported" in said(check(copy))


def test_one_changed_weight_is_found_without_the_record_too(copy):
    import onnx
    from onnx import numpy_helper

    (copy / "onnx" / "export.json").unlink()
    path = next((copy / "onnx").glob("*.onnx"))
    model = onnx.load(path)
    weight = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    values = numpy_helper.to_array(weight).copy()
    values.flat[0] += 1
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, path)
    assert "scores differ from the bundle's by" in said(check(copy))


def test_swapped_labels_are_found_without_the_record_too(copy):
    (copy / "keras-json" / "export.json").unlink()
    path = copy / "keras-json" / "labels.txt"
    first, second, *rest = path.read_text().splitlines()
    path.write_text("\n".join([second, first, *rest, ""]))
    assert f"label 1 is '{second}', '{first}' in the bundle" in said(check(copy, "keras-json"))


def test_a_shifted_mean_is_found_without_the_record_too(copy):
    (copy / "keras-json" / "export.json").unlink()
    path = copy / "keras-json" / "model.json"
    text = re.sub(r'"offset": -[0-9.]+', '"offset": -0.9', path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    assert "scores differ from the bundle's by" in said(check(copy, "keras-json"))


@pytest.mark.parametrize("key", ["id", "resize", "scores"])
def test_another_word_about_the_bundle_is_found_without_the_record_too(copy, key):
    (copy / "keras-json" / "export.json").unlink()
    path = copy / "keras-json" / "about.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, key: "other"}))
    assert f"says {key} is 'other', '{about[key]}' in the bundle" in said(check(copy, "keras-json"))


def test_a_file_that_takes_other_pixels_is_one_sentence(copy):
    import onnx

    (copy / "onnx" / "export.json").unlink()
    path = next((copy / "onnx").glob("*.onnx"))
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 95
    onnx.save(model, path)
    assert "cannot be run" in said(check(copy))


@pytest.mark.parametrize("name", ["export.json", "labels.txt", "model.json", "model.weights.h5"])
def test_a_damaged_file_is_one_sentence(copy, name):
    path = copy / "keras-json" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if name != "export.json":
        (copy / "keras-json" / "export.json").unlink()
    assert said(check(copy, "keras-json"))


def test_an_export_of_another_bundle_is_found(copy):
    record = json.loads((copy / "onnx" / "export.json").read_text())
    record["id"] = "0" * 64
    (copy / "onnx" / "export.json").write_text(json.dumps(record))
    assert "made of another bundle" in said(check(copy))
    record["id"] = 0
    (copy / "onnx" / "export.json").write_text(json.dumps(record))
    assert "made of another bundle" in said(check(copy))


def test_a_file_that_is_missing_and_one_too_many_are_found(copy):
    (copy / "keras-json" / "labels.txt").unlink()
    assert "missing" in said(check(copy, "keras-json"))
    (copy / "onnx" / "more.txt").write_text("")
    assert "was not exported" in said(check(copy))


def test_checking_what_is_not_there_says_so(tmp_path):
    assert "no such export" in said(check(tmp_path))


# ---- what cannot be -------------------------------------------------------------------------


def test_a_format_that_knows_no_such_precision_says_what_it_knows(tmp_path):
    assert "graphdef has no fp16 here" in said(
        export(PIECES, "--to", "graphdef", "--quantize", "fp16", "--out", tmp_path)
    )


def test_of_all_formats_those_without_this_precision_are_left_out_by_name(tmp_path):
    done = export(PIECES, "--to", "onnx,graphdef", "--quantize", "fp16", "--out", tmp_path)
    assert done.returncode == 0
    assert "graphdef has no fp16" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["onnx-fp16"]


def test_int8_without_pictures_to_calibrate_on_says_so_before_any_format_is_written(tmp_path):
    assert "--calibrate" in said(export(PIECES, "--to", "all", "--quantize", "int8", "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_folder_of_pictures_that_is_not_there_is_told_once_before_any_work(tmp_path):
    done = export(PIECES, "--to", "all", "--pictures", tmp_path / "none", "--out", tmp_path / "out")
    assert said(done) == f"imago: {tmp_path / 'none'}: no such folder; wanted one with pictures"
    assert done.stderr.count("no such folder") == 1


def test_no_format_is_no_export(tmp_path):
    done = export(PIECES, "--to", ",", "--out", tmp_path)
    assert done.returncode == 2
    assert "no format named; wanted some of coreml" in done.stderr


def test_an_unknown_format_is_told_with_those_there_are(tmp_path):
    done = export(PIECES, "--to", "caffe", "--out", tmp_path)
    assert done.returncode == 2
    assert "'caffe' is not one of coreml, litert" in done.stderr


def test_a_folder_that_is_no_bundle_is_one_sentence(tmp_path):
    assert "manifest.json" in said(export(tmp_path, "--to", "onnx", "--out", tmp_path / "out"))


# ---- models that make XML -------------------------------------------------------------------


def test_a_model_that_makes_xml_is_exported_with_its_schema(tmp_path):
    done = export(SHEETS, "--to", "onnx", "--out", tmp_path, "--json")
    (record,) = json.loads(done.stdout)
    assert {"schema.rng", "network.json"} < record["files"].keys()
    assert record["checked"][0]["figures"]["differ"] == 0


def test_a_graph_of_a_model_that_makes_xml_is_refused_with_what_there_is(tmp_path):
    sentence = said(export(SHEETS, "--to", "graphdef", "--out", tmp_path))
    assert "coreml" in sentence
    assert "onnx" in sentence
