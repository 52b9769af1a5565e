"""`make deploy` and `make rollback` on a real API server: what is rolled out, taken back, and said."""

import json
import os
import re
import signal
import subprocess
import sys
import time
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

    def start(verb, *words, user="admin", **env):
        config = {"KUBECONFIG": str(control_plane / f"{user}.kubeconfig")}
        overlay = [tmp_path] if verb == "deploy" else []
        command = [sys.executable, SCRIPT, verb, *overlay, "--namespace", namespace, *words]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=os.environ | config | env, **streams)

    def run(verb, *words, **more):
        with start(verb, *words, **more) as process:
            out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def declare(tag, bundle="photos-00000001"):
        (tmp_path / "all.yaml").write_text(OBJECTS.format(namespace=namespace))
        (tmp_path / "kustomization.yaml").write_text(KUSTOMIZATION.format(namespace=namespace, tag=tag, bundle=bundle))

    def declared(*words):
        declare(*words)
        return run("deploy")

    run.start, run.declare, run.deploy, run.namespace = start, declare, declared, namespace
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


def test_events_say_why_to_everybody(run, kubectl):
    run.deploy("v1")
    run.deploy("bad")
    events = json.loads(kubectl("get", "events", "--field-selector=reason=RolloutFailed", "-o", "json"))["items"]
    reason = 'container server waits, ImagePullBackOff: Back-off pulling image "imago-server:bad"'
    said = {event["involvedObject"]["kind"]: event["message"] for event in events}
    assert said["Pod"] == reason
    assert re.fullmatch(f"revision 2 is taken back, 1 still serves; imago-[a-z0-9-]+: {reason}", said["Deployment"])
    assert said["Deployment"] in kubectl("describe", "deployment", "imago")


def test_who_may_do_no_more_than_apply_goes_back_all_the_same(run, kubectl):
    """Without the pods, their events, and the right to write one."""
    run.deploy("v1")
    may = "--verb=get,list,watch,create,patch,update"
    kubectl("create", "role", "deployer", may, "--resource=deployments.apps,configmaps")
    kubectl("create", "role", "reader", "--verb=list", "--resource=replicasets.apps")
    kubectl("create", "clusterrole", run.namespace, "--verb=get,patch", "--resource=namespaces")
    kubectl("create", "clusterrolebinding", run.namespace, f"--clusterrole={run.namespace}", "--user=nobody")
    for role in ("deployer", "reader"):
        kubectl("create", "rolebinding", role, f"--role={role}", "--user=nobody")
    run.declare("bad")
    done = run("deploy", user="nobody")
    kubectl("delete", "clusterrole,clusterrolebinding", run.namespace)
    assert (done.returncode, done.stdout) == (1, serves(3, "v1")), done.stderr
    assert re.search(r"^not allowed: .* cannot list resource \"(pods|events)\"", done.stderr, re.MULTILINE)
    assert re.search(r"^no event says so: not allowed: .* cannot create resource \"events\"", done.stderr, re.MULTILINE)


def test_first_deployment_that_fails_is_left_to_be_looked_at(run, kubectl):
    done = run.deploy("bad")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no older revision has a ready pod to go back to; it is left as it is" in done.stderr
    assert "revision 1 did not get ready; imago-" in kubectl("describe", "deployment", "imago")


def test_rollback_passes_over_what_failed(run):
    run.deploy("v1")
    run.deploy("v2", "photos-00000002")
    run.deploy("bad")
    done = run("rollback")
    assert (done.returncode, done.stdout) == (0, serves(5, "v1")), done.stderr


def test_each_rollback_goes_further_back(run):
    for number in "123":
        run.deploy(f"v{number}")
    assert run("rollback").stdout == serves(4, "v2")
    assert run("rollback").stdout == serves(5, "v1")
    assert "no earlier revision" in run("rollback").stderr
    assert run("rollback", "--to-revision=3").stdout == serves(6, "v3")
    assert run("rollback").returncode == 1


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


# ---- what comes between --------------------------------------------------------------------


def test_what_somebody_else_rolled_out_meanwhile_is_left_as_it_is(run, kubectl):
    run.deploy("v1")
    run.declare("bad")
    with run.start("deploy") as process:
        wait(lambda: ":bad" in kubectl("get", "deployment", "imago", "-o", "yaml"))
        kubectl("set", "image", "deployment/imago", "server=imago-server:v3")
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert "imago: somebody else changed it meanwhile, to revision 3; it is left as it is" in err
    assert ":v3" in kubectl("get", "deployment", "imago", "-o", "yaml")


@pytest.mark.parametrize("verb", ["deploy", "rollback"])
def test_a_paused_deployment_is_refused_at_once(run, kubectl, verb):
    run.deploy("v1")
    kubectl("rollout", "pause", "deployment/imago")
    run.declare("v2")
    done = run(verb)
    kubectl("rollout", "resume", "deployment/imago")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"deploy: imago is paused; kubectl -n {run.namespace} rollout resume deployment/imago, then once more"
    )
    assert ":v1" in kubectl("get", "deployment", "imago", "-o", "yaml")


def test_a_cluster_that_is_lost_meanwhile_is_one_sentence(run, tmp_path):
    program = tmp_path / "kubectl"
    program.write_text(
        '#!/bin/sh\n[ "$3" = rollout ] && exec kubectl --server=https://127.0.0.1:1 "$@"\nexec kubectl "$@"\n'
    )
    program.chmod(0o755)
    run.declare("v1")
    done = run("deploy", KUBECTL=str(program))
    assert re.fullmatch(
        "deploy: the cluster does not answer: .*; imago goes on rolling out unwatched", done.stderr.splitlines()[-1]
    )


def test_breaking_off_is_one_sentence(run):
    run.declare("bad")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background may ignore
    with run.start("deploy") as process:
        signal.signal(signal.SIGINT, before)
        while "Waiting for" not in (line := process.stderr.readline()):
            assert line, "it ended"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.splitlines()[-1] == "deploy: broken off; what was applied goes on rolling out, unwatched"
    assert "Traceback" not in err


def test_rollback_of_what_is_not_there_is_one_sentence(run):
    done = run("rollback", "--deployment=other")
    assert (done.returncode, done.stdout) == (1, "")
    _, *last = done.stderr.splitlines()
    assert re.match(r"deploy: kubectl: Error from server \(NotFound\): ", "".join(last))
    assert len(last) == 1


def wait(what):
    until = time.monotonic() + 30
    while not what():
        assert time.monotonic() < until
        time.sleep(0.1)
