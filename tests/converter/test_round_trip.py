"""What is exported can be brought back, and gives what the first bundle's golden pictures must give."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bundle import golden, model

ROOT = Path(__file__).parents[2]
PIECES = next((ROOT / "server" / "bundles").glob("pieces-????????"))
pytest.importorskip("tensorflow", reason="of the train extra")


def imago(*words):
    command = [sys.executable, "-m", "imago", *map(str, words), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    out = tmp_path_factory.mktemp("exports")
    imago("export", PIECES, "--to", "onnx,graphdef,keras-json", "--out", out)
    return out


WAYS = {
    "onnx": ("--onnx", f"onnx/{PIECES.name}.onnx"),
    "retrain's graph": ("--graphdef", "graphdef/output_graph.pb"),
    "the old server's graph": ("--graphdef", "graphdef/classify_image_graph_def.pb"),
    "keras-json": ("--keras-json", "keras-json/model.json", "--weights", "keras-json/model.weights.h5"),
}


@pytest.mark.parametrize("way", WAYS)
def test_golden_pictures_pass_after_the_way_out_and_back(way, exports, tmp_path):
    words = [word if word.startswith("--") else exports / word for word in WAYS[way]]
    back = Path(imago("import", *words, "--out", tmp_path)["bundle"])
    first, second = model.open(PIECES), model.open(back)
    assert second.labels == first.labels
    assert second.manifest.preprocess == first.manifest.preprocess
    assert not golden.replay(PIECES, first.manifest, second.run)


def test_what_came_back_goes_out_again(exports, tmp_path):
    back = Path(imago("import", "--onnx", exports / WAYS["onnx"][1], "--out", tmp_path)["bundle"])
    (record,) = imago("export", back, "--to", "onnx", "--out", tmp_path / "again")
    assert record["checked"][0]["figures"]["golden"]["difference"] <= 1e-6


def test_of_a_bundle_without_layers_the_formats_that_need_them_are_refused_or_left_out(exports, tmp_path):
    back = Path(imago("import", "--onnx", exports / WAYS["onnx"][1], "--out", tmp_path)["bundle"])
    (record,) = imago("export", back, "--to", "all", "--out", tmp_path / "again")
    assert record["format"] == "onnx"
    command = [sys.executable, "-m", "imago", "export", back, "--to", "litert", "--out", tmp_path / "again"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "has none: its source is an ONNX file; choose --to onnx" in done.stderr
    assert "Traceback" not in done.stderr
