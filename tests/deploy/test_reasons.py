"""What is said of a rollout, from JSON as `kubectl get` gives it: cut down to what is read, the shapes are those of a real cluster."""

import pytest

WANTED = "deployment.kubernetes.io/revision"


def thing(kind, name, *, owner=None, revision=None, **more):
    metadata = {
        "name": name,
        "namespace": "imago",
        "uid": f"uid-{name}",
        "annotations": {WANTED: str(revision)} if revision else {},
    }
    if owner:
        metadata["ownerReferences"] = [{"kind": "any", "name": owner, "uid": f"uid-{owner}", "controller": True}]
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": {}, "status": {}} | more


def rs(name, revision, ready=0, labels=()):
    made = thing("ReplicaSet", name, owner="imago", revision=revision, status={"replicas": 2, "readyReplicas": ready})
    made["metadata"]["labels"] = dict.fromkeys(labels, "true")
    return made


def deployment(**status):
    container = {
        "name": "server",
        "image": "imago-server@sha256:1",
        "envFrom": [{"configMapRef": {"name": "imago-h4sh"}}],
    }
    spec = {"replicas": 2, "template": {"spec": {"containers": [container]}}}
    return thing("Deployment", "imago", revision=4, spec=spec, status={"readyReplicas": 2} | status)


def pod(name, **status):
    return thing("Pod", name, owner="new", status={"phase": "Pending"} | status)


def waiting(name, reason, **more):
    return {"name": name, "ready": False, "state": {"waiting": {"reason": reason} | more}, "lastState": {}}


def ended(name, message, where="state"):
    state = {"terminated": {"exitCode": 1, "reason": "Error", "message": message}}
    return waiting(name, "CrashLoopBackOff", message="back-off 10s restarting failed container") | {where: state}


def event(name, reason, message, kind="Warning"):
    involved = {"kind": "Pod", "name": name, "namespace": "imago"}
    return {
        "kind": "Event",
        "metadata": {},
        "involvedObject": involved,
        "reason": reason,
        "type": kind,
        "message": message,
    }


def said(reasons, *given):
    return [f"{of['metadata']['name']}: {sentence}" for of, sentence in reasons.reasons(*given)]


TAMPERED = "imago: /bundles/.tmp-1/model.onnx: its content was changed (sha256 differs); fetch the bundle again"
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes:\n no GPU.",
}


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ({"conditions": [UNSCHEDULABLE]}, "finds no node: 0/3 nodes: no GPU."),
        (
            {"containerStatuses": [waiting("server", "ImagePullBackOff", message='Back-off pulling image "x:bad"')]},
            'container server waits, ImagePullBackOff: Back-off pulling image "x:bad"',
        ),
        (
            {
                "initContainerStatuses": [ended("bundle", f"pulling\n{TAMPERED}\n", "lastState")],
                "containerStatuses": [waiting("server", "PodInitializing")],
            },
            f"container bundle ended with 1: {TAMPERED}",
        ),
        ({"containerStatuses": [ended("server", "")]}, "container server ended with 1: Error"),
    ],
)
def test_reason_is_a_sentence(reasons, status, sentence):
    assert said(reasons, deployment(), rs("new", 4), [pod("a", **status)]) == [f"a: {sentence}"]


def test_events_say_what_containers_do_not(reasons):
    events = [
        event("a", "Unhealthy", "Startup probe failed: 503"),
        event("a", "Unhealthy", "Startup probe failed: 503"),
        event("a", "BackOff", "again"),
        event("a", reasons.UNREADY, "by an earlier deploy"),
        event("a", "Pulled", "fine", "Normal"),
        event("other", "Unhealthy", "of another"),
    ]
    wanted = ["a: Unhealthy: Startup probe failed: 503"]
    assert said(reasons, deployment(), rs("new", 4), [pod("a"), *events]) == wanted


def test_pods_that_could_not_be_made_have_their_reason_in_the_deployment(reasons):
    refused = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": "pods is forbidden: quota",
    }
    assert said(reasons, deployment(conditions=[refused]), None, []) == ["imago: pods is forbidden: quota"]


def test_pods_of_other_replica_sets_are_not_asked(reasons):
    old = thing("Pod", "old-1", owner="old", status={"containerStatuses": [ended("server", "x")]})
    assert reasons.reasons(deployment(), rs("new", 4), [old]) == []


def test_events_are_of_the_deployment_and_of_each_pod(reasons):
    first, second = pod("a"), pod("b")
    found = [(first, "waits"), (first, "cannot"), (second, "x" * 2000)]
    whole, *pods = reasons.events(deployment(), "revision 4 is taken back", found, "2026-11-21T00:00:00Z")
    assert whole["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Deployment",
        "name": "imago",
        "namespace": "imago",
        "uid": "uid-imago",
    }
    assert whole["message"].startswith("revision 4 is taken back; a: waits; a: cannot; b: xxx")
    assert [(made["involvedObject"]["name"], made["message"]) for made in pods] == [
        ("a", "waits; cannot"),
        ("b", "x" * 1024),
    ]
    assert {made["type"] for made in (whole, *pods)} == {"Warning"}
    assert max(len(made["message"]) for made in (whole, *pods)) == 1024


def test_what_still_serves_is_the_newest_older_one_with_a_ready_pod(reasons):
    sets = [rs("a", 1, ready=1), rs("b", 2, ready=2), rs("c", 3), rs("new", 4, ready=1)]
    assert reasons.still_serving(deployment(), sets)["metadata"]["name"] == "b"
    assert reasons.still_serving(deployment(), sets[2:]) is None


def test_rollback_passes_over_what_failed(reasons):
    sets = [rs("a", 1), rs("b", 2), rs("c", 3, labels=[reasons.FAILED]), rs("new", 4)]
    assert reasons.before(deployment(), sets)["metadata"]["name"] == "b"


@pytest.mark.parametrize(
    ("configs", "bundle"),
    [
        ([{"data": {"IMAGO_BUNDLE": "s3://shop/models/photos-12345678"}}], "s3://shop/models/photos-12345678"),
        ([{"data": {}}], "the embedded default"),
        ([], "the embedded default"),
        (None, "unknown"),
    ],
)
def test_what_serves_is_one_line(reasons, configs, bundle):
    wanted = f"imago: revision 4, 2 of 2 pods ready, image imago-server@sha256:1, bundle {bundle}"
    assert reasons.serving(deployment(), configs) == wanted
    assert reasons.config_names(deployment()) == ["imago-h4sh"]
