"""`make push`: pushes an image under its git revision to a registry and pins its digest in an overlay. Prints NAME@DIGEST.

    python docker/push.py REPOSITORY [--image server] [--variant gpu] [--overlay eks] [--build] [--allow-dirty] [build.py's own options]

A repository of ECR is made where it is missing, and docker is logged in there for this push alone; elsewhere docker's own login counts.
Files that differ from the commit are refused; with --allow-dirty the tag is REVISION-dirty-ID8, ID8 being the image's. A tag never changes.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext

import ecr
import pin
from build import IMAGES, ROOT, git, inspected, revised
from client import checked, end, host, insecure, logged_in, sentence, tried

# As Docker reads it: what has no dot and no port, and is not localhost, is no host but a name at Docker Hub.
HOST = r"(?:localhost|[\w-]+(?:\.[\w-]+)+|[\w-]+(?=:))(?::\d+)?"
REPOSITORY = re.compile(rf"{HOST}(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+", re.ASCII)


def main() -> None:
    given, more = parsed()
    revision = revised()
    dirty = revision.endswith("-dirty")
    if dirty and not given.allow_dirty:
        end(f"{changed()} not as committed; commit, or push under another tag with --allow-dirty")
    overlay = pin.find(given.overlay) if given.overlay else None  # noticed before minutes of work
    suffix = "-gpu" if given.variant == "gpu" else ""
    image = built(given, more) if given.build else f"imago-{given.image}:{revision}{suffix}"
    found = inspected(image)
    if not found:
        end(f"there is no image {image} here; build it with --build or make image")
    id8 = found["Id"].removeprefix("sha256:")[:8]
    name = f"{given.repository}:{revision}{'-' + id8 if dirty else ''}{suffix}"
    registry = ecr.parse(given.repository)
    with logged_in(host(given.repository), ecr.prepare(registry)) if registry else nullcontext(dict(os.environ)) as env:
        digest = there(name, found["Id"], env) or pushed(image, name, env)
    if overlay:
        pin.pin(overlay, given.repository, digest)
        print(f"push: wrote the digest into {overlay}", file=sys.stderr)
    print(f"{given.repository}@{digest}")


def parsed() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", help="HOST/NAME without a tag")
    parser.add_argument("--image", choices=IMAGES, default="server")
    parser.add_argument("--variant", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument(
        "--overlay",
        help="a folder of k8s/overlays, or the path of one elsewhere; its kustomization.yaml gets the digest",
    )
    parser.add_argument("--build", action="store_true", help="build it first (docker/build.py)")
    parser.add_argument("--allow-dirty", action="store_true", help="files may differ from the commit")
    given, more = parser.parse_known_args()
    if more and not given.build:
        parser.error(f"{more[0]}: not known; options of docker/build.py come with --build")
    if not REPOSITORY.fullmatch(given.repository):
        parser.error(
            f"{given.repository!r}: wanted HOST/NAME, lower case and without a tag (Docker Hub's host is docker.io)"
        )
    if given.overlay and given.image != "server":
        parser.error("overlays name the server's image")
    return given, more


def changed() -> str:
    paths = [line.split(maxsplit=1)[1] for line in git("status", "--porcelain", "--", ".", ":!k8s").splitlines()]
    return f"{paths[0]} is" if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more are"


def built(given: argparse.Namespace, more: list[str]) -> str:
    """The name of the image. Without attestations: they have times in them, and the same content would get another digest."""
    command = [sys.executable, ROOT / "docker" / "build.py", given.image, "--variant", given.variant, *more]
    env = os.environ | {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        end("the image could not be built; the reason stands above")
    return done.stdout.split()[-1]


def there(name: str, image_id: str, env: dict[str, str]) -> str | None:
    """The digest, where the registry has the image under this tag; None where the tag is free."""
    words = ["--insecure"] if insecure(host(name)) else []  # else it would find nothing in a registry without TLS
    done = tried("manifest", "inspect", "--verbose", *words, name, env=env | {"DOCKER_CLI_EXPERIMENTAL": "enabled"})
    if done.returncode and re.search("no such manifest|manifest unknown|not found", done.stderr):
        return None
    found = json.loads(checked(done, name))
    single = {} if isinstance(found, list) else found  # a list of platforms is none that we pushed
    descriptor = single.get("Descriptor", {})
    config = (single.get("SchemaV2Manifest") or single.get("OCIManifest") or {}).get("config", {})
    if image_id not in (descriptor.get("digest"), config.get("digest")):
        other = descriptor.get("digest", "several platforms")
        end(f"{name} is there with other content ({other}), and tags do not change; commit, and push again")
    print(f"push: {name} is there already", file=sys.stderr)
    digest: str = descriptor["digest"]
    return digest


def pushed(image: str, name: str, env: dict[str, str]) -> str:
    """Its digest; docker's progress is shown."""
    checked(tried("tag", image, name), name)
    with subprocess.Popen(
        ["docker", "push", name], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines = []
        for line in process.stdout or ():
            print(line, end="", file=sys.stderr)
            lines.append(line)
    text = "".join(lines)
    found = re.search(r"digest: (sha256:[0-9a-f]{64}) size:", text)
    if process.returncode or not found:
        checked(tried("version"), image)  # where the daemon is gone, that is the sentence
        end(sentence(text, name))
    return found[1]


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
