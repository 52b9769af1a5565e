"""The networks that see: uint8 pixels in, features out, normalisation inside."""

import hashlib
import json
import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from bundle.engine.keras_any import import_keras
from bundle.errors import DataError
from training.run import Backbone, Run

Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is particular to a backbone of keras.applications."""

    application: str
    size: int  # pixels, by default
    smallest: int
    scale: Triple | float = 1.0
    offset: Triple | float = 0.0  # input = pixels * scale + offset, RGB
    bgr: bool = False  # its published weights read blue first
    widths: tuple[float, ...] = ()  # alphas with published weights
    sizes: tuple[int, ...] = ()  # with published weights of their own; other sizes get those of `size`
    options: dict[str, Any] = field(default_factory=dict)  # of its function


PLANS: dict[Backbone, Plan] = {
    "mobilenet": Plan(
        application="MobileNet",
        size=224,
        smallest=32,
        scale=1 / 127.5,
        offset=-1.0,
        widths=(0.25, 0.5, 0.75, 1.0),
        sizes=(128, 160, 192, 224),
    ),
    "mobilenet_v2": Plan(
        application="MobileNetV2",
        size=224,
        smallest=32,
        scale=1 / 127.5,
        offset=-1.0,
        widths=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
        sizes=(96, 128, 160, 192, 224),
    ),
    "inception_v3": Plan(application="InceptionV3", size=299, smallest=75, scale=1 / 127.5, offset=-1.0),
    # The means of ImageNet in RGB, as the authors of ResNet subtracted them (Caffe).
    "resnet50": Plan(application="ResNet50", size=224, smallest=32, offset=(-123.68, -116.779, -103.939), bgr=True),
    # ImageNet's means and deviations, of values from 0 to 1 (PyTorch); Keras has them as layers of its own, left out here.
    "efficientnet_v2_b0": Plan(
        application="EfficientNetV2B0",
        size=224,
        smallest=32,
        scale=(1 / 255 / 0.229, 1 / 255 / 0.224, 1 / 255 / 0.225),
        offset=(-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
        options={"include_preprocessing": False},
    ),
}

# md5 of the files that Keras publishes with one; MobileNets have none.
PUBLISHED = {
    "inception_v3_weights_tf_dim_ordering_tf_kernels.h5": "9a0d58056eeedaa3f26cb7ebd46da564",
    "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5": "bcbd6486424b2319ff4ef7d526e38f63",
    "resnet50_weights_tf_dim_ordering_tf_kernels.h5": "2cb95161c43110f7111970584f804107",
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5": "4d473c1dd8becc155b73f8504c6f6626",
    "efficientnetv2-b0.h5": "21ecbf6da12460d5c40bb2f29ceb2188",
    "efficientnetv2-b0_notop.h5": "893217f2bb855e2983157299931e43ff",
}

# The first layer; a .keras file that has one was written by Imago.
NORMALISE = "normalise"

# What layers of one block share in their names. InceptionV3 numbers its layers through; there a block ends with its mixedN.
_BLOCK = re.compile(r"conv_(?:pad|dw|pw)_(\d+)|(expanded_conv|block_\d+)_|(conv\d_block\d+)_|(block\d[a-z])_")


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


def blocks(model: Any) -> list[list[str]]:
    """Names of the layers of a backbone from input to output, block by block: a stem, the blocks as the papers have them,
    and a last convolution where there is one. Works on a model with a head too; pooling and head are left out."""
    layers = [layer.name for layer in model.layers]
    last = max(at for at, layer in enumerate(model.layers) if type(layer).__name__ == "GlobalAveragePooling2D")
    passed, keys = 0, {}
    for name in layers[layers.index(NORMALISE) + 1 : last]:
        found = _BLOCK.match(name)
        keys[name] = (passed, found and found.group(found.lastindex or 0))
        passed += bool(re.fullmatch(r"mixed\d+", name))
    return [list(names) for _, names in groupby(keys, key=keys.__getitem__)]


def check(run: Run | Wanted) -> None:
    """Raises DataError for a width or size that the backbone does not have."""
    plan = PLANS[run.backbone]
    if not plan.widths and run.alpha != 1.0:
        raise DataError(f"--alpha {run.alpha:g}: only a mobilenet has a width; leave it out for {run.backbone}")
    if run.weights == "imagenet" and plan.widths and run.alpha not in plan.widths:
        widths = ", ".join(f"{width:g}" for width in plan.widths)
        raise DataError(f"--alpha {run.alpha:g}: {run.backbone} has ImageNet weights for {widths}; choose one of them")
    if run.size < plan.smallest:
        raise DataError(f"--size {run.size}: {run.backbone} needs at least {plan.smallest} pixels")


def weights_digest(model: Any) -> str:
    """sha256 over all weights, in the order of the layers."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(weight.tobytes())
    return digest.hexdigest()


