"""A small repository of our own with the real scripts in it, an ECR, and the daemon and registry of the tests of images."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OVERLAY = """# What make push writes.
resources:
  - ../../base
images:  # by digest
  # The server.
  - name: imago-server
    newName: ACCOUNT.dkr.ecr.REGION.amazonaws.com/imago
    digest: sha256:0000000000000000000000000000000000000000000000000000000000000000  # of the push
  - name: other
    newTag: "1"
# A new model: its id here.
configMapGenerator:
  - name: imago
    literals: [IMAGO_BUNDLE=s3://shop/models/tiny-12345678]
"""


def _module(path):
    """A file that is no module of a package."""
    spec = importlib.util.spec_from_file_location(f"imago_{path.parent.name}_{path.stem}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


images = _module(ROOT / "tests" / "images" / "conftest.py")
amazon, plane = (_module(Path(__file__).with_name(f"{name}.py")) for name in ("amazon", "plane"))
containers, registries, docker, registry = images.containers, images.registries, images.docker, images.registry


@pytest.fixture(scope="session")
def pin():
    return _module(ROOT / "docker" / "pin.py")


@pytest.fixture(scope="session")
def client():
    return _module(ROOT / "docker" / "client.py")


@pytest.fixture(scope="session")
def reasons():
    return _module(ROOT / "k8s" / "reasons.py")


@pytest.fixture(scope="session")
def overlay_text():
    return OVERLAY


@dataclass(frozen=True)
class Repository:
    """git("commit", ...) and push(REPOSITORY, ...) run in it; `env` is that of all programs."""

    folder: Path
    env: dict

    def git(self, *words):
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *words]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def push(self, *words, **env):
        command = [sys.executable, "docker/push.py", *map(str, words)]
        env = {name: value for name, value in (self.env | env).items() if value is not None}
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=300)

    @property
    def overlay(self):
        return self.folder / "k8s" / "overlays" / "eks" / "kustomization.yaml"

    @property
    def revision(self):
        return self.git("rev-parse", "--short=12", "HEAD")


@pytest.fixture
def repository(tmp_path):
    """Committed, with an image that takes a second to build, for programs without a daemon."""
    folder = tmp_path / "repository"
    for name in ("build", "client", "ecr", "pin", "push"):
        (folder / "docker").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "docker" / f"{name}.py", folder / "docker")
    for name in ("pyproject.toml", "uv.lock", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    lines = ("FROM scratch", "COPY content /", "ARG REVISION", "LABEL org.opencontainers.image.revision=$REVISION")
    (folder / "docker" / "server.Dockerfile").write_text("\n".join(lines))
    (folder / "content").write_text(str(tmp_path))
    env = os.environ | {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "DOCKER_CONFIG": str(tmp_path / "docker")}
    made = Repository(folder, env)
    made.overlay.parent.mkdir(parents=True)
    made.overlay.write_text(OVERLAY)
    made.git("init", "-q")
    made.git("add", "-A")
    made.git("commit", "-qm", "first")
    return made


@pytest.fixture(scope="session")
def aws(s3):
    """The environment that leads to the AWS of the tests' own, and a client of its ECR."""
    import boto3

    with urllib.request.urlopen(f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/data.json", timeout=10) as answer:
        assert "s3" in json.load(answer)  # it is moto that listens there
    client = boto3.client("ecr", region_name="eu-west-1")
    yield client
    client.close()


@pytest.fixture(scope="session")
def ecr_daemon(containers, registries, aws, tmp_path_factory):
    """(docker, registry, environment) of a daemon for which Amazon's name is that of a registry of our own, with ECR's password."""
    if reason := containers.missing(*registries.PROGRAMS):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("amazon")
    with (
        registries.registry(folder, user="AWS", password=amazon.PASSWORD, name=amazon.HOST) as registry,
        amazon.proxy(int(registry.host.partition(":")[2])) as port,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        patch.setenv("SSL_CERT_FILE", str(registry.certificate))
        with containers.daemon() as docker:
            env = docker.env
            patch.undo()
            yield docker, registry, env


@pytest.fixture
def recorder(tmp_path):
    """A folder for PATH whose docker writes down its words and its configuration, and is the real one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    lines = (
        "#!/bin/sh",
        f'echo "$DOCKER_CONFIG $*" >> {folder}/said',
        'exec /usr/bin/docker "$@"',
    )
    (folder / "docker").write_text("\n".join(lines) + "\n")
    (folder / "docker").chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory):
    """The folder of its kubeconfigs."""
    if reason := plane.missing():
        pytest.skip(reason)
    with plane.running(tmp_path_factory.mktemp("plane")) as folder:
        yield folder
