"""What stands between `make deploy` and a cluster is one sentence each."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here")

SCRIPT = Path(__file__).parents[2] / "k8s" / "deploy.py"
KUBECONFIG = """apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: good, context: {cluster: here, user: me}}, {name: gone, context: {cluster: other, user: me}}]
users: [{name: me, user: {token: a}}]
current-context: """


@pytest.fixture
def last_words(tmp_path):
    """(context, overlay, **environment) -> the last line of a deploy that failed, of few."""

    def run(context, overlay="local", **env):
        (tmp_path / "config").write_text(KUBECONFIG + context)
        env = os.environ | {"KUBECONFIG": str(tmp_path / "config")} | env
        command = [sys.executable, SCRIPT, "deploy", overlay]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (1, "")
        *before, last = done.stderr.splitlines()
        assert len(before) <= 1, done.stderr
        return last

    return run


@pytest.mark.parametrize("program", ["no-such-kubectl", "/"])
def test_no_kubectl(last_words, program):
    last = last_words("good", KUBECTL=program)
    assert last.startswith(f"deploy: {program}: ")
    assert last.endswith("; install kubectl, or name it in KUBECTL")


@pytest.mark.parametrize("context", ["''", "other", "gone"])
def test_no_cluster_is_chosen(last_words, context):
    assert last_words(context).startswith("deploy: no cluster is chosen; kubectl config use-context NAME")


def test_no_such_overlay(last_words):
    there = "canary, eks, gpu, local"
    assert last_words("good", "ekss") == f"deploy: ekss: no such overlay; there are {there}"


def test_what_is_still_to_be_filled_in(last_words):
    assert "overlays/eks: still has s3://BUCKET/models/NAME-ID8; make push writes the image" in last_words(
        "good", "eks"
    )


def test_no_answer(last_words):
    assert last_words("good").startswith("deploy: the cluster does not answer: ")
