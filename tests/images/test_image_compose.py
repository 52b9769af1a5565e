"""compose.yaml: started as it stands where Compose is here, and looked at in any case."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import requests

pytestmark = pytest.mark.images

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker" / "compose.yaml"


@pytest.fixture
def compose(docker, server_image, free_port):
    """(*words) runs Compose on a project of its own."""
    program = _program(docker)
    if not program:
        pytest.skip("neither `docker compose` nor docker-compose is here")
    env = docker.env | {"IMAGO_IMAGE": server_image, "IMAGO_PORT": str(free_port)}

    def run(*words):
        command = [*program, "-p", "imago-test", "-f", FILE, *words]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    run("down", "--volumes")


def _program(docker):
    if not docker("compose", "version", check=False).returncode:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else []


def test_one_machine_is_served_by_compose(docker, compose, free_port, png):
    compose("up", "-d", "--no-build")
    assert _ready(f"http://127.0.0.1:{free_port}")
    answer = requests.post(f"http://127.0.0.1:{free_port}/classify", files={"image": png}, timeout=60)
    assert answer.status_code == 200


def test_its_server_is_confined_and_listens_on_this_machine_only(docker, compose, free_port):
    compose("up", "-d", "--no-build")
    found = docker.inspect(compose("ps", "-q", "server").strip())
    host = found["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["SecurityOpt"]) == (True, ["ALL"], ["no-new-privileges:true"])
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert (host["Memory"], host["PidsLimit"]) == (2 << 30, 256)
    assert found["NetworkSettings"]["Ports"]["5000/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": str(free_port)}]


def test_training_starts_only_when_it_is_asked_for(docker, compose):
    compose("up", "-d", "--no-build")
    started = docker(
        "ps",
        "--filter",
        "label=com.docker.compose.project=imago-test",
        "--format",
        '{{.Label "com.docker.compose.service"}}',
    )
    assert started.stdout.split() == ["server"]
    assert "training" in compose("--profile", "training", "config", "--services").split()


def test_training_works_in_the_folder_of_the_repository():
    """Names are looked for beside compose.yaml, wherever Compose is started."""
    work = re.search(r"- \$\{IMAGO_WORK:-(.+)\}:/work\b", FILE.read_text())[1]
    assert (FILE.parent / work).resolve() == ROOT


def test_compose_waits_longer_than_the_server_drains():
    yaml = pytest.importorskip("yaml", reason="of the dev extra")
    from server.config import Config

    server = yaml.safe_load(FILE.read_text())["services"]["server"]
    fields = Config.model_fields
    assert (
        int(server["stop_grace_period"].rstrip("s")) > fields["unready_ms"].default / 1000 + fields["drain_s"].default
    )


def _ready(url, timeout_s=120):
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        try:
            if requests.get(url + "/readyz", timeout=5).ok:
                return True
        except requests.RequestException:
            pass
        time.sleep(0.1)
    return False
