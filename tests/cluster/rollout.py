"""What is rolled out: the overlay with an image and a bundle, and what the cluster says of it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

OVERLAY = Path(__file__).with_name("overlay")
SCALED = OVERLAY.with_name("scaled")
SCRIPT = OVERLAY.parents[2] / "k8s" / "deploy.py"
S3 = OVERLAY.parents[2] / "k8s" / "components" / "s3"
SECRET, KEY = "kubernetes.io/dockerconfigjson", ".dockerconfigjson"
NAME = "app.kubernetes.io/name=imago"


@dataclass
class Rollout:
    machine: object
    folder: Path
    image: str  # HOST:PORT/imago-server
    storage: dict[str, str]  # what leads a pod to the S3
    login: str  # to the registry, as Docker keeps it

    def apply(self, tag: str, bundle: str = "", overlay: Path = OVERLAY) -> None:
        """Declares it, with a bundle of S3 or the embedded ones; what changes begins to roll."""
        self.declare(tag, bundle, overlay)
        self.machine.kubectl("apply", "-k", self.folder)

    def deploy(self, tag: str, bundle: str) -> subprocess.CompletedProcess:
        """`make deploy` of it."""
        self.declare(tag, bundle)
        config = {"KUBECONFIG": str(self.machine.folder / "admin.kubeconfig")}
        command = [sys.executable, SCRIPT, "deploy", self.folder]
        return subprocess.run(command, env=os.environ | config, capture_output=True, text=True, timeout=300)

    def declare(self, tag: str, bundle: str, overlay: Path = OVERLAY) -> None:
        knobs = self.storage | {"IMAGO_BUNDLE": bundle} if bundle else {}
        content = {
            "namespace": "imago",
            "resources": [self._from_here(overlay)],
            "components": [self._from_here(S3)] if bundle else [],
            "images": [{"name": "imago-server", "newName": self.image, "newTag": tag}],
            "configMapGenerator": [{"name": "imago", "behavior": "merge", "literals": _literals(knobs)}],
            "secretGenerator": [{"name": "registry", "type": SECRET, "literals": _literals({KEY: self.login})}],
        }
        (self.folder / "kustomization.yaml").write_text(json.dumps(content))

    def _from_here(self, path: Path) -> str:
        return os.path.relpath(path, self.folder)

    def status(self, timeout_s: int = 120) -> str:
        """Waits for it: what kubectl says last."""
        words = ("rollout", "status", "deployment/imago", f"--timeout={timeout_s}s")
        config = self.machine.folder / "admin.kubeconfig"
        done = subprocess.run(["kubectl", "--kubeconfig", config, *words], capture_output=True, text=True)
        return (done.stdout + done.stderr).strip().splitlines()[-1]

    def why(self) -> str:
        """What its containers say of how they are and how they ended."""
        return "\n".join(f"{pod['metadata']['name']}: {state}" for pod in self.pods() for state in states(pod))

    def events(self, reason: str) -> dict[str, str]:
        """The newest message of each kind of object."""
        found = self.machine.api(f"/api/v1/namespaces/imago/events?fieldSelector=reason={reason}")["items"]
        found.sort(key=lambda event: event["lastTimestamp"])
        return {event["involvedObject"]["kind"]: event["message"] for event in found}

    def undo(self) -> None:
        self.machine.kubectl("rollout", "undo", "deployment/imago")

    def pods(self) -> list[dict]:
        return self.machine.api(f"/api/v1/namespaces/imago/pods?labelSelector={NAME}")["items"]

    def ready(self) -> int:
        """How many pods of it serve."""
        return sum(map(ready, self.pods()))

    def settle(self) -> None:
        """Waits until two pods serve, and no other is there any more."""
        self.wait(lambda: len(self.pods()) == 2 and self.ready() == 2)

    def wait(self, what, timeout_s: float = 120) -> None:
        until = time.monotonic() + timeout_s
        while not what():
            assert time.monotonic() < until, f"{self.why()}\nscaler: {self.scaler()}"
            time.sleep(0.2)

    def scaler(self) -> dict:
        """What the HorizontalPodAutoscaler says of itself."""
        return self.machine.api("/apis/autoscaling/v2beta2/namespaces/imago/horizontalpodautoscalers/imago")["status"]

    def start(self) -> dict[str, float]:
        """Seconds from a third pod's binding to the node until it serves, and how many of them since its server's process began."""
        old = {pod["metadata"]["name"] for pod in self.pods()}
        self.machine.kubectl("scale", "deployment/imago", "--replicas=3")
        bound = 0.0
        while True:
            for pod in self.pods():
                if pod["metadata"]["name"] not in old and condition(pod, "PodScheduled"):
                    now = time.clock_gettime(time.CLOCK_BOOTTIME)
                    bound = bound or now
                    if ready(pod):
                        began = self.machine.began(pod["status"]["containerStatuses"][0]["containerID"])
                        self.machine.kubectl("scale", "deployment/imago", "--replicas=2")
                        self.settle()
                        return {"ready after its binding": now - bound, "ready after its start": now - began}
            time.sleep(0.02)

    def evict(self, name: str) -> None:
        """Raises HTTPError 429 while the budget does not allow it."""
        body = {"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name, "namespace": "imago"}}
        self.machine.api(f"/api/v1/namespaces/imago/pods/{name}/eviction", body)

    @property
    def address(self) -> str:
        """Of the service, as pods and this machine reach it."""
        return self.machine.api("/api/v1/namespaces/imago/services/imago")["spec"]["clusterIP"] + ":80"


def _literals(values: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]


def condition(pod: dict, kind: str) -> bool:
    return any(found["type"] == kind and found["status"] == "True" for found in pod["status"].get("conditions", []))


def ready(pod: dict) -> bool:
    return condition(pod, "Ready") and "deletionTimestamp" not in pod["metadata"]


def states(pod: dict) -> list[dict]:
    kinds = ("initContainerStatuses", "containerStatuses")
    found = [status for kind in kinds for status in pod["status"].get(kind, [])]
    return [
        state
        for status in found
        for state in (status["state"], status["lastState"])
        if "running" not in state and state
    ]
