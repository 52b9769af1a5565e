"""Tiny real bundles, a real client and a real server process, for all rooms."""

import importlib.util
import io
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
RGB = ("red", "green", "blue")


@cache
def _beside(name):
    """A module beside this file: tests find nothing by import."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def xml_network():
    return _beside("xml_network")


# ---- pictures ------------------------------------------------------------------------------


def _encoded(picture, form, **save):
    out = io.BytesIO()
    picture.save(out, form, **save)
    return out.getvalue()


def _photo(width=64, height=48, *, seed=0, form="JPEG", **save):
    """Like a photo: soft colours that change slowly over the picture."""
    coarse = np.random.default_rng(seed).integers(30, 226, (3, 4, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return _encoded(picture, form, **save)


@pytest.fixture(scope="session")
def encoded():
    """(PIL picture, format, **options of save) -> bytes."""
    return _encoded


@pytest.fixture(scope="session")
def photo():
    """(width, height, seed=, form=, **options of save) -> bytes of a photo-like picture."""
    return _photo


@pytest.fixture(scope="session")
def jpeg():
    return _photo(form="JPEG", quality=90)


@pytest.fixture(scope="session")
def png():
    return _photo(form="PNG")


@pytest.fixture(scope="session")
def webp():
    return _photo(form="WEBP", lossless=True)


@pytest.fixture(scope="session")
def gif():
    return _photo(form="GIF")


@pytest.fixture(scope="session")
def bmp():
    return _photo(form="BMP")


@pytest.fixture(scope="session")
def data_dir():
    """The real photos, where this machine has them."""
    path = Path(os.environ.get("IMAGO_DATA", ""))
    if not os.environ.get("IMAGO_DATA") or not path.is_dir():
        pytest.skip("IMAGO_DATA names no folder with the example photos")
    return path


# ---- bundles -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def onnx():
    """(activation, labels, side) -> model.onnx."""
    return _beside("tiny_models").onnx


@pytest.fixture(scope="session")
def keras_model():
    """uint8 (8, 8, 3) -> three scores; its layers have names, as those of finished models do."""
    pytest.importorskip("tensorflow", reason="of the train extra")
    from bundle.engine import keras_any

    keras = keras_any.import_keras()
    start = keras.initializers.HeNormal
    layers = [
        keras.Input((8, 8, 3), dtype="uint8", name="pixels"),
        keras.layers.Rescaling(1 / 127.5, -1, name="scale"),
        keras.layers.Conv2D(4, 3, activation="relu", kernel_initializer=start(7), name="conv"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.GlobalAveragePooling2D(name="pool"),
        keras.layers.Dense(3, "softmax", kernel_initializer=start(8), name="head"),
    ]
    return keras.Sequential(layers, name="tiny")


@pytest.fixture(scope="session")
def keras_onnx(keras_model):
    from bundle import canonical

    return canonical.onnx_from_keras(keras_model, "scores")


@pytest.fixture(scope="session")
def spec():
    from bundle.image import Preprocess

    return Preprocess(height=8, width=8, resize="squash", resample="bilinear", color="rgb")


@pytest.fixture(scope="session")
def parts(spec):
    """The parts of a bundle that tells red, green and blue pictures apart."""
    from bundle.write import Parts

    return Parts(
        name="tiny",
        source="onnx",
        preprocess=spec,
        scores="softmax",
        labels=RGB,
        thresholds=(),
        training=None,
        metrics={"accuracy": 0.9},
        tolerance=1e-4,
        models={"model.onnx": _beside("tiny_models").onnx()},
        pictures={"0.png": _photo(form="PNG")},
    )


@pytest.fixture(scope="session")
def multi_parts(parts):
    """As `parts`, but a picture may have several labels."""
    return replace(
        parts,
        name="multi",
        scores="sigmoid",
        thresholds=(0.5, 0.5, 0.5),
        models={"model.onnx": _beside("tiny_models").onnx("Sigmoid")},
    )


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """The folder that the bundles of the session are written to."""
    return tmp_path_factory.mktemp("bundles")


def _written(folder, parts):
    from bundle.write import write

    return write(folder, parts)


@pytest.fixture(scope="session")
def tiny(bundles, parts):
    return _written(bundles, parts)


@pytest.fixture(scope="session")
def multi(bundles, multi_parts):
    return _written(bundles, multi_parts)


BOXES = b"""<grammar xmlns="http://relaxng.org/ns/structure/1.0" xmlns:i="urn:imago:xml">
  <start><element name="page"><oneOrMore i:max="40"><element name="box">
    <attribute name="color"><choice><value>red</value><value>green</value><value>blue</value></choice></attribute>
  </element></oneOrMore></element></start>
</grammar>
"""


def _xml_parts(spec, name, schema, **more):
    from bundle.manifest import Sure
    from bundle.write import XmlParts
    from bundle.xml import schema as language
    from bundle.xml.codec import Codec

    return XmlParts(
        name=name,
        source="onnx",
        preprocess=spec,
        schema=schema,
        most_tokens=100,
        sure=Sure(score=0.6, least=0.4, iou=None, wrong=0.0, interval=(0.0, 0.01), pictures=300),
        training=None,
        metrics={"exact": 1.0},
        models=_beside("tiny_models").xml_onnx(Codec(language.parse(schema, "schema.rng")).names, **more),
        pictures={"0.png": _photo(form="PNG")},
    )


@pytest.fixture(scope="session")
def xml_parts(spec):
    """The parts of a bundle that makes a page of boxes: of the picture's strongest colour, more of them the lighter it is."""
    return _xml_parts(spec, "boxes", BOXES)


