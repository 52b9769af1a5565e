"""What reloads are tested with: a bundle's name that moves, its next version, the operator's key; and a server that loads."""

import threading
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
from werkzeug import test as client

from bundle import golden, store
from bundle.write import write
from server.app import create_app
from server.config import read
from server.models import Models


@pytest.fixture(scope="session", autouse=True)
def boundary():
    """Of the test client's forms: its own is made of random digits, now and then more than RFC 2046 allows."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(client, "stream_encode_multipart", partial(client.stream_encode_multipart, boundary="imago"))
        yield


@pytest.fixture(scope="module")
def second(tmp_path_factory, parts):
    """The next version of `tiny`."""
    return write(tmp_path_factory.mktemp("second"), replace(parts, metrics={"accuracy": 0.95}))


@pytest.fixture
def link(tmp_path, tiny):
    """A name that moves."""
    path = tmp_path / "tiny"
    path.symlink_to(tiny)
    return path


@pytest.fixture
def move():
    """(link, target): in one step, as an operator should."""

    def moved(link, target):
        new = link.with_name("new")
        new.symlink_to(target)
        new.rename(link)

    return moved


@pytest.fixture(scope="session")
def admin():
    """The headers with the operator's key."""
    return {"X-API-Key": "a-key-of-the-operator"}


@pytest.fixture
def admin_file(tmp_path, admin):
    """The operator's key, as --admin-keys wants it."""
    (tmp_path / "admin.keys").write_text(admin["X-API-Key"] + "\n")
    return tmp_path / "admin.keys"


@pytest.fixture(scope="session")
def number():
    """(directory) -> the version that V1 and V2 call it by."""
    return lambda directory: str(int(store.read_manifest(directory).id[:8], 16))


@pytest.fixture
def loading(tiny):
    """A client of a server that has not loaded anything yet."""
    config = read(bundle=(tiny,))
    return create_app(config, Models(config)).test_client()


@dataclass
class Gate:
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def gate(monkeypatch):
    """Where what is loaded waits before its golden pictures, unless it is open; it is at first."""
    found, replay = Gate(), golden.replay
    found.opened.set()

    def held(*given):
        found.reached.set()
        assert found.opened.wait(60)
        return replay(*given)

    monkeypatch.setattr("bundle.golden.replay", held)
    yield found
    found.opened.set()
