"""A registry of the tests' own, with TLS and a password or without, on this machine only; it ends with its context. conftest.py loads this file by its path."""

import json
import re
import secrets
import ssl
import subprocess
import time
import urllib.request
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("docker-registry", "htpasswd", "openssl")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class Registry:
    """host is localhost:PORT, with TLS by a certificate of its own; nothing is pushed or pulled without the password."""

    host: str
    certificate: Path
    user: str
    password: str = field(repr=False)

    def ask(self, path):
        """JSON of /v2/PATH."""
        login = b64encode(f"{self.user}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Accept": MANIFEST}
        request = urllib.request.Request(f"https://{self.host}/v2/{path}", headers=headers)
        context = ssl.create_default_context(cafile=str(self.certificate))
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return json.load(answer)

    def layers(self, repository, digest):
        """Bytes of each layer as pushed: compressed, the base's first."""
        return [layer["size"] for layer in self.ask(f"{repository}/manifests/{digest}")["layers"]]


@contextmanager
def registry(folder, *, user="ci", password=None, name="localhost"):
    """Debian's docker-registry on a port that it takes itself; its certificate is good for `name`, too.

    Docker takes any certificate from localhost; `Registry.ask` and other clients look at it.
    """
    password = password or secrets.token_urlsafe(24)
    certificate = _certificate(folder, name)
    _htpasswd(folder, user, password)
    auth = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    tls = {"certificate": str(certificate), "key": str(folder / "registry.key")}
    with _served(folder, {"tls": tls}, auth=auth) as port:
        yield Registry(f"localhost:{port}", certificate, user, password)


@contextmanager
def plain(folder):
    """The host of one without TLS and without a password."""
    with _served(folder, {}) as port:
        yield f"localhost:{port}"


@contextmanager
def _served(folder, http, **more):
    storage = {"filesystem": {"rootdirectory": str(folder / "registry")}}
    http = {"addr": "127.0.0.1:0", "secret": secrets.token_hex(16), **http}
    configuration = {"version": "0.1", "storage": storage, "http": http, **more}
    (folder / "registry.json").write_text(json.dumps(configuration))  # JSON is YAML, too
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", folder / "registry.json"], stdout=log, stderr=log)
    try:
        yield _port(process, folder / "registry.log")
    finally:
        process.kill()  # nobody will ask for what it keeps
        process.wait(30)


def _certificate(folder, name):
    path = folder / "registry.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", folder / "registry.key", "-out", path, "-days", "2", "-subj", "/CN=tests"]
    command += ["-addext", f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return path


def _htpasswd(folder, user, password):
    command = ["htpasswd", "-Bin", user]
    done = subprocess.run(command, check=True, capture_output=True, input=password.encode(), timeout=60)
    (folder / "htpasswd").write_bytes(done.stdout.strip() + b"\n")


def _port(process, log, timeout_s=60):
    """What it says it listens on."""
    until = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < until:
        if found := re.search(r"listening on 127\.0\.0\.1:(\d+)\b", log.read_text()):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(f"the registry did not start: {log.read_text()}")
