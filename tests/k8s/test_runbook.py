"""docs/deploy.md names files, components and knobs that are there, and quotes what is really said."""

import re
from pathlib import Path

import pytest

from server.config import Config

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "docs" / "deploy.md").read_text()
# By each of them one looks for what to do; the code that says it.
SENTENCES = {
    "its content was changed (sha256 differs); fetch the bundle again": "store.py",
    "wanted; push the bundle again": "storage.py",
    "check the name and who may read it": "storage.py",
    "wanted s3://BUCKET/FOLDER, with plain names": "storage.py",
    "the storage did not answer (": "storage.py",
}


def test_files_are_there():
    paths = re.findall(r"\bk8s/[\w./-]+\w", RUNBOOK)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_components_are_there():
    names = re.findall(r"component `([\w-]+)`", RUNBOOK)
    assert names
    assert [name for name in names if not (ROOT / "k8s" / "components" / name).is_dir()] == []


def test_variables_are_knobs():
    assert {name.lower() for name in re.findall(r"IMAGO_([A-Z_]+)", RUNBOOK)} <= Config.model_fields.keys()


@pytest.mark.parametrize(("sentence", "file"), SENTENCES.items())
def test_sentence_is_said(sentence, file):
    assert sentence in RUNBOOK
    assert sentence in (ROOT / "bundle" / file).read_text()
