"""The bundles that are served, by name, and whether they are ready."""

import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bundle import model, pull, storage, store
from bundle.errors import BundleError, Expired, ImagoError
from bundle.model import Model
from bundle.xml.model import XmlModel
from server import states
from server.config import Config
from server.documents import Writer
from server.errors import NotReady, UnknownModel
from server.pool import Pool
from server.room import Room
from server.stages import current

LOADING = "the models are still loading"
GOING = "the server is going down"


# Kind -> what such a model does, in words, and the route that asks for it.
DOES = {"classifier": "classifies", "xml": "makes XML"}
ROUTE = {"classifier": "classify", "xml": "convert"}


@dataclass(frozen=True)
class Served:
    """One version. A request holds the one that it began with; when the last has let go of it, its threads end."""

    model: Model | XmlModel
    pool: Pool
    found: pull.Found
    version: states.Version
    since: datetime = field(default_factory=lambda: datetime.now(UTC))  # loaded and checked

    def __post_init__(self) -> None:
        weakref.finalize(self, _end, self.pool, self.version).atexit = False

    @property
    def classifier(self) -> Model:
        """Raises UnknownModel."""
        if isinstance(self.model, XmlModel):
            raise self._other()
        return self.model

    @property
    def converter(self) -> XmlModel:
        """Raises UnknownModel."""
        if isinstance(self.model, Model):
            raise self._other()
        return self.model

    def check(self, kind: str | None) -> None:
        """Raises UnknownModel for a model of another kind."""
        if kind not in (None, self.model.manifest.kind):
            raise self._other()

    def _other(self) -> UnknownModel:
        name, kind = self.model.manifest.name, self.model.manifest.kind
        return UnknownModel(f"the model {name} {DOES[kind]}; POST to /models/{name}/{ROUTE[kind]}")


class Models:
    """Loads in the background, so that the listener is up and /readyz can say 503 meanwhile."""

    def __init__(self, config: Config) -> None:
        self.config = config
        # A quarter of the threads is left to small pictures.
        self.room = Room(config.decode_mb << 20, max(1, config.threads - max(1, config.threads // 4)))
        self._served: dict[str, Served] = {}
        self.states = states.Versions()
        self._state = LOADING
        self.changing = threading.Lock()  # one version is loaded at a time
        self.last_reload: dict[str, Any] | None = None
        self.parent = 0  # process that tells the others, where there is one

    def start(self, failed: Callable[[ImagoError], None], ready: Callable[["Models"], None]) -> None:
        threading.Thread(target=self._load, args=(failed, ready), name="load", daemon=True).start()

    def ready(self) -> bool:
        return not self._state

    def state(self) -> str:
        """Empty when ready, else why not."""
        return self._state

    def drain(self) -> bool:
        """Unready from now on; False where it was told so before."""
        before, self._state = self._state, GOING
        return before != GOING

    def alive(self) -> bool:
        return all(served.pool.alive() for served in self._served.values())

    def all(self) -> list[Model | XmlModel]:
        return [served.model for served in self._served.values()]

    def get(self, name: str | None, kind: str | None = None) -> Served:
        """The named one; without a name the first, or the first of a kind.

        Raises NotReady, UnknownModel; a server that goes down still answers.
        """
        if not self._served:
            raise self._not_yet()
        if name is None:
            name = self._first(kind)
        if name not in self._served:
            raise self._unknown(name)
        current().model = name
        return self._served[name]

    def versions(self, name: str | None) -> list[states.Version]:
        """Of the named model, or of all, the latest first. Raises NotReady where none is known yet, UnknownModel."""
        found = self.states.of(name)
        if not found:
            raise self._unknown(str(name)) if self._served else self._not_yet()
        current().model = name or ""
        if self._state != GOING:
            return list(found)
        return [replace(one, state=states.UNLOADING) if one.state == states.AVAILABLE else one for one in found]

    def _first(self, kind: str | None) -> str:
        for name, served in self._served.items():
            if kind in (None, served.model.manifest.kind):
                return name
        raise UnknownModel(f"no model that {DOES[kind or '']} is served; there {_are(list(self._served))}")

    def left_s(self, start: float) -> float:
        """What is left of the deadline of a request that was whole at `start`, of time.monotonic(). Raises Expired."""
        left = start + self.config.deadline_ms / 1000 - time.monotonic()
        if left <= 0:
            raise Expired(f"no thread was free within {self.config.deadline_ms / 1000:g} s; send it again later")
        return left

    def swap(self, served: Served) -> None:
        """Takes the place of the version of that name, at once: the next request gets it."""
        name = served.model.manifest.name
        served.version.state, self._served[name].version.state = states.AVAILABLE, states.UNLOADING
        self._served = {**self._served, name: served}

    def find(self, uri: str) -> pull.Found:
        return pull.find(uri, Path(self.config.bundle_cache) if self.config.bundle_cache else None)

    def open(self, found: pull.Found, version: states.Version) -> Served:
        """Verified, loaded and replayed. Raises ImagoError."""
        version.state = states.LOADING
        opened = model.open(found.path, self.config.engine)
        if isinstance(opened, XmlModel):
            return Served(opened, Pool(Writer(opened), self.config, together=list), found, version)
        return Served(opened, Pool(opened.engine, self.config), found, version)

    def _load(self, failed: Callable[[ImagoError], None], ready: Callable[["Models"], None]) -> None:
        try:
            with self.changing:
                self._served = _by_name(self._open_all())
        except ImagoError as error:
            failed(error)
            return
        for served in self._served.values():
            served.version.state = states.AVAILABLE
        if self._state == LOADING:  # and not told to go down meanwhile
            self._state = ""
        ready(self)

    def _open_all(self) -> list[Served]:
        """All are found before the first is loaded, so that the state of each can be told meanwhile."""
        found = [self.find(uri) for uri in self.config.bundles]
        versions = [self.states.begin(store.read_manifest(one.path)) for one in found]
        return [self.open(one, version) for one, version in zip(found, versions, strict=True)]

    def _not_yet(self) -> NotReady:
        return NotReady(f"{self._state}; try again in a second")

    def _unknown(self, name: str) -> UnknownModel:
        return UnknownModel(f"no model {name!r} is served; there {_are(list(self._served))}")


def check(uris: tuple[str | Path, ...]) -> None:
    """What can be told before a process is started for it; of s3:// only whether it can be read. Raises BundleError."""
    names: dict[str, str] = {}
    for uri in map(str, uris):
        if pull.remote(uri):
            storage.place(uri)
            continue
        name = store.read_manifest(Path(uri)).name
        if name in names:
            raise _twice(uri, names[name], name)
        names[name] = uri


def _by_name(loaded: list[Served]) -> dict[str, Served]:
    found: dict[str, Served] = {}
    for served in loaded:
        name = served.model.manifest.name
        if name in found:
            raise _twice(served.found.uri, found[name].found.uri, name)
        found[name] = served
    return found


def _twice(uri: str, other: str, name: str) -> BundleError:
    return BundleError(f"{uri} and {other} are both called {name}; serve one, or train it with another --name")


def _end(pool: Pool, version: states.Version) -> None:
    """In a thread of its own: the last to let go may be any, and need not wait."""
    version.state = states.END
    if pool.alive():
        threading.Thread(target=pool.close, name="close", daemon=True).start()


def _are(names: list[str]) -> str:
    return f"is {names[0]}" if len(names) == 1 else f"are {', '.join(names)}"
