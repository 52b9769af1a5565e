"""`make image`: builds an image and labels it with where it comes from. Prints its name.

    python3 docker/build.py server [--variant gpu] [--python-image NAME@sha256:...] [--repository NAME] [docker's own options]

The tag is the git revision, with -dirty where files were changed; NAME:latest is the same image on this machine.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from client import checked, end, tried

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ("server", "training", "converter")
PYTHON_IMAGE = "python:3.11-slim-bookworm"
# Where a company's proxy signs TLS, the system knows it.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", choices=IMAGES)
    parser.add_argument("--variant", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--python-image", default=PYTHON_IMAGE, help=f"the base (default: {PYTHON_IMAGE})")
    parser.add_argument("--repository", help="the image's name without a tag (default: imago-IMAGE)")
    parser.add_argument("--source", default="unknown", help="URL of the repository, for the label")
    given, more = parser.parse_known_args()
    if given.variant == "gpu" and given.image == "converter":
        parser.error("the converter has no gpu variant")
    revision = revised()
    repository = given.repository or f"imago-{given.image}"
    suffix = "-gpu" if given.variant == "gpu" else ""
    names = [f"{repository}:{revision}{suffix}", f"{repository}:latest{suffix}"]
    values = {**origin(revision), **based(given.python_image), "SOURCE": given.source, "VARIANT": given.variant}
    if given.image == "converter":
        del values["VARIANT"]
    build(f"docker/{given.image}.Dockerfile", names, values, more)
    print(names[0])


def build(file: str, names: list[str], values: dict[str, str], more: list[str]) -> None:
    words = [word for name in names for word in ("--tag", name)]
    words += [word for name, value in values.items() for word in ("--build-arg", f"{name}={value}")]
    if CERTIFICATES.is_file():
        words += ["--secret", f"id=ca,src={CERTIFICATES}"]
    command = ["docker", "build", "--file", file, *words, *more, "."]
    env = os.environ | {"DOCKER_BUILDKIT": "1"}  # older clients have it, and do not use it by themselves
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=sys.stderr, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def revised() -> str:
    """The commit, and whether files differ from it: new ones are built in, too; those of k8s are in no image."""
    changed = git("status", "--porcelain", "--", ".", ":!k8s")
    return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")


def origin(revision: str) -> dict[str, str]:
    """The commit's own time, so that the same commit gives the same labels."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {
        "VERSION": project["version"],
        "REVISION": git("rev-parse", "HEAD") + ("-dirty" if revision.endswith("-dirty") else ""),
        "CREATED": git("show", "--no-patch", "--format=%cI"),
        "LOCK_SHA256": hashlib.sha256((ROOT / "uv.lock").read_bytes()).hexdigest(),
    }


def based(image: str) -> dict[str, str]:
    """The base, fetched where it is not here yet, and its digest where a registry gave it one."""
    found = inspected(image)
    if not found:
        subprocess.run(["docker", "pull", "--quiet", image], stdout=sys.stderr, check=False)
        found = inspected(image) or {}
    digests = found.get("RepoDigests") or ["@unknown"]
    return {"PYTHON_IMAGE": image, "BASE_DIGEST": digests[0].rpartition("@")[2]}


def inspected(image: str) -> dict[str, Any] | None:
    """What this machine's Docker knows of it; None where it has no such image."""
    done = tried("image", "inspect", image)
    if done.returncode and "no such image" in done.stderr.lower():
        return None
    found: list[dict[str, Any]] = json.loads(checked(done, image))
    return found[0]


def git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        end("there is no git here, and an image is named by its revision; install it")
    if done.returncode:
        said = (done.stderr.splitlines() or ["nothing"])[0]
        end(f"{ROOT} has no revision to name an image by; git says: {said}")
    return done.stdout.strip()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
