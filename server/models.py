"""The bundles that are served, by name, and whether they are ready."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bundle import model, store
from bundle.errors import BundleError, Expired, ImagoError
from bundle.model import Model
from server.config import Config
from server.errors import NotReady, UnknownModel
from server.pool import Pool
from server.stages import current

GOING = "the server is going down"


@dataclass(frozen=True)
class Served:
    model: Model
    pool: Pool


class Models:
    """Loads in the background, so that the listener is up and /readyz can say 503 meanwhile."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._served: dict[str, Served] = {}
        self._state = "the models are still loading"

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

    def all(self) -> list[Model]:
        return [served.model for served in self._served.values()]

    def get(self, name: str | None) -> Served:
        """The named one, or the first. Raises NotReady, UnknownModel; a server that goes down still answers."""
        if not self._served:
            raise NotReady(f"{self._state}; try again in a second")
        if name is None:
            name = next(iter(self._served))
        if name not in self._served:
            raise UnknownModel(f"no model {name!r} is served; there {_are(list(self._served))}")
        current().model = name
        return self._served[name]

    def left_s(self, start: float) -> float:
        """What is left of the deadline of a request that was whole at `start`, of time.monotonic(). Raises Expired."""
        left = start + self.config.deadline_ms / 1000 - time.monotonic()
        if left <= 0:
            raise Expired(f"no thread was free within {self.config.deadline_ms / 1000:g} s; send it again later")
        return left

    def _load(self, failed: Callable[[ImagoError], None], ready: Callable[["Models"], None]) -> None:
        try:
            loaded = [model.open(path, self.config.engine) for path in self.config.bundles]
            self._served = {one.manifest.name: Served(one, Pool(one.engine, self.config)) for one in loaded}
        except ImagoError as error:
            failed(error)
            return
        if self._state.endswith("loading"):
            self._state = ""
        ready(self)


def check(paths: tuple[Path, ...]) -> None:
    """What can be told before a process is started for it. Raises BundleError."""
    names: dict[str, Path] = {}
    for path in paths:
        name = store.read_manifest(path).name
        if name in names:
            raise BundleError(
                f"{path} and {names[name]} are both called {name}; serve one, or train it with another --name"
            )
        names[name] = path


def _are(names: list[str]) -> str:
    return f"is {names[0]}" if len(names) == 1 else f"are {', '.join(names)}"
