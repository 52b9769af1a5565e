"""What an exported file says about its bundle, and what reading one back has in common over the formats."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bundle.errors import BundleError, ImagoError
from bundle.manifest import ClassifierManifest
from converter.subject import Subject

LABELS, ABOUT = "labels.txt", "about.json"  # beside a model, or in it


def classifier(subject: Subject) -> ClassifierManifest:
    """Raises BundleError for a bundle that makes XML."""
    if subject.manifest.kind != "classifier":
        raise BundleError(f"{subject.directory}: makes XML; only classifiers are written here")
    return subject.manifest


def about(subject: Subject) -> dict[str, str]:
    """Key -> text, the labels left out; for whatever place a format has for such things."""
    return {**facts(subject), **stated(subject), "version": subject.manifest.id[:8], "description": _described(subject)}


def facts(subject: Subject) -> dict[str, str]:
    """The part that is the bundle's and that programs go by, so that another word in a file is a fault of it."""
    manifest, spec = subject.manifest, subject.spec
    told = {"name": manifest.name, "id": manifest.id, "resize": spec.resize}
    if manifest.kind == "classifier":
        told["scores"] = manifest.scores
        if manifest.thresholds:
            told["thresholds"] = json.dumps(manifest.thresholds)
    return told


def stated(subject: Subject) -> dict[str, str]:
    """What no bundle knows, only who exports it."""
    return {"author": subject.author, **({"license": subject.licence} if subject.licence else {})}


def _described(subject: Subject) -> str:
    manifest, spec = subject.manifest, subject.spec
    if manifest.kind == "xml":
        return f"{manifest.name}: one of the two parts that make XML of a picture"
    wanted = "one" if manifest.scores == "softmax" else "any"
    size = f"{spec.width} x {spec.height}, fitted by {spec.resize}"
    return (
        f"{manifest.name}: {wanted} of {manifest.labels} labels for a picture ({size}; 8-bit RGB, no scaling outside)"
    )


def about_json(subject: Subject) -> bytes:
    return json.dumps(about(subject), indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def read_about(data: bytes) -> dict[str, str]:
    """The way back. Raises ValueError."""
    return {str(key): str(value) for key, value in dict(json.loads(data)).items()}


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
def refusing(path: Path, what: str = "read", remedy: str = "export the bundle again") -> Iterator[None]:
    """Whatever a library raises over a file becomes one sentence."""
    try:
        yield
    except ImagoError:
        raise
    except Exception as error:  # runtimes raise dozens of kinds, most without a common parent
        raise BundleError(f"{path}: cannot be {what} ({reason(error)}); {remedy}") from error


def reason(error: Exception) -> str:
    """The first line of what a library says, at most 200 letters and without the names of TensorFlow's own nodes, to stand in a sentence."""
    lines = (re.sub(r"{{.*?}}", "", line).strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:200]


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
