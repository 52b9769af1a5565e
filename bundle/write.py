"""Writes a bundle so that half of one is never taken for a whole: temporary folder, fsync, check, rename."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bundle import golden, model, store
from bundle.engine import onnx_cpu, onnx_xml
from bundle.errors import BundleError
from bundle.image import Preprocess
from bundle.manifest import NAME, Manifest, Sure, Training, XmlTraining, bundle_id, canonical
from bundle.xml import schema
from bundle.xml.codec import Codec
from bundle.xml.decode import Decoder


@dataclass(frozen=True, kw_only=True)
class Parts:
    """All that makes a classifier's bundle, before it has an id."""

    name: str
    source: Literal["keras", "onnx"]
    preprocess: Preprocess
    scores: Literal["softmax", "sigmoid"]
    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    training: Training | None
    metrics: dict[str, float]
    tolerance: float
    models: Mapping[str, bytes]  # model.onnx, and model.keras where that is the source
    pictures: Mapping[str, bytes]  # golden: file name -> what a client would send


@dataclass(frozen=True, kw_only=True)
class XmlParts:
    """The same of a bundle that makes XML."""

    name: str
    source: Literal["keras", "onnx"]
    preprocess: Preprocess
    schema: bytes
    most_tokens: int
    sure: Sure
    training: XmlTraining | None
    metrics: dict[str, float]
    models: Mapping[str, bytes]  # encoder.onnx, step.onnx, and model.keras where that is the source
    pictures: Mapping[str, bytes]


def write(root: Path, parts: Parts | XmlParts) -> Path:
    """The new bundle's directory, `root`/NAME-ID8; one that is already there is kept. Raises BundleError."""
    if not NAME.fullmatch(parts.name):
        raise BundleError(
            f"name {parts.name!r}: letters, digits, '.', '_' and '-' wanted, 64 at most; choose one with --name"
        )
    root.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=root))
    try:
        manifest = _fill(temporary, parts)
        model.open(temporary, "onnx")  # as the server will see it
        return _publish(temporary, root / f"{parts.name}-{manifest.id[:8]}", manifest)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fill(directory: Path, parts: Parts | XmlParts) -> Manifest:
    own, files = _classifier(parts) if isinstance(parts, Parts) else _xml(parts)
    files = {**parts.models, **files, **{f"golden/{name}": data for name, data in parts.pictures.items()}}
    content = {
        "format": "imago-bundle-1",
        "name": parts.name,
        "source": parts.source,
        "preprocess": parts.preprocess.model_dump(mode="json"),
        "training": parts.training and parts.training.model_dump(mode="json"),
        "metrics": {name: float(value) for name, value in parts.metrics.items()},
        "files": {
            path: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for path, data in files.items()
        },
        **own,
    }
    content["id"] = bundle_id(content)
    for path, data in {**files, "manifest.json": canonical(content)}.items():
        _write_file(directory / path, data)
    return store.read_manifest(directory)


def _classifier(parts: Parts) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What only manifests of this kind say, and the files that are made here."""
    engine = onnx_cpu.load(parts.models["model.onnx"], parts.preprocess, len(parts.labels))
    expected = golden.record(parts.pictures, parts.preprocess, engine.run)
    own = {
        "kind": "classifier",
        "scores": parts.scores,
        "labels": len(parts.labels),
        "thresholds": [float(threshold) for threshold in parts.thresholds],
        "tolerance": float(parts.tolerance),
    }
    return own, {
        "labels.txt": "".join(f"{label}\n" for label in parts.labels).encode(),
        "golden/expected.json": canonical(expected.model_dump(mode="json")),
    }


def _xml(parts: XmlParts) -> tuple[dict[str, Any], dict[str, bytes]]:
    codec = Codec(schema.parse(parts.schema, "schema.rng"))
    tokens = len(codec.automaton.tokens)
    engine = onnx_xml.load(parts.models["encoder.onnx"], parts.models["step.onnx"], parts.preprocess, tokens)
    decoder = Decoder(engine.encode, engine.step, codec, parts.most_tokens)
    expected = golden.record_xml(
        parts.pictures,
        parts.preprocess,
        lambda pixels: [codec.tokens(decoder.decode(one).events) for one in pixels],
    )
    own = {
        "kind": "xml",
        "vocabulary": tokens,
        "most_tokens": parts.most_tokens,
        "sure": parts.sure.model_dump(mode="json"),
    }
    return own, {
        "schema.rng": parts.schema,
        "golden/expected.json": canonical(expected.model_dump(mode="json")),
    }


def _publish(temporary: Path, target: Path, manifest: Manifest) -> Path:
    if target.exists():
        # The id is the content: what is there already is the same, unless somebody changed it.
        if store.verify(target).id != manifest.id:
            raise BundleError(f"{target}: another bundle has this name; move it away")
        return target
    temporary.chmod(0o755)  # mkdtemp makes it private
    _sync(temporary / "golden")
    _sync(temporary)
    temporary.rename(target)
    _sync(target.parent)
    return target


def _write_file(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
