"""A Docker daemon of the tests' own and a base image; it ends with its context, and binds to this machine only.

Tests find nothing by import: conftest.py loads this file by its path.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What Debian installs: another docker on the path may come without BuildKit's client.
DOCKER = "/usr/bin/docker"
# A finished root folder of debootstrap, so that a run need not make one.
ROOTFS = "IMAGO_TEST_ROOTFS"
PACKAGES = "ca-certificates,python3,python3-venv,python3-pip"
# What Debian's slim images and the official Python image leave out, too.
LEFT_OUT = (
    "./dev/*",
    "./usr/share/doc/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./var/cache/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
    "__pycache__",
    "./usr/lib/python3.11/test",
)


def missing(*programs):
    """Why no daemon can be started here; empty where one can."""
    if os.geteuid() != 0:
        return "a Docker daemon of the tests' own needs root"
    wanted = ("dockerd", DOCKER, "runc", "containerd", "ip", *programs)
    absent = [name for name in wanted if not shutil.which(name)]
    return f"not installed: {', '.join(absent)} (Debian's docker.io, iproute2, docker-registry ...)" if absent else ""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@dataclass(frozen=True)
class Docker:
    """The client of one daemon; docker("ps", "-q") runs a command, and its configuration is the daemon's own."""

    folder: Path

    @property
    def env(self):
        """For programs that run docker themselves."""
        return os.environ | {
            "DOCKER_HOST": f"unix://{self.folder}/docker.sock",
            "DOCKER_CONFIG": str(self.folder / "config"),
            "DOCKER_BUILDKIT": "1",
            "PATH": f"{Path(DOCKER).parent}:{os.environ['PATH']}",
        }

    def __call__(self, *words, timeout=300, check=True, **options):
        done = subprocess.run(
            [DOCKER, *map(str, words)], env=self.env, capture_output=True, text=True, timeout=timeout, **options
        )
        assert done.returncode == 0 or not check, f"docker {' '.join(map(str, words))}: {done.stdout}{done.stderr}"
        return done

    def inspect(self, name):
        return json.loads(self("inspect", name).stdout)[0]

    def make(self, image, *words, timeout=1200):
        """`make image`: the name of what docker/build.py built on this machine's network."""
        command = [sys.executable, ROOT / "docker" / "build.py", image, "--network=host", *words]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @contextmanager
    def container(self, *words, port=5000):
        """`docker run -d` with its port published on one of this machine that Docker takes; it is removed at the end."""
        name = f"imago-{secrets.token_hex(4)}"
        try:
            self("run", "-d", "--name", name, "-p", f"127.0.0.1::{port}", *words)
            published = self.inspect(name)["NetworkSettings"]["Ports"].get(f"{port}/tcp")
            yield Container(self, name, f"http://127.0.0.1:{published[0]['HostPort']}" if published else "")
        finally:
            self("rm", "-f", "-v", name, check=False)


@dataclass(frozen=True)
class Container:
    docker: Docker
    name: str
    url: str  # empty on the machine's own network, and where it ended at once

    @property
    def state(self):
        return self.docker.inspect(self.name)["State"]

    @property
    def log(self):
        done = self.docker("logs", self.name)
        return done.stdout + done.stderr

    def run(self, *words, check=True):
        """A command in it, by the user that it runs as."""
        return self.docker("exec", self.name, *words, check=check)

    def wait(self, path="/readyz", timeout_s=120):
        """Until it answers 200 there."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(self.url + path, timeout=5):
                return self
            time.sleep(0.02)
        raise AssertionError(f"{self.name} did not answer at {path}: {self.state} {self.log}")

    def health(self, wanted, timeout_s=120):
        """Until Docker calls it that; the output of its last check."""
        until = time.monotonic() + timeout_s
        while (health := self.state["Health"])["Status"] != wanted:
            assert time.monotonic() < until, f"{wanted} wanted, {health}: {self.log}"
            time.sleep(0.1)
        return health["Log"][-1]["Output"] if health["Log"] else ""


@contextmanager
def daemon():
    """A daemon with data, socket and bridge of its own, and no hand on this machine's firewall."""
    folder = Path(tempfile.mkdtemp(prefix="imago-dockerd-"))  # a socket's path is at most 108 bytes long
    try:
        with _bridge() as bridge, _dockerd(folder, bridge) as docker:
            yield docker
    finally:
        # A namespace that a daemon leaves mounted.
        subprocess.run(["umount", folder / "exec" / "netns" / "default"], capture_output=True, check=False, timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _bridge():
    """Containers reach no other daemon's by it; published ports go through Docker's own proxy."""
    name, network = f"imago{secrets.token_hex(3)}", _network()
    for words in (("link", "add", name, "type", "bridge"), ("addr", "add", network, "dev", name)):
        subprocess.run(["ip", *words], check=True, timeout=30)
    try:
        subprocess.run(["ip", "link", "set", name, "up"], check=True, timeout=30)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=False, timeout=30)


def _network():
    """Not where clusters have theirs, and no other daemon of these tests."""
    taken = subprocess.run(["ip", "-o", "addr"], check=True, capture_output=True, text=True, timeout=30).stdout
    free = [f"172.{24 + number // 256}.{number % 256}.1/24" for number in range(6 * 256)]
    return secrets.choice([network for network in free if f" {network} " not in taken])


@contextmanager
def _dockerd(folder, bridge):
    words = ["dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec", "--bridge", bridge]
    words += ["-H", f"unix://{folder}/docker.sock", "--pidfile", folder / "docker.pid"]
    words += ["--iptables=false", "--ip6tables=false", "--ip-masq=false"]
    (folder / "config").mkdir()
    docker, log = Docker(folder), folder / "dockerd.log"
    with log.open("wb") as file:
        process = subprocess.Popen(list(map(str, words)), stdout=file, stderr=file)
    try:
        until = time.monotonic() + 120
        while docker("version", check=False).returncode:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield docker
    finally:
        process.terminate()  # its containers end with it
        try:
            process.wait(120)
        finally:
            process.kill()


def base_image(docker, name="imago-test/python:3.11-slim-bookworm"):
    """Debian's Python under a name of our own, as bare as the official slim image; made by debootstrap where none is given."""
    given = os.environ.get(ROOTFS)
    with tempfile.TemporaryDirectory(prefix="imago-rootfs-") as folder:
        rootfs = Path(given or folder)
        if not given:
            command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", folder]
            subprocess.run(command, check=True, capture_output=True, timeout=600)
        archive = Path(folder).with_suffix(".tar")
        try:
            words = [f"--exclude={path}" for path in LEFT_OUT]
            subprocess.run(["tar", "-C", rootfs, *words, "-cf", archive, "."], check=True)
            docker("import", "--change", 'CMD ["python3"]', archive, name)
        finally:
            archive.unlink(missing_ok=True)
    return name


def save(docker, image, path):
    """The image as an archive, for another daemon."""
    docker("save", "-o", path, image)
    return path
