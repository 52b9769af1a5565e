"""Golden pictures: a client's own bytes and what they must give, so one check covers decoder, resizer, engine and answer."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle import image, store
from bundle.errors import BundleError, DataError, PictureError
from bundle.image import Preprocess
from bundle.manifest import Expected, ExpectedXml, Golden, GoldenXml, Manifest, parse

# uint8 (1, h, w, 3) -> the scores (1, k); of a model that makes XML a list of one document's tokens.
Run = Callable[[np.ndarray], Any]
# Every load of a bundle runs them all.
MOST = 16


def from_folder(folder: Path, spec: Preprocess) -> dict[str, bytes]:
    """All pictures in it, by number: what a customer called one is nobody's business. Raises DataError for too few or too many,
    and for a file that is no picture."""
    found = folder.iterdir() if folder.is_dir() else ()
    paths = sorted(path for path in found if path.is_file() and not path.name.startswith("."))
    if not 1 <= len(paths) <= MOST:
        raise DataError(f"{folder}: {len(paths)} golden pictures; wanted a folder with 1 to {MOST}")
    for path in paths:
        try:
            image.decode(path.read_bytes(), spec)
        except PictureError as error:
            raise DataError(f"{path}: {error}") from None
    return {f"{number}{path.suffix.lower()}": path.read_bytes() for number, path in enumerate(paths)}


def record(pictures: Mapping[str, bytes], spec: Preprocess, run: Run) -> Expected:
    """What each picture gives now. Raises PictureError."""
    found = {name: _seen(data, spec, run) for name, data in sorted(pictures.items())}
    return Expected(
        pictures={
            name: Golden(input_sha256=digest, output=tuple(map(float, row))) for name, (digest, row) in found.items()
        }
    )


def record_xml(pictures: Mapping[str, bytes], spec: Preprocess, run: Run) -> ExpectedXml:
    """The same in tokens. Raises PictureError."""
    found = {name: _seen(data, spec, run) for name, data in sorted(pictures.items())}
    return ExpectedXml(
        pictures={
            name: GoldenXml(input_sha256=digest, output=tuple(map(int, tokens)))
            for name, (digest, tokens) in found.items()
        }
    )


def replay(directory: Path, manifest: Manifest, run: Run) -> list[str]:
    """Sentences about pictures that decode to other pixels here. Raises BundleError for one with another output."""
    where = directory / "golden" / "expected.json"
    contract: type[Expected | ExpectedXml] = ExpectedXml if manifest.kind == "xml" else Expected
    expected = parse(contract, store.read_file(directory, "golden/expected.json"), str(where))
    if not expected.pictures:
        raise BundleError(f"{where}: no pictures, at least one wanted; write the bundle again with --golden DIR")
    warnings = []
    for name, wanted in expected.pictures.items():
        digest, found = _seen(store.read_file(directory, f"golden/{name}"), manifest.preprocess, run)
        agrees = _agrees(manifest, found, wanted.output, directory / "golden" / name)
        if digest != wanted.input_sha256:
            warnings.append(f"golden/{name} decodes to slightly other pixels here, {agrees}")
    return warnings


def _seen(data: bytes, spec: Preprocess, run: Run) -> tuple[str, Any]:
    """The digest of a picture's pixels, and what they give."""
    pixels = image.preprocess(image.decode(data, spec), spec)
    return hashlib.sha256(pixels.tobytes()).hexdigest(), run(pixels[None])[0]


def _agrees(manifest: Manifest, found: Any, wanted: Sequence[float], where: Path) -> str:
    """How well, in words. Raises BundleError where it does not."""
    mend = "the engine or the decoder on this machine answers differently"
    if manifest.kind == "xml":
        if tuple(found) != tuple(wanted):
            raise BundleError(
                f"{where}: gives {len(found)} tokens that are not the {len(wanted)} recorded ones; {mend}"
            )
        return "its document is the same"
    off = _distance(found, wanted)
    if not off <= manifest.tolerance:
        raise BundleError(
            f"{where}: scores differ by {off:.3g} from the recorded ones, at most {manifest.tolerance:g} wanted; {mend}"
        )
    return f"its scores agree within {off:.1e}"


def _distance(found: Sequence[float], wanted: Sequence[float]) -> float:
    """Largest difference of two scores; infinite where the counts differ."""
    if len(found) != len(wanted):
        return float("inf")
    return float(np.max(np.abs(np.subtract(found, wanted))))
