import functools
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The first whose kustomize knows components.
OLDEST = 21


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
    """("overlays/NAME", "base", or components, blanks between them) -> the objects that are applied; components' over the base."""
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
        return list(yaml.safe_load_all(done.stdout))

    return run
