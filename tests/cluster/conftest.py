"""A cluster of one node, an S3 and a registry that it reaches, the server's image, and what is rolled out there."""

import base64
import importlib.util
import json
import os
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest

HERE = Path(__file__).parent
Bundles = namedtuple("Bundles", "first second tampered")
# It runs, ends when it is told to, and answers nobody.
NEVER_READY = (
    "import signal; ends = [signal.SIGTERM]; signal.pthread_sigmask(signal.SIG_BLOCK, ends); signal.sigwait(ends)"
)


def _module(path):
    """A file beside this one: tests find nothing by import."""
    spec = importlib.util.spec_from_file_location(f"imago_cluster_{path.stem}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


machines, traces, loads, registries, rollouts, adapters = (
    _module(HERE / f"{name}.py") for name in ("machine", "traces", "load", "registry", "rollout", "adapter")
)


@pytest.fixture(scope="session")
def machine(tmp_path_factory):
    binaries = Path(os.environ.get("IMAGO_CLUSTER_CACHE") or Path.home() / ".cache" / "imago-cluster") / "bin"
    if why := traces.missing(binaries):
        pytest.skip(why)
    folder, bridge = tmp_path_factory.mktemp("cluster"), f"imago{os.getpid() % 100000}"
    with traces.removed(folder, bridge), machines.running(folder, binaries, bridge) as machine:
        yield machine


# ---- what is rolled out --------------------------------------------------------------------


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """The server's image as `docker save` writes it; IMAGO_SERVER_IMAGE names one that is there already."""
    if given := os.environ.get("IMAGO_SERVER_IMAGE"):
        return Path(given)
    containers = _module(HERE.parent / "images" / "daemon.py")
    if why := containers.missing("debootstrap"):
        pytest.skip(why)
    with containers.daemon() as docker:
        name = docker.make("server", "--python-image", containers.base_image(docker))
        return containers.save(docker, name, tmp_path_factory.mktemp("image") / "server.tar")


@pytest.fixture(scope="session")
def registry(archive, machine):
    """Holds imago-server:v1, the same as v2, and one that never gets ready; the node has none of them."""
    registry = registries.Registry(
        f"127.0.0.1:{machine.values['registry']}", machine.folder / "tls.crt", "imago", "a-password"
    )
    name = f"{registry.place}/imago-server:v1"
    before = set(machine.ctr("images", "list", "-q").split())
    machine.ctr("images", "import", "--no-unpack", archive)
    found = set(machine.ctr("images", "list", "-q").split()) - before
    machine.ctr("images", "tag", next(image for image in found if not image.startswith("sha256:")), name)
    machine.ctr("images", "push", "--user", "imago:a-password", "--hosts-dir", machine.folder / "hosts", name)
    machine.ctr("images", "remove", "--sync", name, *found)
    registry.tag("v1", "v2", Labels={"org.opencontainers.image.version": "v2"})
    registry.tag("v1", "broken", Entrypoint=["python", "-c", NEVER_READY], Cmd=[])
    return registry


@pytest.fixture(scope="session")
def storage(machine):
    """A client of an S3 that pods reach; the environment leads our own commands there."""
    pytest.importorskip("moto", reason="of the dev extra")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(machine.values["address"], 0)
    server.start()
    host, port = server.get_host_and_port()
    there = {
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in there.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        assert client.list_buckets()["Buckets"] == []  # it is ours
        client.create_bucket(Bucket="models")
        client.there = there
        yield client
        client.close()
    server.stop()


@pytest.fixture(scope="session")
def bundles(storage, resign, tmp_path_factory):
    """URIs in S3: the default bundle, the next version of it, and one with a changed byte."""
    from bundle import pull, store
    from server import config

    default = config.embedded()[0]
    folder = tmp_path_factory.mktemp("versions")

    def version(accuracy):
        made = resign(Path(shutil.copytree(default, folder / "new")), metrics={"accuracy": accuracy})
        return made.rename(folder / f"pieces-{store.read_manifest(made).id[:8]}")

    first, second, bad = (str(pull.push(path, "s3://models/shop")) for path in (default, version(0.5), version(0.4)))
    key = f"{bad.removeprefix('s3://models/')}/model.onnx"
    content = bytearray(storage.get_object(Bucket="models", Key=key)["Body"].read())
    content[len(content) // 2] ^= 1
    storage.put_object(Bucket="models", Key=key, Body=bytes(content))
    return Bundles(first, second, bad)


@pytest.fixture(scope="session")
def deployed(machine, registry, storage, tmp_path_factory):
    """(tag, bundle, overlay=...) -> a Rollout of that, ready; without a bundle of the embedded ones."""
    login = base64.b64encode(b"imago:a-password").decode()
    login = json.dumps({"auths": {registry.place: {"auth": login}}})
    folder, image = tmp_path_factory.mktemp("rollout"), f"{registry.place}/imago-server"
    rollout = rollouts.Rollout(machine, folder, image, storage.there, login)

    def ready(*what, **more):
        rollout.apply(*what, **more)
        machines.wait(lambda: "successfully rolled out" in rollout.status(), 300, rollout.why)
        rollout.settle()
        return rollout

    return ready


@pytest.fixture
def rollout(deployed):
    """v1 with the embedded bundles, ready."""
    return deployed("v1")


@pytest.fixture
def scaled(deployed, machine):
    """v1 in two pods, whose number follows their metrics."""
    with adapters.registered(machine):
        yield deployed("v1", overlay=rollouts.SCALED)


@pytest.fixture
def sending(encoded):
    """(rollout) -> context of a Load on its service, by eight clients unless told, with photos of garment pieces."""
    from PIL import Image, ImageOps

    from server import config

    goldens = sorted((config.embedded()[0] / "golden").glob("*.png"))

    def run(rollout, *, larger=1, **more):
        pictures = [ImageOps.scale(Image.open(path).convert("RGB"), larger) for path in goldens]
        return loads.sending(rollout.address, [encoded(image, "JPEG", quality=90) for image in pictures], **more)

    return run


@pytest.fixture
def say(capsys):
    """(what, figures): shows them, whatever is captured."""

    def run(what, figures):
        with capsys.disabled():
            print(f"\n{what}: {figures}", flush=True)

    return run
