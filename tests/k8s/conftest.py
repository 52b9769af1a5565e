import functools
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from server import config

ROOT = Path(__file__).resolve().parents[2]
KUSTOMIZATIONS = [*ROOT.glob("k8s/overlays/*/kustomization.yaml"), *ROOT.glob("k8s/components/*/kustomization.yaml")]
VARIANTS = sorted(path.parent.relative_to(ROOT / "k8s").as_posix() for path in KUSTOMIZATIONS)
# The first whose kustomize knows components.
OLDEST = 21


@dataclass
class Server:
    """A Deployment of the server: its pod's specification, the container in it, and what its knobs come to."""

    deployment: dict
    pod: dict
    container: dict
    knobs: config.Config

    @property
    def containers(self):
        return [*self.pod.get("initContainers", ()), self.container]


class Objects(list):
    """What is applied."""

    def of(self, kind):
        return [found for found in self if found["kind"] == kind]

    def one(self, kind):
        (found,) = self.of(kind)
        return found

    @property
    def servers(self):
        return [self._server(found) for found in self.of("Deployment")]

    @property
    def server(self):
        (found,) = self.servers
        return found

    def _server(self, deployment):
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        (source,) = container["envFrom"]
        (found,) = [o for o in self.of("ConfigMap") if o["metadata"]["name"] == source["configMapRef"]["name"]]
        knobs = {name.removeprefix(config.PREFIX).lower(): value for name, value in found["data"].items()}
        return Server(deployment, pod, container, config.Config(**knobs))


def _version(path):
    """The minor version of a kubectl."""
    done = subprocess.run([path, "version", "--client", "--output=json"], capture_output=True, text=True)
    return int(json.loads(done.stdout)["clientVersion"]["minor"].rstrip("+")) if not done.returncode else 0


@pytest.fixture(scope="session")
def kubectl():
    """A kubectl that renders: that of `make kubectl`, or this machine's."""
    found = [str(ROOT / ".kubectl" / "kubectl"), shutil.which("kubectl")]
    good = [path for path in found if path and os.access(path, os.X_OK) and _version(path) >= OLDEST]
    if not good:
        pytest.skip(f"no kubectl of 1.{OLDEST} or later here; on Debian: make kubectl")
    return good[0]


@pytest.fixture(scope="session")
def rendered(kubectl, tmp_path_factory):
    """("overlays/NAME", "base", or components, blanks between them) -> Objects; components' are over the base."""
    yaml = pytest.importorskip("yaml", reason="of the dev extra")

    @functools.cache
    def run(name):
        folder = ROOT / "k8s" / name
        if name.startswith("components/"):
            folder = tmp_path_factory.mktemp("over")
            base, *more = (os.path.relpath(ROOT / "k8s" / part, folder) for part in ("base", *name.split()))
            (folder / "kustomization.yaml").write_text(f"resources: [{base}]\ncomponents: [{', '.join(more)}]\n")
        done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), name
        return Objects(yaml.safe_load_all(done.stdout))

    return run


@pytest.fixture(scope="session")
def variants(rendered):
    return {name: rendered(name) for name in VARIANTS}


@pytest.fixture(params=VARIANTS)
def objects(request, rendered):
    return rendered(request.param)


@pytest.fixture(params=["overlays/eks", "overlays/gpu", "overlays/canary"])
def aws(request, rendered):
    """The Objects of an overlay for EKS."""
    return rendered(request.param)
