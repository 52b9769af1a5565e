"""The state of each version of a model, in TensorFlow Serving's words; knows no protocol and loads nothing."""

from dataclasses import dataclass

from bundle.manifest import Manifest

# In this order: found, being loaded, served, given up but still held by requests, gone.
START, LOADING, AVAILABLE, UNLOADING, END = "START", "LOADING", "AVAILABLE", "UNLOADING", "END"


@dataclass
class Version:
    """The life of one version; the same bundle loaded once more is another life."""

    manifest: Manifest
    state: str = START
    error: str = ""  # why it was refused, for everybody to read


class Versions:
    """By model, the latest first. One that has ended stays until the model's next one comes, so that it can be asked about."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[Version, ...]] = {}  # replaced as a whole, since any thread may be reading

    def begin(self, manifest: Manifest) -> Version:
        version = Version(manifest)
        kept = [one for one in self.of(manifest.name) if one.state != END]
        self._of = {**self._of, manifest.name: (version, *kept)}
        return version

    def refuse(self, name: str, reason: str) -> None:
        """The one that was being loaded, if it came so far."""
        for version in self.of(name):
            if version.state == LOADING:
                version.state, version.error = END, reason

    def of(self, name: str | None) -> tuple[Version, ...]:
        """Those of one model; None: of all."""
        if name is None:
            return tuple(version for versions in self._of.values() for version in versions)
        return self._of.get(name, ())
