"""What servers are tested with: their figures, what is waited for, a bundle's name that moves, the operator's key, a server that loads."""

import shutil
import threading
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
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


def _until(condition):
    end = time.monotonic() + 60
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return found  # it may be false again by now


@pytest.fixture(scope="session")
def until():
    """(condition) -> whether it comes true; a minute is for machines that have much else to do."""
    return _until


@pytest.fixture(scope="session")
def workers():
    """(server) -> the ids of its processes."""

    def run(server):
        pid = server.process.pid
        return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    return run


@pytest.fixture(scope="session")
def figure():
    """(url, name, **labels) -> the sum of what /metrics has under these."""

    def run(url, name, /, **labels):
        families = text_string_to_metric_families(requests.get(f"{url}/metrics", timeout=60).text)
        found = [one for family in families for one in family.samples if one.name == name]
        return sum(one.value for one in found if labels.items() <= one.labels.items())

    return run


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


# ---- browsers ------------------------------------------------------------------------------

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def chromium():
    """Debian's, driven by Playwright; not longer than a module, since its loop lets no other run in this thread."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        pytest.skip("no chromium here; as root: make browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET, timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """(url, **options of a browser's context) -> the page there. At the end it must have asked no other host, opened no alert, and
    broken neither its Content-Security-Policy nor its script."""
    pages, strangers, wrongs = [], [], []

    def seen(url, own):
        if not url.startswith((own, "blob:", "data:", "about:")):
            strangers.append(url)

    def run(url, **options):
        page = chromium.new_context(**options).new_page()
        page.set_default_timeout(60_000)
        page.strangers, page.wrongs, page.alerts = strangers, wrongs, []
        own = url if url.startswith("http") else "http://127.0.0.1"
        page.on("request", lambda request: seen(request.url, "/".join(own.split("/")[:3])))
        page.on("console", lambda told: wrongs.append(told.text) if "Content Security" in told.text else None)
        page.on("pageerror", lambda error: wrongs.append(str(error)))
        page.on("dialog", lambda dialog: (page.alerts.append(dialog.message), dialog.dismiss()))
        page.goto(url)
        pages.append(page)
        return page

    yield run
    alerts = [alert for page in pages for alert in page.alerts]
    for page in pages:
        page.context.close()
    assert strangers == wrongs == alerts == []
