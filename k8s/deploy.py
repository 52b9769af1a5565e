"""`make deploy` and `make rollback`: an overlay is applied and watched, and what does not get ready is taken back with its reason.

    python3 k8s/deploy.py deploy OVERLAY [--namespace imago] [--timeout-s 1800]
    python3 k8s/deploy.py rollback [OVERLAY] [--namespace imago] [--deployment imago] [--to-revision N]

Exit status 1 where the rollout failed, even though the old pods serve. Taken back are Deployments, with their image and ConfigMap; the
other objects of the overlay stay as applied. Why it failed stands in the events of the Deployment and its pods for an hour, too.
KUBECTL names the program (and its options), KUBECONFIG the cluster.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path

from kubectl import kubectl, meaning, refused, tried
from reasons import (
    FAILED,
    Object,
    Reason,
    before,
    config_names,
    current,
    events,
    owned,
    reasons,
    revision,
    serving,
    still_serving,
)

OVERLAYS = Path(__file__).resolve().parent / "overlays"
PLACEHOLDER = re.compile(r"\S*(?:\b(?:ACCOUNT|REGION|BUCKET|NAME-ID8)\b|sha256:0{64})\S*")


def main() -> None:
    given = parsed()
    try:
        where(given.namespace)
        deploy(given) if given.verb == "deploy" else rollback(given)
    except KeyboardInterrupt:
        sys.exit("deploy: broken off; what was applied goes on rolling out, unwatched")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("deploy", "rollback"))
    parser.add_argument("overlay", nargs="?", help="a folder of k8s/overlays, or the path of one elsewhere")
    parser.add_argument("--namespace", default="imago", help="where the Deployment is (default: imago)")
    parser.add_argument("--deployment", default="imago", help="what is rolled back (default: imago)")
    parser.add_argument("--timeout-s", type=int, default=1800, help="of each rollout (default: 1800)")
    parser.add_argument("--to-revision", type=int, help="what to roll back to (default: the last good one)")
    given = parser.parse_args()
    if given.timeout_s < 1:
        parser.error("--timeout-s: wanted 1 or more")
    if given.verb == "deploy" and not given.overlay:
        parser.error("deploy needs an overlay")
    return given


# ---- verbs ---------------------------------------------------------------------------------


def deploy(given: argparse.Namespace) -> None:
    overlay = folder(given.overlay)
    names = deployments(checked(overlay, given.namespace), given.namespace)
    say(kubectl("apply", "-k", overlay).strip())
    applied = [deployment_of(name, given.namespace) for name in names]
    failed = [one["metadata"]["name"] for one in applied if not rolled_out(one, given)]
    if failed:
        sys.exit(f"deploy: failed: {', '.join(failed)}")


def rollback(given: argparse.Namespace) -> None:
    """What was left counts as failed then, so that the next one goes further back."""
    name = given.deployment
    deployment, sets = look(name, given.namespace)
    refuse_paused(deployment)
    target = given.to_revision or revision(before(deployment, sets) or {"metadata": {}})
    if not target:
        sys.exit(f"deploy: {name} has no earlier revision that did not fail; deploy one that works")
    say(f"rolling back {name} from revision {revision(deployment)} to {target}")
    undo(name, target, given.namespace)
    left, ready = current(deployment, sets), watched(name, given)
    deployment, sets = look(name, given.namespace)
    if not ready:
        explained(deployment, sets)
        sys.exit(f"deploy: the rollback of {name} did not get ready")
    mark(left, f"{FAILED}=true")
    mark(current(deployment, sets), f"{FAILED}-")
    print(served(deployment))


# ---- steps ---------------------------------------------------------------------------------


def where(namespace: str) -> None:
    """Says which cluster it is: the wrong one is noticed before anything is done."""
    context = kubectl("config", "current-context").strip()
    server = kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    say(f"context {context}, cluster {server}, namespace {namespace}")


def folder(overlay: str) -> Path:
    for path in (OVERLAYS / overlay, Path(overlay)):
        if (path / "kustomization.yaml").is_file():
            return path
    names = ", ".join(sorted(path.parent.name for path in OVERLAYS.glob("*/kustomization.yaml")))
    sys.exit(f"deploy: {overlay}: no such overlay; there are {names or 'none'}")


def checked(overlay: Path, namespace: str) -> list[Object]:
    """What the cluster would make of the overlay; nothing is changed, but for a namespace that is not there yet."""
    left = PLACEHOLDER.search(kubectl("kustomize", overlay))
    if left:
        sys.exit(f"deploy: {overlay}: still has {left[0]}; make push writes the image, the rest is yours to fill in")
    words = ("apply", "-k", overlay, "--dry-run=server", "-o", "json")
    done = tried(*words)
    if done.returncode and f'namespaces "{namespace}" not found' in done.stderr:
        say(kubectl("create", "namespace", namespace).strip())
        done = tried(*words)
    found = json.loads(done.stdout if done.returncode == 0 else refused(done))
    things: list[Object] = found["items"] if found["kind"] == "List" else [found]
    return things


def deployments(things: list[Object], namespace: str) -> list[str]:
    found = [thing for thing in things if thing["kind"] == "Deployment"]
    for one in found:
        theirs = one["metadata"]["namespace"]
        if theirs != namespace:
            sys.exit(f"deploy: the overlay is for namespace {theirs}, not {namespace}; say NAMESPACE={theirs}")
        refuse_paused(one)
    return [one["metadata"]["name"] for one in found]


def refuse_paused(deployment: Object) -> None:
    """Nothing of it would roll, nor could be undone."""
    if deployment["spec"].get("paused"):
        name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
        sys.exit(f"deploy: {name} is paused; kubectl -n {namespace} rollout resume deployment/{name}, then once more")


def rolled_out(applied: Object, given: argparse.Namespace) -> bool:
    """Whether it got ready; where not, why is said, and it goes back to the revision that still serves."""
    name = applied["metadata"]["name"]
    ready = watched(name, given)
    deployment, sets = look(name, given.namespace)
    if deployment["spec"]["template"] != applied["spec"]["template"]:
        say(f"{name}: somebody else changed it meanwhile, to revision {revision(deployment)}; it is left as it is")
    elif ready:
        mark(current(deployment, sets), f"{FAILED}-")
        print(served(deployment))
        return True
    else:
        take_back(deployment, sets, given)
    return False


def take_back(deployment: Object, sets: list[Object], given: argparse.Namespace) -> None:
    name, found, good = deployment["metadata"]["name"], explained(deployment, sets), still_serving(deployment, sets)
    if not good:
        say(f"{name}: no older revision has a ready pod to go back to; it is left as it is")
        record(events(deployment, f"revision {revision(deployment)} did not get ready", found, now()))
        return
    outcome = f"revision {revision(deployment)} is taken back, {revision(good)} still serves"
    say(f"{name}: {outcome}")
    record(events(deployment, outcome, found, now()))
    mark(current(deployment, sets), f"{FAILED}=true")
    undo(name, revision(good), given.namespace)
    ready = watched(name, given)
    deployment, sets = look(name, given.namespace)
    if not ready:
        explained(deployment, sets)
    print(served(deployment))


def watched(name: str, given: argparse.Namespace) -> bool:
    """Whether it got ready in time; a cluster that is lost meanwhile ends the program, and nothing is taken back."""
    words = ("-n", given.namespace, "rollout", "status", f"deployment/{name}", f"--timeout={given.timeout_s}s")
    done = tried(*words, stdout=sys.stderr)
    if done.returncode and not re.search("progress deadline|timed out waiting", done.stderr):
        sys.exit(f"deploy: {meaning(done)}; {name} goes on rolling out unwatched")
    if done.returncode:
        say(done.stderr.strip())
    return done.returncode == 0


def deployment_of(name: str, namespace: str) -> Object:
    found: Object = json.loads(kubectl("-n", namespace, "get", "deployment", name, "-o", "json"))
    return found


def look(name: str, namespace: str) -> tuple[Object, list[Object]]:
    """The Deployment and its ReplicaSets."""
    deployment = deployment_of(name, namespace)
    sets = json.loads(kubectl("-n", namespace, "get", "replicasets", "-o", "json"))["items"]
    return deployment, owned(sets, deployment, "ReplicaSet")


def explained(deployment: Object, sets: list[Object]) -> list[Reason]:
    """The reasons, which are said; who may not read pods or events is told so in their place."""
    done = tried("-n", deployment["metadata"]["namespace"], "get", "pods,events", "-o", "json")
    things = json.loads(done.stdout)["items"] if done.stdout else []
    found = reasons(deployment, current(deployment, sets), things)
    for thing, sentence in found:
        say(f"{thing['metadata']['name']}: {sentence}")
    if done.returncode:
        say(meaning(done))
    elif not found:
        say(f"{deployment['metadata']['name']}: its pods say nothing; kubectl describe pods")
    return found


def record(made: list[Object]) -> None:
    """For everybody who asks the cluster; who may not write events goes without."""
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
    done = tried("create", "-f", "-", content=content)
    if done.returncode:
        say(f"no event says so: {meaning(done)}")


def served(deployment: Object) -> str:
    words = ("-n", deployment["metadata"]["namespace"], "get", "configmap", "--ignore-not-found", "-o", "json")
    answers = [tried(*words, config) for config in config_names(deployment)]
    unread = any(answer.returncode for answer in answers)
    return serving(deployment, None if unread else [json.loads(one.stdout) for one in answers if one.stdout])


def mark(made: Object | None, label: str) -> None:
    """A label on a ReplicaSet, by which `before` passes it over; who may not set it goes without."""
    if made:
        name, namespace = made["metadata"]["name"], made["metadata"]["namespace"]
        tried("-n", namespace, "label", "--overwrite", "replicaset", name, label)


def undo(name: str, target: int, namespace: str) -> None:
    kubectl("-n", namespace, "rollout", "undo", f"deployment/{name}", f"--to-revision={target}")


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
