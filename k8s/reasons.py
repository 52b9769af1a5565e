"""What `kubectl get -o json` says of a rollout, in sentences and events: why its pods are not ready, and what serves. Runs nothing."""

import re
from collections.abc import Iterable
from typing import Any

Object = dict[str, Any]  # as the Kubernetes API has it
Reason = tuple[Object, str]  # what it is of, and the sentence

REVISION = "deployment.kubernetes.io/revision"
# On a ReplicaSet whose rollout failed, or that a rollback left, so that `make rollback` does not lead back to it.
FAILED = "imago-rollout-failed"
# A container that is only being made ready.
STARTING = {"ContainerCreating", "PodInitializing"}
# The reason of our own events.
UNREADY = "RolloutFailed"
# What the states of the containers say better.
REPEATED = {"BackOff", "Failed", "FailedScheduling", UNREADY}
# The most characters that the newer API of events takes.
MESSAGE = 1024


def revision(thing: Object) -> int:
    return int(thing["metadata"].get("annotations", {}).get(REVISION, 0))


def owned(things: Iterable[Object], owner: Object, kind: str) -> list[Object]:
    """Those of a kind that belong to `owner`."""
    uid = owner["metadata"]["uid"]
    return [
        thing
        for thing in things
        if thing["kind"] == kind and any(of["uid"] == uid for of in thing["metadata"].get("ownerReferences", ()))
    ]


def current(deployment: Object, sets: list[Object]) -> Object | None:
    """The ReplicaSet of what was asked for last."""
    return next((one for one in sets if revision(one) == revision(deployment)), None)


def still_serving(deployment: Object, sets: list[Object]) -> Object | None:
    """The newest of the older ReplicaSets that has pods which are ready."""
    ready = [one for one in _older(deployment, sets) if one.get("status", {}).get("readyReplicas")]
    return max(ready, key=revision, default=None)


def before(deployment: Object, sets: list[Object]) -> Object | None:
    """The newest of the older ReplicaSets that nobody has gone back from."""
    good = [one for one in _older(deployment, sets) if FAILED not in one["metadata"].get("labels", {})]
    return max(good, key=revision, default=None)


def reasons(deployment: Object, made: Object | None, things: list[Object]) -> list[Reason]:
    """Of the pods of the ReplicaSet `made`, and of the Deployment for what could not become one."""
    pods = owned(things, made, "Pod") if made else []
    found = [
        (deployment, _cut(condition["message"])) for condition in _conditions(deployment, "ReplicaFailure", "True")
    ]
    for pod in pods:
        said = [*_unscheduled(pod), *_containers(pod), *_events(pod, things)]
        found += [(pod, sentence) for sentence in dict.fromkeys(said)]
    return found


def events(deployment: Object, outcome: str, found: list[Reason], now: str) -> list[Object]:
    """What `kubectl describe` shows of a rollout that failed: one of the Deployment with the outcome and all reasons, and one of each pod."""
    whole = [outcome, *(f"{thing['metadata']['name']}: {sentence}" for thing, sentence in found)]
    pods = {thing["metadata"]["name"]: thing for thing, _ in found if thing["kind"] == "Pod"}
    own = [_event(pod, [sentence for thing, sentence in found if thing is pod], now) for pod in pods.values()]
    return [_event(deployment, whole, now), *own]


def serving(deployment: Object, configs: list[Object] | None) -> str:
    """What a Deployment serves: revision, image, bundle; without the ConfigMaps nobody knows which."""
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    status = deployment.get("status", {})
    pods = f"{status.get('readyReplicas', 0)} of {deployment['spec'].get('replicas', 1)} pods ready"
    what = "unknown" if configs is None else bundle(container, configs) or "the embedded default"
    return f"{deployment['metadata']['name']}: revision {revision(deployment)}, {pods}, image {container['image']}, bundle {what}"


def config_names(deployment: Object) -> list[str]:
    """The ConfigMaps that the server takes its knobs from."""
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return [source["configMapRef"]["name"] for source in container.get("envFrom", ()) if "configMapRef" in source]


def bundle(container: Object, configs: list[Object]) -> str:
    """A variable of its own goes before those of ConfigMaps, and of these the last counts."""
    own = {variable["name"]: variable.get("value", "") for variable in container.get("env", ())}
    values = [config.get("data", {}).get("IMAGO_BUNDLE", "") for config in configs]
    return own.get("IMAGO_BUNDLE") or next((value for value in reversed(values) if value), "")


# ---- steps ---------------------------------------------------------------------------------


def _older(deployment: Object, sets: list[Object]) -> list[Object]:
    return [one for one in sets if 0 < revision(one) < revision(deployment)]


def _conditions(thing: Object, kind: str, status: str) -> list[Object]:
    found = thing.get("status", {}).get("conditions", ())
    return [one for one in found if one["type"] == kind and one["status"] == status]


def _unscheduled(pod: Object) -> list[str]:
    return [f"finds no node: {_cut(one.get('message', ''))}" for one in _conditions(pod, "PodScheduled", "False")]


def _containers(pod: Object) -> list[str]:
    status = pod.get("status", {})
    found: list[str] = []
    for one in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        found += _container(one)
    return found


def _container(status: Object) -> list[str]:
    """How it ended is the reason; that it waits to be started again says less."""
    now, last = status.get("state", {}), status.get("lastState", {})
    ended = now.get("terminated") or last.get("terminated")
    if ended and ended.get("exitCode"):
        said = _last_words(ended.get("message", "")) or ended.get("reason", "no message")
        return [f"container {status['name']} ended with {ended['exitCode']}: {said}"]
    waiting = now.get("waiting", {})
    if waiting.get("reason") and waiting["reason"] not in STARTING:
        return [f"container {status['name']} waits, {waiting['reason']}: {_cut(waiting.get('message', ''))}"]
    return []


def _events(pod: Object, things: list[Object]) -> list[str]:
    name = pod["metadata"]["name"]
    mine = (one for one in things if one["kind"] == "Event" and one["involvedObject"].get("name") == name)
    return [
        f"{one['reason']}: {_cut(one.get('message', ''))}"
        for one in mine
        if one.get("type") == "Warning" and one["reason"] not in REPEATED
    ]


def _event(thing: Object, sentences: list[str], now: str) -> Object:
    name, namespace = thing["metadata"]["name"], thing["metadata"]["namespace"]
    involved = {key: thing["metadata"][key] for key in ("name", "namespace", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{name}.", "namespace": namespace},
        "involvedObject": {"apiVersion": thing["apiVersion"], "kind": thing["kind"]} | involved,
        "type": "Warning",
        "reason": UNREADY,
        "message": "; ".join(sentences)[:MESSAGE],
        "source": {"component": "imago-deploy"},
        "reportingComponent": "imago-deploy",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _last_words(message: str) -> str:
    """Imago's own sentence, or else the last line."""
    lines = [line for line in message.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("imago: ")]
    return _cut((own or lines or [""])[-1])


def _cut(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= 400 else text[:397] + "..."
