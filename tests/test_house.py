"""The rules of the house, held by tests: who may import whom, who owns the pixels, what a start costs, what the README says."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from server import config

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {"bundle": set(), "server": {"bundle"}, "training": {"bundle"}, "converter": {"bundle"}}
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_room_imports_another_but_bundle(path):
    room = path.relative_to(ROOT).parts[0]
    assert imported(path) & (ROOMS.keys() | {"imago"}) <= ROOMS[room] | {room}


def test_bundle_needs_only_its_few_libraries_at_the_top():
    heavy = {
        "tensorflow",
        "keras",
        "onnxruntime",
        "onnx",
        "tf2onnx",
        "sklearn",
        "flask",
        "gunicorn",
        "boto3",
        "matplotlib",
    }
    for path in (ROOT / "bundle").rglob("*.py"):
        tops = {n for n in ast.parse(path.read_text()).body if isinstance(n, ast.Import | ast.ImportFrom)}
        names = {(getattr(n, "module", None) or n.names[0].name).partition(".")[0] for n in tops}
        assert not names & heavy, path


# Augmentation and drawing make pictures, they do not prepare model input.
DRAWS = {
    "training/pieces/__init__.py",
    "training/pieces/drawing.py",
    "training/augment.py",
    "training/warp.py",
    "training/redraw.py",
    "training/disturb.py",
}
DECODERS = re.compile(
    r"Image\.open|ImageOps|\.resize\(|\.thumbnail\(|decode_(jpeg|png|image)|load_img|image_dataset_from|imdecode|imread"
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_but_image_decodes_or_resizes_model_input(path):
    name = path.relative_to(ROOT).as_posix()
    if name != "bundle/image.py" and name not in DRAWS:
        assert not DECODERS.search(path.read_text()), name


def test_help_loads_nothing_heavy():
    code = "import sys, runpy; sys.argv = ['imago', '--help']\ntry: runpy.run_module('imago', run_name='__main__')\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=600)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "Commands:" in done.stdout
    assert not loaded & {"tensorflow", "keras", "boto3", "flask", "rich", "numpy", "PIL", "pydantic", "onnxruntime"}


def test_every_verb_has_help():
    from imago import VERBS, cli

    for verb in VERBS:
        done = CliRunner().invoke(cli, [verb, "--help"])
        assert done.exit_code == 0
        assert "Usage:" in done.output


# Longer than 300 lines, and why.
LONG = {"server/loop.py": "one loop and the states of its connections; in two files it would have to be read in both"}


def test_no_file_is_long_without_a_reason():
    long = {path.relative_to(ROOT).as_posix() for path in SOURCES if len(path.read_text().splitlines()) > 300}
    assert long <= LONG.keys()


def test_no_function_is_longer_than_sixty_lines():
    linear = {"main"}  # a text that reads from top to bottom is not split to please a number
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name not in linear:
                assert node.end_lineno - node.lineno <= 60, f"{path}: {node.name}"


def test_the_readme_shows_every_knob_of_the_server():
    readme = (ROOT / "README.md").read_text()
    for row in config.table():
        assert (
            "| " + " | ".join(f"`{cell}`" if at < 3 and cell != "–" else cell for at, cell in enumerate(row)) + " |"
            in readme
        )


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"\.PHONY: (.*)", makefile)[1].split())
    done = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert {line.split()[1] for line in done.stdout.splitlines()} == targets
