"""Golden pictures: a client's own bytes and what they must give, so one check covers decoder, resizer, engine and answer."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from bundle import image, store
from bundle.errors import BundleError
from bundle.image import Preprocess
from bundle.manifest import Expected, Golden, Manifest, parse

Run = Callable[[np.ndarray], np.ndarray]


def record(pictures: Mapping[str, bytes], spec: Preprocess, run: Run) -> Expected:
    """What each picture gives now. Raises PictureError."""
    return Expected(pictures={name: _golden(data, spec, run) for name, data in sorted(pictures.items())})


def replay(directory: Path, manifest: Manifest, run: Run) -> list[str]:
    """Sentences about pictures that decode to other pixels here. Raises BundleError for one with another output."""
    where = directory / "golden" / "expected.json"
    expected = parse(Expected, store.read_file(directory, "golden/expected.json"), str(where))
    if not expected.pictures:
        raise BundleError(f"{where}: no pictures, at least one wanted; write the bundle again with --golden DIR")
    warnings = []
    for name, wanted in expected.pictures.items():
        found = _golden(store.read_file(directory, f"golden/{name}"), manifest.preprocess, run)
        off = _distance(found.output, wanted.output)
        if not off <= manifest.tolerance:
            raise BundleError(
                f"{directory / 'golden' / name}: scores differ by {off:.3g} from the recorded ones, at most "
                f"{manifest.tolerance:g} wanted; the engine or the decoder on this machine answers differently"
            )
        if found.input_sha256 != wanted.input_sha256:
            warnings.append(f"golden/{name} decodes to slightly other pixels here, its scores agree within {off:.1e}")
    return warnings


def _golden(data: bytes, spec: Preprocess, run: Run) -> Golden:
    pixels = image.preprocess(image.decode(data, spec), spec)
    row = run(pixels[None])[0]
    return Golden(input_sha256=hashlib.sha256(pixels.tobytes()).hexdigest(), output=tuple(float(x) for x in row))


def _distance(found: tuple[float, ...], wanted: tuple[float, ...]) -> float:
    """Largest difference of two scores; infinite where the counts differ."""
    if len(found) != len(wanted):
        return float("inf")
    return float(np.max(np.abs(np.subtract(found, wanted))))
