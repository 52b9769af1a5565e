"""The iOS app, as far as it can be held without a Mac: every file parses, the plain ones pass their own tests, the project names what exists."""

import filecmp
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from converter import about, coreml_spec, xml_coreml
from converter.subject import open_subject

ROOT = Path(__file__).parents[2]
APP = ROOT / "app"
SWIFT = sorted(path for folder in ("Imago", "Tests") for path in (APP / folder).rglob("*.swift")) + [
    APP / "Package.swift"
]
APPLE = {"AVFoundation", "Combine", "CoreGraphics", "CoreImage", "CoreML", "ImageIO", "PhotosUI", "SwiftUI", "Vision"}


def wrong(node):
    """What the parser could not make sense of, or missed."""
    if node.is_error or node.is_missing:
        yield f"line {node.start_point.row + 1}: {node.type} {node.text.decode()[:60]}"
    for child in node.children:
        yield from wrong(child)


def tree(path):
    tree_sitter = pytest.importorskip("tree_sitter", reason="of the dev extra")
    swift = pytest.importorskip("tree_sitter_swift", reason="of the dev extra")
    return tree_sitter.Parser(tree_sitter.Language(swift.language())).parse(path.read_bytes()).root_node


@pytest.mark.parametrize("path", SWIFT, ids=lambda path: path.relative_to(APP).as_posix())
def test_every_swift_file_parses(path):
    assert list(wrong(tree(path))) == []


def test_the_parser_notices_what_is_no_swift(tmp_path):
    path = tmp_path / "wrong.swift"
    path.write_text("struct One { let a = = 1 }")
    assert list(wrong(tree(path)))


def test_plain_files_import_nothing_of_apples_but_foundation():
    lines = [line for path in (APP / "Imago" / "Plain").glob("*.swift") for line in path.read_text().splitlines()]
    assert {line for line in lines if line.startswith(("import ", "@testable"))} <= {"import Foundation"}


def test_every_plain_file_with_something_to_test_has_a_test():
    tests = "".join(path.read_text() for path in (APP / "Tests" / "ImagoTests").glob("*Tests.swift"))
    words = {path.stem for path in (APP / "Imago" / "Plain").glob("*.swift")} - {"Refusal", "Rest", "AutomatonState"}
    assert {word for word in words if {"Labels": "ScoredLabel"}.get(word, word) not in tests} == set()


def test_only_the_phone_folder_needs_apples_frameworks():
    found = {
        line.split()[1]
        for path in (APP / "Imago" / "Phone").glob("*.swift")
        for line in path.read_text().splitlines()
        if line.startswith("import ")
    }
    assert found <= APPLE | {"Foundation"}


def test_the_app_asks_exports_for_what_they_have():
    """Of a bundle with several labels a photo, which says the most."""
    whole, writer = ((APP / "Imago" / name).read_text() for name in ("Plain/About.swift", "Phone/Writer.swift"))
    (bundle,) = (ROOT / "server" / "bundles").glob("pieces-????????")
    subject = open_subject(bundle)
    several = subject.manifest.model_copy(update={"scores": "sigmoid", "thresholds": (0.5,) * subject.manifest.labels})
    said = {coreml_spec.MINE + key for key in about.facts(replace(subject, manifest=several))}
    assert set(re.findall(r'"(imago\.\w+)"', whole)) == said
    assert set(re.findall(r'"([a-z_]+)"', writer)) == set(xml_coreml.TOLD)


def test_the_project_names_files_that_exist():
    yaml = pytest.importorskip("yaml", reason="of the dev extra")
    project = yaml.safe_load((APP / "project.yml").read_text())
    sources = [source["path"] for target in project["targets"].values() for source in target["sources"]]
    assert [path for path in sources if not (APP / path).is_dir()] == []
    assert project["targets"]["Imago"]["scheme"]["testTargets"] == ["ImagoTests"]
    assert project["targets"]["Imago"]["info"]["properties"]["NSCameraUsageDescription"]
    assert {name.partition("/")[2] for name in sources if name.startswith("Imago/")} == {"Plain", "Phone", "Model"}


def test_the_fixtures_are_what_python_says_today(tmp_path):
    command = [sys.executable, "-m", "app.fixtures", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    names = sorted(path.name for path in (APP / "Tests" / "fixtures").glob("*.json"))
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert filecmp.cmpfiles(APP / "Tests" / "fixtures", tmp_path, names, shallow=False) == (names, [], [])


def test_the_plain_files_pass_their_own_tests(tmp_path):
    if not shutil.which("swiftc"):
        pytest.skip("no swiftc here; app/README.md says how to install it")
    environment = {**os.environ, "BUILD": str(tmp_path)}
    done = subprocess.run([APP / "run_tests.sh"], env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "with 0 failures" in done.stdout + done.stderr
