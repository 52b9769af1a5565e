"""What an exported file says about its bundle, and what reading one back has in common over the formats."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bundle.errors import BundleError
from bundle.manifest import ClassifierManifest
from converter.subject import Subject


def classifier(subject: Subject) -> ClassifierManifest:
    """Raises BundleError for a bundle that makes XML."""
    if subject.manifest.kind != "classifier":
        raise BundleError(f"{subject.directory}: makes XML; only classifiers are written here")
    return subject.manifest


def about(subject: Subject) -> dict[str, str]:
    """Key -> text, the labels left out; for whatever place a format has for such things."""
    manifest = classifier(subject)
    spec = manifest.preprocess
    told = {
        "name": manifest.name,
        "id": manifest.id,
        "version": manifest.id[:8],
        "author": "Imago",
        "description": f"{manifest.name}: 8-bit RGB pixels ({spec.height} x {spec.width}, fitted by {spec.resize}) to the "
        f"{manifest.scores} scores of {manifest.labels} labels; no scaling outside",
        "scores": manifest.scores,
    }
    if manifest.thresholds:
        told["thresholds"] = json.dumps(manifest.thresholds)
    return told


def about_json(subject: Subject) -> bytes:
    return json.dumps(about(subject), indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def label_lines(subject: Subject) -> bytes:
    """labels.txt: one a line, in output order."""
    return "".join(f"{label}\n" for label in subject.labels).encode()


def split_labels(data: bytes) -> tuple[str, ...]:
    """The way back. Raises ValueError for what is not UTF-8."""
    return tuple(data.decode().removesuffix("\n").split("\n"))


def the_file(folder: Path, pattern: str) -> Path:
    """The only one in `folder` that is called so. Raises BundleError."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise BundleError(f"{folder}: {len(found)} files like {pattern}, one wanted; export the bundle again")
    return found[0]


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Whatever a runtime raises over a damaged file becomes one sentence."""
    try:
        yield
    except BundleError:
        raise
    except Exception as error:  # runtimes raise dozens of kinds, most without a common parent
        raise BundleError(f"{path}: cannot be read ({reason(error)}); export the bundle again") from error


def reason(error: Exception) -> str:
    """The first line of what a library says, at most 160 letters, to stand in a sentence."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:160]


def in_pieces(run: Callable[[np.ndarray], np.ndarray], size: int) -> Callable[[np.ndarray], np.ndarray]:
    """The same over batches of any length, `size` pictures at once: what is between the layers takes megabytes a picture."""
    return lambda pixels: np.concatenate(
        [np.asarray(run(pixels[start : start + size]), np.float32) for start in range(0, len(pixels), size)]
    )


def calibration(pictures: np.ndarray | None, what: str) -> np.ndarray:
    """Raises BundleError where there are none."""
    if pictures is None or not len(pictures):
        raise BundleError(f"{what} int8 finds its ranges on pictures; name a folder of 100 or so with --calibrate DIR")
    return pictures
