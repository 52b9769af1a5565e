"""Docker's command line for build.py and push.py: what it says told as sentences, and a login that nothing is left of."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

# What docker says -> what to do; the first that is found counts.
SENTENCES = {
    r"Cannot connect to the Docker daemon|error during connect|Is the docker daemon running": "no Docker daemon answers; start it, or set DOCKER_HOST",
    r"permission denied.* docker daemon socket|dial unix .*permission denied": "this user may not use the Docker daemon; join the group docker, or use sudo",
    r"no space left on device|disk quota exceeded": "the disk is full; `docker system df` shows what takes the room, `docker system prune` frees it",
    r"immutable|cannot be overwritten": "this tag is there with other content, and tags do not change; commit, and push again",
    r"token has expired|expired token": "the login at {host} has expired; docker login {host}",
    r"401 Unauthorized|unauthorized:|no basic auth credentials|authentication required": "{host} does not take the login that docker has, if any; docker login {host}",
    r"denied": "{host} does not let this login push there; ask for the right to, or correct the repository's name",
    r"name unknown|repository .*not found": "{host} has no such repository; make it there, or correct its name",
    r"no such host|server misbehaving": "{host} is not found; is that its name, and is there a network?",
    r"x509:|certificate": "the certificate of {host} is not believed here; put its CA into /etc/docker/certs.d/{host}/ca.crt",
    r"connection refused|i/o timeout|Client\.Timeout|\bEOF\b": "{host} does not answer; try again later",
}


def tried(*words: str, env: dict[str, str] | None = None, given: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["docker", *words], env=env, input=given, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        end("there is no docker here; install it (Debian's docker.io)")


def checked(done: subprocess.CompletedProcess[str], name: str) -> str:
    if done.returncode:
        end(sentence(done.stderr, name))
    return done.stdout


def end(text: str) -> NoReturn:
    """Ends the program, which says who it is."""
    sys.exit(f"{Path(sys.argv[0]).stem}: {text}")


def sentence(text: str, name: str) -> str:
    for pattern, found in SENTENCES.items():
        if re.search(pattern, text, re.IGNORECASE):
            return f"{name}: " + found.format(host=host(name))
    return f"{name}: docker says: {(text.strip().splitlines() or ['nothing'])[-1]}"


def host(name: str) -> str:
    return name.partition("/")[0]


def insecure(registry: str) -> bool:
    """Whether the daemon speaks to it without TLS, or without looking at its certificate."""
    if re.match(r"(localhost|127\.[\d.]+)(:|$)", registry):
        return True
    done = tried("info", "--format", "{{json .RegistryConfig.IndexConfigs}}")
    known: dict[str, dict[str, bool]] = json.loads(done.stdout or "{}") or {}
    return not known.get(registry, {}).get("Secure", True)


@contextmanager
def logged_in(registry: str, password: str) -> Iterator[dict[str, str]]:
    """The environment of a docker whose only login is this one; nothing of it is left, nor ever on a disk where memory can be had."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    endpoint = checked(tried("context", "inspect", "--format", "{{.Endpoints.docker.Host}}"), registry).strip()
    with tempfile.TemporaryDirectory(prefix="imago-docker-", dir=memory) as folder:
        # An entry, so that docker does not look for a keychain to leave the password in.
        _removed_when_broken_off(folder)
        Path(folder, "config.json").write_text(json.dumps({"auths": {registry: {}}}))
        env = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
        env |= {"DOCKER_CONFIG": folder, "DOCKER_HOST": endpoint}
        words = ("login", "--username", "AWS", "--password-stdin", registry)
        checked(tried(*words, env=env, given=password), registry)
        yield env


def _removed_when_broken_off(folder: str) -> None:
    """Not by an exception: one that is raised while Python ends an object is lost, and the push would go on."""

    def ended(number: int, _: object) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(128 + number)

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, ended)
