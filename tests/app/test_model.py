"""An export is put into the app whole, or not at all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "app" / "model.py"
TITLE = "sheets-a5ce925b"


@pytest.fixture
def app(tmp_path):
    """A copy of the script with a model folder of its own, where an older model is."""
    folder = tmp_path / "app"
    (folder / "Imago" / "Model" / "old.mlpackage").mkdir(parents=True)
    (folder / "Imago" / "Model" / ".gitkeep").touch()
    (folder / "Imago" / "Model" / "old-grammar.json").touch()
    (folder / "model.py").write_bytes(SCRIPT.read_bytes())
    return folder


@pytest.fixture
def export(tmp_path):
    folder = tmp_path / "coreml"
    folder.mkdir()
    return folder


def package(folder, name):
    (folder / f"{name}.mlpackage" / "Data").mkdir(parents=True)
    (folder / f"{name}.mlpackage" / "Data" / "weights").write_bytes(b"1")


def placed(app, export):
    """What the script says, and what is there then."""
    done = subprocess.run([sys.executable, app / "model.py", export], capture_output=True, text=True, timeout=60)
    assert [path.name for path in (app / "Imago").iterdir()] == ["Model"]
    return done.stderr or done.stdout, {path.name for path in (app / "Imago" / "Model").iterdir()}


def test_a_classifier_takes_the_place_of_what_was_there(app, export):
    package(export, "pieces-f39afc6e")
    (export / "pieces-f39afc6e.mlmodel").touch()
    said, there = placed(app, export)
    assert said == "app/Imago/Model has: pieces-f39afc6e.mlpackage\n"
    assert there == {".gitkeep", "pieces-f39afc6e.mlpackage"}
    assert (app / "Imago/Model/pieces-f39afc6e.mlpackage/Data/weights").read_bytes() == b"1"


def test_a_model_that_makes_xml_comes_with_its_grammar(app, export):
    for part in ("encoder", "step"):
        package(export, f"{TITLE}-{part}")
    (export / "grammar.json").write_text(json.dumps({"name": "sheets", "id": "a5ce925b" * 8}))
    names = {".gitkeep", f"{TITLE}-encoder.mlpackage", f"{TITLE}-step.mlpackage", f"{TITLE}-grammar.json"}
    assert placed(app, export)[1] == names


@pytest.mark.parametrize(
    ("packages", "grammar", "sentence"),
    [
        ([], None, "no .mlpackage there"),
        ([f"{TITLE}-encoder"], None, "grammar.json: missing or damaged"),
        ([f"{TITLE}-encoder"], "[]", "grammar.json: missing or damaged"),
        ([f"{TITLE}-encoder"], '{"name": "sheets", "id": "a5ce925b"}', f"{TITLE}-step.mlpackage is missing"),
    ],
)
def test_what_is_no_whole_export_is_refused_and_nothing_changes(app, export, packages, grammar, sentence):
    for name in packages:
        package(export, name)
    if grammar:
        (export / "grammar.json").write_text(grammar)
    said, there = placed(app, export)
    assert sentence in said
    assert there == {".gitkeep", "old.mlpackage", "old-grammar.json"}


def test_what_cannot_be_copied_leaves_the_old_model_where_it_was(app, export):
    package(export, "pieces-f39afc6e")
    (export / "pieces-f39afc6e.mlpackage" / "Data" / "lost").symlink_to("nowhere")
    said, there = placed(app, export)
    assert said.startswith(f"{export}: cannot be copied, the model that was there stays: ")
    assert there == {".gitkeep", "old.mlpackage", "old-grammar.json"}
