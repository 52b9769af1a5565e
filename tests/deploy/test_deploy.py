"""`make deploy` and `make rollback` on a real API server: what is rolled out, taken back, and said."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster

SCRIPT = Path(__file__).parents[2] / "k8s" / "deploy.py"
KUSTOMIZATION = """namespace: {namespace}
resources: [all.yaml]
images: [{{name: imago-server, newTag: {tag}}}]
configMapGenerator:
  - name: imago
    literals: [IMAGO_BUNDLE=s3://shop/models/{bundle}]
"""
OBJECTS = """apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: imago}}
spec:
  replicas: 2
  progressDeadlineSeconds: 3
  strategy: {{rollingUpdate: {{maxUnavailable: 0, maxSurge: 1}}}}
  selector: {{matchLabels: {{app: imago}}}}
  template:
    metadata: {{labels: {{app: imago}}}}
    spec:
      containers:
        - name: server
          image: imago-server
          envFrom: [configMapRef: {{name: imago}}]
"""


@pytest.fixture
def run(control_plane, tmp_path):
    """run("deploy", ...) in a namespace of this test's own; run.declare(tag, bundle) writes the overlay first."""
    namespace = re.sub("[^a-z0-9]+", "-", tmp_path.name)[-40:].strip("-")

    def run(verb, *words, user="admin", **env):
        config = {"KUBECONFIG": str(control_plane / f"{user}.kubeconfig")}
        overlay = [tmp_path] if verb == "deploy" else []
        command = [sys.executable, SCRIPT, verb, *overlay, "--namespace", namespace, *words]
        return subprocess.run(command, env=os.environ | config | env, capture_output=True, text=True, timeout=120)

    def declare(tag, bundle="photos-00000001"):
        (tmp_path / "all.yaml").write_text(OBJECTS.format(namespace=namespace))
        (tmp_path / "kustomization.yaml").write_text(KUSTOMIZATION.format(namespace=namespace, tag=tag, bundle=bundle))

    def declared(*words):
        declare(*words)
        return run("deploy")

    run.declare, run.deploy, run.namespace = declare, declared, namespace
    return run


@pytest.fixture
def kubectl(control_plane, run):
    def ask(*words):
        command = ["kubectl", "--kubeconfig", control_plane / "admin.kubeconfig", "-n", run.namespace, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return ask


def serves(revision, tag, bundle="photos-00000001"):
    return (
        f"imago: revision {revision}, 2 of 2 pods ready, image imago-server:{tag}, bundle s3://shop/models/{bundle}\n"
    )


def test_first_deployment_makes_its_namespace_and_says_what_serves(run):
    done = run.deploy("v1")
    assert (done.returncode, done.stdout) == (0, serves(1, "v1")), done.stderr
    assert done.stderr.startswith("context tests, cluster https://127.0.0.1:")


def test_what_never_gets_ready_is_taken_back_with_its_reason(run):
    run.deploy("v1")
    done = run.deploy("bad", "photos-00000002")
    assert (done.returncode, done.stdout) == (1, serves(3, "v1")), done.stderr
    assert 'container server waits, ImagePullBackOff: Back-off pulling image "imago-server:bad"' in done.stderr
    assert done.stderr.endswith("deploy: failed: imago\n")


def test_first_deployment_that_fails_is_left_to_be_looked_at(run):
    done = run.deploy("bad")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no older revision has a ready pod to go back to; it is left as it is" in done.stderr


def test_rollback_passes_over_what_failed(run):
    run.deploy("v1")
    run.deploy("v2", "photos-00000002")
    run.deploy("bad")
    done = run("rollback")
    assert (done.returncode, done.stdout) == (0, serves(5, "v1")), done.stderr


def test_what_failed_once_is_good_again_when_it_works(run, kubectl):
    run.deploy("v1")
    kubectl("label", "replicasets", "--all", "imago-rollout-failed=true")
    assert run.deploy("v1").returncode == 0
    assert "imago-rollout-failed" not in kubectl("get", "replicasets", "-o", "json")


def test_rollback_to_nothing_says_so(run):
    run.deploy("v1")
    done = run("rollback")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "deploy: imago has no earlier revision that did not fail; deploy one that works",
    )


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("nobody", r"deploy: not allowed: .* is forbidden: User \"nobody\" cannot "),
        ("wrong", "deploy: the cluster does not take these credentials; log in again"),
    ],
)
def test_cluster_that_refuses_is_one_sentence(run, user, words):
    run.declare("v1")
    done = run("deploy", user=user)
    assert done.returncode == 1
    assert re.match(words, done.stderr.splitlines()[-1])


def test_what_is_still_to_be_filled_in_is_refused(run):
    done = run.deploy("v1", "NAME-ID8")
    assert (
        "still has IMAGO_BUNDLE: s3://shop/models/NAME-ID8" in done.stderr
        or "s3://shop/models/NAME-ID8;" in done.stderr
    )


def test_a_kind_that_the_cluster_lacks_is_named(run, tmp_path):
    run.declare("v1")
    with (tmp_path / "all.yaml").open("a") as file:
        file.write("---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: imago}\n")
    done = run("deploy")
    assert re.search('the cluster does not know a kind of the overlay: .*"PodDisruptionBudget"', done.stderr)
