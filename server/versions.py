"""New versions of what is served: loaded and checked beside the old one, then put in its place; a bad one changes nothing."""

import logging
import os
import queue
import signal
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bundle import pull, store
from bundle.errors import BundleError, ImagoError, Unreachable
from server.errors import VersionRefused
from server.models import Models, Served

log = logging.getLogger("imago.server")


def reload(models: Models, name: str) -> bool:
    """Looks again at where a model's bundle comes from; False where that is what is served. Raises NotReady, UnknownModel, VersionRefused."""
    with models.changing:
        old = models.get(name)
        try:
            new = _newer(models, old)
        except Exception as error:
            log.error(
                "%s: a new version is refused, the old one stays: %s", name, str(error), exc_info=not _ours(error)
            )
            reason = _public(old, error)
            models.states.refuse(name, reason)
            _note(models, old, reason)
            raise VersionRefused(f"the new version of {name} is refused, the old one stays: {reason}") from error
        if new:
            models.swap(new)
            log.info("%s: %s is served from now on", name, new.model.manifest.id[:8])
        _note(models, new or old, "")
        return new is not None


def tell_others(models: Models) -> bool:
    """Lets the parent tell every process to look again at all its bundles, and waits for none; False where there is only this one."""
    if not models.parent or models.parent != os.getppid():
        return False
    os.kill(models.parent, signal.SIGHUP)
    return True


@dataclass
class Watch:
    """The thread that reloads when it is told, or when it sees that a bundle's URI stands for something else."""

    models: Models
    told: "queue.SimpleQueue[bool]"  # a queue that a signal's handler may fill
    seen: dict[str, str] = field(default_factory=dict)  # URI -> the mark that was tried

    def start(self) -> None:
        threading.Thread(target=self._work, name="versions", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                self.told.get(timeout=self.models.config.watch_s or None)
            except queue.Empty:
                self.look()
                continue
            while not self.told.empty():
                self.told.get()
            for name in self._names():
                self._reload(name)

    def look(self) -> None:
        """Reloads those whose URI has changed since it was last tried."""
        for name in self._names():
            served = self.models.get(name)
            try:
                mark = pull.mark(served.found.uri)
            except (ImagoError, OSError) as error:
                log.warning("%s: cannot look for a new version: %s", name, error)
                continue
            if mark != self.seen.get(served.found.uri, served.found.mark) and self._reload(name):
                self.seen[served.found.uri] = mark

    def _names(self) -> list[str]:
        """None while the models are loading: what they load is new."""
        with self.models.changing:
            return [one.manifest.name for one in self.models.all()]

    def _reload(self, name: str) -> bool:
        """False where it is worth another try."""
        try:
            reload(self.models, name)
        except ImagoError as error:
            return not isinstance(error.__cause__, Unreachable)
        return True


def _newer(models: Models, old: Served) -> Served | None:
    """What the URI stands for now, loaded; None where that is the old one. Raises ImagoError."""
    found, name = models.find(old.found.uri), old.model.manifest.name
    manifest = store.read_manifest(found.path)
    if manifest.id == old.model.manifest.id:
        return None
    if manifest.name != name:
        raise BundleError(f"{found.path}: is called {manifest.name}, {name} wanted; serve it as one more --bundle")
    new = models.open(found, models.states.begin(manifest))
    if new.model.manifest.id != manifest.id:
        new.pool.close()
        raise Unreachable(f"{found.path}: changed while it was loaded; it is tried again when it is looked at next")
    return new


def _note(models: Models, served: Served, refused: str) -> None:
    models.last_reload = {
        "name": served.model.manifest.name,
        "id": served.model.manifest.id,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "refused": refused,
    }


def _ours(error: Exception) -> bool:
    return isinstance(error, ImagoError)


def _public(old: Served, error: Exception) -> str:
    """The sentence without the folders of this machine; what is no sentence of ours stays in the log."""
    if not _ours(error):
        return "it cannot be loaded; the server's log says why"
    text, uri = str(error), old.found.uri
    folders = [old.found.path.parent, Path(uri).resolve().parent, Path(uri).parent, uri.rpartition("/")[0]]
    for folder in map(str, folders):
        text = text.replace(f"{folder}/", "") if len(folder) > 1 else text
    return text