def _build(run: Run | Wanted, top: dict[str, Any]) -> Any:
    check(run)
    keras = import_keras()
    keras.utils.clear_session()  # names of layers go into the bundle, and count what was made before
    plan = PLANS[run.backbone]
    application: Callable[..., Any] = getattr(keras.applications, plan.application)
    width = {"alpha": run.alpha} if plan.widths else {}
    sized = {"input_shape": (run.size, run.size, 3)} if run.size in plan.sizes else {}
    pixels = keras.Input((run.size, run.size, 3), dtype="uint8", name="pixels")
    normalised = keras.layers.Rescaling(plan.scale, offset=plan.offset, name=NORMALISE)(pixels)

    def build(weights: str | None) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that another size's weights are taken, which is the point
            seen = application(input_tensor=normalised, weights=weights, **plan.options, **sized, **width, **top)
        return keras.Model(pixels, seen.output, name=run.backbone)

    model = _fetched(build) if run.weights == "imagenet" else build(None)
    if run.weights not in ("imagenet", "none"):
        _load(model, Path(run.weights), run)
    if plan.bgr and run.weights != "none" and not _is_ours(Path(run.weights)):
        first = next(layer for layer in model.layers if layer.weights)
        kernel, *rest = first.get_weights()
        first.set_weights([kernel[:, :, ::-1, :], *rest])
    return model


def _is_ours(path: Path) -> bool:
    """A .keras file of Imago, whose first kernel reads red first already."""
    if path.suffix != ".keras":
        return False
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    return any(layer.get("name") == NORMALISE for layer in config["config"].get("layers", []))


def _load(model: Any, path: Path, run: Run | Wanted) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such weights file; --weights takes imagenet, none or a .weights.h5 file of Keras")
    _check_published(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Keras only warns where layers would keep random weights
            _load_old(model, path) if _is_old(path) else model.load_weights(path)
    except Exception as error:  # Keras and h5py raise ValueError, OSError, KeyError, UserWarning, ...
        width = f" with --alpha {run.alpha:g}" if PLANS[run.backbone].widths else ""
        reason = str(error).splitlines()[0].split(". ")[0]
        raise DataError(f"{path}: these are no weights for {run.backbone}{width} ({reason[:160]})") from None


def _check_published(path: Path) -> None:
    """Raises DataError for other bytes under the name of a file that Keras publishes."""
    wanted = PUBLISHED.get(path.name)
    if wanted is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != wanted:
        raise DataError(
            f"{path}: has the name of a file that Keras publishes but not its content (md5 {found}, {wanted} wanted); "
            "fetch it again, or rename it if it is your own"
        )


def _is_old(path: Path) -> bool:
    """Of Keras before 3, as those it publishes are: layers in order, under names that mean nothing here."""
    return path.suffix in (".h5", ".hdf5") and not path.name.endswith(".weights.h5")


def _load_old(model: Any, path: Path) -> None:
    """Layer by layer in the file's order; layers that a file has beyond the model's are its head, and stay out.

    Raises ValueError, KeyError, OSError for a file that does not fit.
    """
    import h5py

    layers = [layer for layer in model.layers if layer.weights]
    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        named = [group[name] for name in group.attrs["layer_names"] if len(group[name].attrs["weight_names"])]
        if len(named) < len(layers):
            raise ValueError(f"{len(named)} layers found, {len(layers)} wanted")
        for layer, saved in zip(layers, named, strict=False):
            layer.set_weights([saved[name][()] for name in saved.attrs["weight_names"]])


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
