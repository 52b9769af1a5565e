"""docs/deploy.md names files, components and knobs that are there, and quotes what is really said."""

import re
from pathlib import Path

import pytest

from server.config import Config

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = (ROOT / "docs" / "deploy.md").read_text()
# What EKS leaves of them to pods.
CORES = {"m7i.large": 1.93, "m7i.xlarge": 3.92}
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


def test_nodes_have_room_for_one_pod_more_as_an_update_wants_it(rendered):
    """Beside what the cluster itself runs there, half a core of a node at most."""
    kind, number = re.search(r"instanceType: (\S+)\n.*?desiredCapacity: (\d+)", RUNBOOK, re.DOTALL).groups()
    objects = rendered("overlays/eks")
    a_node = (CORES[kind] - 0.5) // float(objects.server.container["resources"]["requests"]["cpu"])
    assert a_node * int(number) >= objects.one("HorizontalPodAutoscaler")["spec"]["minReplicas"] + 1


@pytest.mark.parametrize(("sentence", "file"), SENTENCES.items())
def test_sentence_is_said(sentence, file):
    assert sentence in RUNBOOK
    assert sentence in (ROOT / "bundle" / file).read_text()
