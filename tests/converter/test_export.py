"""`imago export` as a person runs it: every format checked, nothing written that is not the bundle, what was written checked again."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIECES = next((ROOT / "server" / "bundles").glob("pieces-????????"))
SHEETS = next((ROOT / "server" / "bundles").glob("sheets-????????"))
pytest.importorskip("tensorflow", reason="of the train extra")


def imago(*words, timeout=300):
    command = [sys.executable, "-m", "imago", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout)


def export(bundle, *words):
    return imago("export", bundle, *words)


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


def test_int8_without_pictures_to_calibrate_on_says_which_option_names_them(tmp_path):
    assert "--calibrate" in said(export(PIECES, "--to", "litert", "--quantize", "int8", "--out", tmp_path))


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
