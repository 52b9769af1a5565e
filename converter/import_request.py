"""What `imago import` is asked for, and what can be refused before any file is read."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundle.errors import BundleError
from bundle.manifest import NAME

Form = Literal["keras-json", "keras", "graphdef", "onnx"]
# What people try that has no way back.
_OTHERS = {
    *(".tflite", ".mlmodel", ".mlpackage", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".bin", ".safetensors"),
    *(".params", ".caffemodel", ".engine", ".torchscript"),
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to import, and what its files do not say."""

    form: Form
    source: Path
    out: Path
    weights: Path | None = None
    labels: Path | None = None
    name: str | None = None
    golden: Path | None = None
    scores: Literal["softmax", "sigmoid"] | None = None
    logits: bool = False  # the network ends before its softmax or sigmoid
    background: bool = False  # the first output is that of nothing, and has no label
    threshold: float | None = None  # of every label, where a picture may have several
    pixels: str | None = None
    resize: Literal["squash", "crop", "pad"] | None = None
    size: tuple[int, int] | None = None  # height and width
    input: str | None = None
    output: str | None = None


def check(request: Request) -> None:
    """Raises BundleError for files that never come back, for options that the source has no use for, and for a folder that cannot be written to."""
    for path in (request.source, request.weights):
        if path and path.suffix.lower() in _OTHERS:
            raise BundleError(
                f"{path}: {path.suffix} files do not come back; imported are .onnx, .keras, .h5, model.json with its weights, "
                "and frozen GraphDefs (.pb)"
            )
    if request.source.is_dir():
        raise BundleError(f"{request.source}: is a folder; a file wanted (a SavedModel has to be frozen to a GraphDef)")
    if request.weights and request.form != "keras-json":
        raise BundleError(f"--weights belongs to --keras-json; {request.source} has its own")
    if (request.input or request.output) and request.form not in ("graphdef", "onnx"):
        raise BundleError("--input and --output are for --graphdef and --onnx; Keras knows its own")
    if request.name and not NAME.fullmatch(request.name):
        raise BundleError(f"--name {request.name}: letters, digits, '.', '_' and '-' wanted, 64 at most")
    _check_folder(request.out)


def _check_folder(out: Path) -> None:
    """Raises BundleError where no bundle could be written at the end of all the work."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        reason = "cannot be written to" if there.is_dir() else "is no folder"
        raise BundleError(f"{there}: {reason}; choose another with --out")
