"""The networks that see: uint8 pixels in, features out, normalisation inside."""

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.engine.keras_any import import_keras
from bundle.errors import DataError
from training.run import Backbone, Run


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is particular to a backbone of keras.applications."""

    application: str
    size: int  # pixels, by default
    smallest: int
    scale: float
    offset: tuple[float, float, float] | float  # input = pixels * scale + offset, RGB
    bgr: bool  # its published weights read blue first


PLANS: dict[Backbone, Plan] = {
    "mobilenet": Plan(application="MobileNet", size=224, smallest=32, scale=1 / 127.5, offset=-1.0, bgr=False),
    "inception_v3": Plan(application="InceptionV3", size=299, smallest=75, scale=1 / 127.5, offset=-1.0, bgr=False),
    # The means of ImageNet in RGB, as the authors of ResNet subtracted them (Caffe).
    "resnet50": Plan(
        application="ResNet50", size=224, smallest=32, scale=1.0, offset=(-123.68, -116.779, -103.939), bgr=True
    ),
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked of a backbone; a Run has it all."""

    backbone: Backbone
    alpha: float  # width of a MobileNet
    size: int  # pixels, both sides
    weights: str  # imagenet, none, or a file


def features(run: Run | Wanted) -> Any:
    """keras.Model: uint8 (n, size, size, 3) -> float32 (n, d). Raises DataError for weights that do not fit."""
    return _build(run, {"include_top": False, "pooling": "avg"})


def imagenet(run: Run) -> Any:
    """keras.Model: uint8 (n, size, size, 3) -> softmax float32 (n, 1000). Raises DataError."""
    return _build(run, {"include_top": True})


def weights_digest(model: Any) -> str:
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(weight.tobytes())
    return digest.hexdigest()


def _build(run: Run | Wanted, top: dict[str, Any]) -> Any:
    keras = import_keras()
    plan = PLANS[run.backbone]
    application: Callable[..., Any] = getattr(keras.applications, plan.application)
    width = {"alpha": run.alpha} if run.backbone == "mobilenet" else {}
    pixels = keras.Input((run.size, run.size, 3), dtype="uint8", name="pixels")
    normalised = keras.layers.Rescaling(plan.scale, offset=plan.offset, name="normalise")(pixels)

    def build(weights: str | None) -> Any:
        seen = application(input_tensor=normalised, weights=weights, **width, **top)
        return keras.Model(pixels, seen.output, name=run.backbone)

    model = _fetched(build) if run.weights == "imagenet" else build(None)
    if run.weights not in ("imagenet", "none"):
        _load(model, Path(run.weights), run)
    if plan.bgr and run.weights != "none":
        first = next(layer for layer in model.layers if layer.weights)
        kernel, *rest = first.get_weights()
        first.set_weights([kernel[:, :, ::-1, :], *rest])
    return model


def _load(model: Any, path: Path, run: Run | Wanted) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such weights file; --weights takes imagenet, none or a .weights.h5 file of Keras")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Keras only warns where layers would keep random weights
            model.load_weights(path)
    except Exception as error:  # Keras and h5py raise ValueError, OSError, KeyError, UserWarning, ...
        width = f" with --alpha {run.alpha:g}" if run.backbone == "mobilenet" else ""
        reason = str(error).splitlines()[0].split(". ")[0]
        raise DataError(f"{path}: these are no weights for {run.backbone}{width} ({reason[:160]})") from None


def _fetched(build: Callable[[str], Any]) -> Any:
    try:
        return build("imagenet")
    except Exception as error:
        if isinstance(error, ValueError):
            raise DataError(f"--weights imagenet: {str(error).splitlines()[0]}") from None
        raise DataError(
            "the ImageNet weights could not be fetched (is this machine on the internet?); give a file with --weights FILE, "
            "put it into ~/.keras/models from another machine, or train from scratch with --weights none"
        ) from None
