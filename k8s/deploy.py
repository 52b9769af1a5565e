"""`make deploy` and `make rollback`: an overlay is applied and watched, and what does not get ready is taken back with its reason.

    python3 k8s/deploy.py deploy OVERLAY [--namespace imago] [--timeout-s 1800]
    python3 k8s/deploy.py rollback [OVERLAY] [--namespace imago] [--deployment imago] [--to-revision N]

Exit status 1 where the rollout failed, even though the old pods serve. Taken back are Deployments, with their image and ConfigMap; the
other objects of the overlay stay as applied. KUBECTL names the program (and its options), KUBECONFIG the cluster.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from reasons import FAILED, Object, before, config_names, current, owned, reasons, revision, serving, still_serving

OVERLAYS = Path(__file__).resolve().parent / "overlays"
KUBECTL = shlex.split(os.environ.get("KUBECTL", "kubectl"))
PLACEHOLDER = re.compile(r"\S*(?:\b(?:ACCOUNT|REGION|BUCKET|NAME-ID8)\b|sha256:0{64})\S*")
# What kubectl says -> what to do; the first that is found counts.
SENTENCES = {
    r"current-context is not set|no configuration has been provided": "no cluster is chosen; kubectl config use-context NAME, or set KUBECONFIG",
    r"must be logged in|Unauthorized|provide credentials|token has expired|ExpiredToken": "the cluster does not take these credentials; log in again (EKS: aws sso login, aws eks update-kubeconfig)",
    r"getting credentials|executable \S+ (?:not found|failed)": "the program that gets the cluster's credentials failed; see whether it is installed and logged in",
    r"forbidden": "not allowed: {line}",
    r"Unable to connect|connection refused|was refused|no such host|i/o timeout|TLS handshake|x509:": "the cluster does not answer: {line}",
    r"no matches for kind": "the cluster does not know a kind of the overlay: {line}",
    r"is immutable|may not change": "{line}; delete that object, then deploy again",
}


def main() -> None:
    given = parsed()
    try:
        where(given.namespace)
        deploy(given) if given.verb == "deploy" else rollback(given)
    except KeyboardInterrupt:
        sys.exit("deploy: broken off; what was applied goes on rolling out, make rollback takes it back")


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
    failed = [name for name in names if not rolled_out(name, given)]
    if failed:
        sys.exit(f"deploy: failed: {', '.join(failed)}")


def rollback(given: argparse.Namespace) -> None:
    deployment, sets, _ = look(given.deployment, given.namespace)
    target = given.to_revision or revision(before(deployment, sets) or {"metadata": {}})
    if not target:
        sys.exit(f"deploy: {given.deployment} has no earlier revision that did not fail; deploy one that works")
    say(f"rolling back {given.deployment} from revision {revision(deployment)} to {target}")
    undo(given.deployment, target, given.namespace)
    if not watched(given.deployment, given):
        explain(given.deployment, given.namespace)
        sys.exit(f"deploy: the rollback of {given.deployment} did not get ready")
    print(served(given.deployment, given.namespace))


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
    found = [thing["metadata"] for thing in things if thing["kind"] == "Deployment"]
    for one in found:
        if one["namespace"] != namespace:
            sys.exit(
                f"deploy: the overlay is for namespace {one['namespace']}, not {namespace}; say NAMESPACE={one['namespace']}"
            )
    return [one["name"] for one in found]


def rolled_out(name: str, given: argparse.Namespace) -> bool:
    """Whether it got ready; where not, why is said and the revision that still serves is taken back."""
    if watched(name, given):
        mark(name, given.namespace, f"{FAILED}-")
        print(served(name, given.namespace))
        return True
    explain(name, given.namespace)
    deployment, sets, _ = look(name, given.namespace)
    good = still_serving(deployment, sets)
    if not good:
        say(f"{name}: no older revision has a ready pod to go back to; it is left as it is")
        return False
    mark(name, given.namespace, f"{FAILED}=true")
    say(f"{name}: taking back revision {revision(deployment)}; {revision(good)} still serves")
    undo(name, revision(good), given.namespace)
    if not watched(name, given):
        explain(name, given.namespace)
    print(served(name, given.namespace))
    return False


def watched(name: str, given: argparse.Namespace) -> bool:
    """Whether it got ready in time; a cluster that is lost meanwhile ends the program, and nothing is taken back."""
    done = tried("-n", given.namespace, "rollout", "status", f"deployment/{name}", f"--timeout={given.timeout_s}s")
    say((done.stdout + done.stderr).strip().splitlines()[-1])
    if done.returncode and not re.search("progress deadline|timed out waiting", done.stderr):
        refused(done)
    return done.returncode == 0


def explain(name: str, namespace: str) -> None:
    deployment, sets, things = look(name, namespace)
    found = reasons(deployment, current(deployment, sets), things)
    for sentence in found or [f"{name}: its pods say nothing; kubectl -n {namespace} describe pods"]:
        say(sentence)


def look(name: str, namespace: str) -> tuple[Object, list[Object], list[Object]]:
    """The Deployment, its ReplicaSets, and these with all pods and events of the namespace."""
    deployment = json.loads(kubectl("-n", namespace, "get", "deployment", name, "-o", "json"))
    things = json.loads(kubectl("-n", namespace, "get", "replicasets,pods,events", "-o", "json"))["items"]
    return deployment, owned(things, deployment, "ReplicaSet"), things


def served(name: str, namespace: str) -> str:
    deployment, _, _ = look(name, namespace)
    words = ("-n", namespace, "get", "configmap", "--ignore-not-found", "-o", "json")
    answers = [kubectl(*words, config) for config in config_names(deployment)]
    return serving(deployment, [json.loads(answer) for answer in answers if answer])


def mark(name: str, namespace: str, label: str) -> None:
    """A label on the newest ReplicaSet, by which `before` passes it over; who may not set it goes without."""
    deployment, sets, _ = look(name, namespace)
    newest = current(deployment, sets)
    if newest:
        tried("-n", namespace, "label", "--overwrite", "replicaset", newest["metadata"]["name"], label)


def undo(name: str, target: int, namespace: str) -> None:
    kubectl("-n", namespace, "rollout", "undo", f"deployment/{name}", f"--to-revision={target}")


# ---- kubectl -------------------------------------------------------------------------------


def kubectl(*words: str | Path) -> str:
    done = tried(*words)
    return done.stdout if done.returncode == 0 else refused(done)


def tried(*words: str | Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run([*KUBECTL, *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        sys.exit(f"deploy: {KUBECTL[0]}: not found; install kubectl, or name it in KUBECTL")


def refused(done: subprocess.CompletedProcess[str]) -> NoReturn:
    """Ends the program with what the line that gives the reason means: the last that is known, of many for one reason."""
    lines = done.stderr.strip().splitlines() or ["kubectl said nothing"]
    for pattern, sentence in SENTENCES.items():
        found = [line for line in lines if re.search(pattern, line, re.IGNORECASE)]
        if found:
            sys.exit(f"deploy: {sentence.format(line=found[-1])}")
    sys.exit(f"deploy: kubectl: {lines[-1]}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
