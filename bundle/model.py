"""The one path a picture takes: the server, `imago predict`, evaluation and export checks all go through a Model or an XmlModel."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from bundle import engine, golden, image, store
from bundle.manifest import ClassifierManifest, XmlManifest
from bundle.xml import model as xml
from bundle.xml.model import XmlModel


class Label(TypedDict, total=False):
    label: str
    probability: float
    present: bool  # only where a picture may have several labels


@dataclass(frozen=True, kw_only=True)
class Model:
    """A loaded bundle of a classifier."""

    directory: Path
    manifest: ClassifierManifest
    labels: tuple[str, ...]
    engine: engine.Engine
    warnings: tuple[str, ...]  # of the golden check: right answers from slightly other pixels

    def prepare(self, data: bytes) -> np.ndarray:
        """uint8 (h, w, 3) from a picture's bytes. Raises PictureError."""
        return self.pixels(self.header(data))

    def header(self, data: bytes) -> image.Header:
        """What a picture's bytes say before they are decoded. Raises PictureError."""
        return image.header(data, self.manifest.preprocess)

    def pixels(self, header: image.Header) -> np.ndarray:
        """uint8 (h, w, 3). Raises PictureError."""
        return image.preprocess(image.load(header), self.manifest.preprocess)

    def run(self, batch: np.ndarray) -> np.ndarray:
        """uint8 (n, h, w, 3) -> float32 (n, k)."""
        return self.engine.run(batch)

    def answer(self, row: np.ndarray, top: int) -> list[Label]:
        """The best `top` labels; with several labels a picture all of them, each `present` or not. Best first."""
        order = np.argsort(-row, kind="stable")
        if self.manifest.scores == "sigmoid":
            present = row >= np.asarray(self.manifest.thresholds)
            return [
                {"label": self.labels[at], "probability": float(row[at]), "present": bool(present[at])} for at in order
            ]
        return [{"label": self.labels[at], "probability": float(row[at])} for at in order[:top]]


def open(directory: Path, choice: engine.Choice = "auto") -> Model | XmlModel:
    """Verifies every byte, loads the engine, replays the golden pictures. Raises BundleError."""
    manifest = store.verify(directory)
    if manifest.kind == "xml":
        return _open_xml(directory, manifest, choice)
    loaded = engine.load(directory, manifest, choice)
    warnings = golden.replay(directory, manifest, loaded.run)
    return Model(
        directory=directory,
        manifest=manifest,
        labels=store.read_labels(directory),
        engine=loaded,
        warnings=tuple(warnings),
    )


def _open_xml(directory: Path, manifest: XmlManifest, choice: engine.Choice) -> XmlModel:
    loaded = engine.load_xml(directory, manifest, choice)
    codec, decoder = xml.load(directory, manifest, loaded)
    opened = XmlModel(directory=directory, manifest=manifest, codec=codec, engine=loaded, decoder=decoder, warnings=())
    return replace(opened, warnings=tuple(golden.replay(directory, manifest, opened.run)))