@pytest.fixture(scope="session")
def slow_parts(spec):
    """As `xml_parts`, with 40 boxes for any picture and some 10 ms for each token."""
    return _xml_parts(spec, "slow", BOXES, work=700, end=-1.0)


@pytest.fixture(scope="session")
def drawing_parts(spec):
    """A bundle that draws: its pictures are nonsense, its documents are SVG."""
    schema = (ROOT / "training" / "schemas" / "pattern.rng").read_bytes()
    return replace(_xml_parts(spec, "drawing", schema), most_tokens=40)


@pytest.fixture(scope="session")
def boxes(bundles, xml_parts):
    return _written(bundles, xml_parts)


@pytest.fixture(scope="session")
def slow(bundles, slow_parts):
    return _written(bundles, slow_parts)


@pytest.fixture(scope="session")
def drawing(bundles, drawing_parts):
    return _written(bundles, drawing_parts)


@pytest.fixture
def tiny_copy(tiny, tmp_path):
    """One to tamper with."""
    return Path(shutil.copytree(tiny, tmp_path / tiny.name))


@pytest.fixture(scope="session")
def resign():
    """(directory, **changes) makes a manifest agree again: with `changes`, the files as they are now, and a new id."""
    from bundle import manifest, store

    def run(directory, **changes):
        content = {**store.read_manifest(directory).model_dump(mode="json"), **changes}
        files = [path for path in directory.rglob("*") if path.is_file() and path.name != "manifest.json"]
        content["files"] = {
            path.relative_to(directory).as_posix(): {"sha256": store.sha256(path), "size": path.stat().st_size}
            for path in files
        }
        content["id"] = manifest.bundle_id(content)
        (directory / "manifest.json").write_bytes(manifest.canonical(content))
        return directory

    return run


# ---- storage -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def s3():
    """A client of an S3 of our own, with the buckets models and photos; the environment leads everybody there."""
    pytest.importorskip("moto", reason="of the dev extra")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3")
        for bucket in ("models", "photos"):
            client.create_bucket(Bucket=bucket)
        yield client
        client.close()
    server.stop()


# ---- servers -------------------------------------------------------------------------------


@contextmanager
def _app(*paths, **knobs):
    from server.app import create_app
    from server.config import read
    from server.models import Models

    models, loaded, failures = Models(read(bundle=paths, **knobs)), threading.Event(), []
    models.start(lambda error: (failures.append(error), loaded.set()), lambda _: loaded.set())
    assert loaded.wait(60)
    assert not failures
    yield create_app(models.config, models)
    pools = [models.get(model.manifest.name).pool for model in models.all()]
    for pool in pools:
        if pool.alive():  # a test may have closed one
            pool.close()


@pytest.fixture(scope="session")
def serving():
    """(*bundles, **knobs) -> context of a Flask application with its models loaded."""
    return _app


@pytest.fixture(scope="session")
def app(tiny, multi):
    with _app(tiny, multi) as app:
        yield app


@pytest.fixture
def client(app):
    return app.test_client()


@dataclass
class Server:
    """A running `imago serve`."""

    url: str
    process: subprocess.Popen
    log: Path

    def end(self, timeout_s=60):
        """Its exit status after a SIGTERM to it, and to nothing else."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout_s)


def _free_port():
    """It rests for a minute, as ports do whose connections have ended: the kernel gives it to nobody who does not ask for it."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        with socket.create_connection(sock.getsockname()):
            sock.accept()[0].close()  # before the other end of it does
        return sock.getsockname()[1]


def _wait_ready(server):
    import requests

    until = time.monotonic() + 120
    while time.monotonic() < until and server.process.poll() is None:
        try:
            if requests.get(server.url + "/readyz", timeout=60).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.05)
    pytest.fail(f"the server did not get ready: {server.log.read_text()}")


@contextmanager
def _process(folder, *paths, **knobs):
    port = _free_port()
    flags = [word for name, value in knobs.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    named = [word for path in paths for word in ("--bundle", str(path))]
    command = [sys.executable, "-m", "imago", "serve", "--listen", f"127.0.0.1:{port}", *named, *flags]
    log = folder / f"serve-{port}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait_ready(server)
        yield server
        assert server.end() == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()  # its worker notices within a second, and ends too
            process.wait(60)


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """(*bundles, **knobs) -> context of a real server process that is ready; it must exit with 0."""
    folder = tmp_path_factory.mktemp("servers")
    return lambda *paths, **knobs: _process(folder, *paths, **knobs)


@pytest.fixture(scope="session")
def served(start, tiny):
    """The URL of a real server that serves `tiny`."""
    with start(tiny) as server:
        yield server.url


@pytest.fixture(scope="session")
def imago():
    """(*words, **options of subprocess.run) -> the finished command `imago`."""

    def run(*words, timeout=600, **options):
        command = [sys.executable, "-m", "imago", *map(str, words)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, **options)

    return run


@pytest.fixture(scope="session")
def knock():
    """(url, bytes) -> the first that the server says to them on a connection of their own."""

    def run(url, data):
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=60) as client:
            client.sendall(data)
            return client.recv(4096)

    return run


@pytest.fixture
def free_port():
    return _free_port()


@pytest.fixture
def stack():
    """For what a test enters one after the other."""
    with ExitStack() as stack:
        yield stack
