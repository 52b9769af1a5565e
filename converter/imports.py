"""The way back: a classifier that another tool wrote becomes a bundle."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bundle import write
from bundle.engine import onnx_cpu
from bundle.errors import BundleError, DataError
from bundle.image import Preprocess
from converter import drawn, facts, graph_source, keras_source, label_files, onnx_contract, onnx_file_checks, pixels
from converter.facts import Facts
from converter.pixels import Around

Form = Literal["keras-json", "keras", "graphdef", "onnx"]
# Of what recorded scores and those of another machine may differ by; that of training.
TOLERANCE = 1e-4
# Layers and what ONNX makes of them.
CLOSE = 1e-4
MOST_PICTURES = 16
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


@dataclass(frozen=True)
class Imported:
    bundle: Path
    notes: tuple[str, ...]  # what was found or taken for granted, a sentence each


@dataclass
class _Work:
    """A request and what is known by now."""

    request: Request
    known: Facts
    notes: list[str] = field(default_factory=list)


def main(request: Request) -> Imported:
    """Writes the bundle and checks it. Raises BundleError, DataError, MissingExtra."""
    check_form(request)
    work = _Work(request, facts.beside(request.source))
    network, told = _network(work)
    labels, pair = _fitting(work, _labels(work), network)
    around = Around(
        pixels=_pixels(work, network, told),
        size=_size(request, network),
        activation=_activation(work, network, pair),
        pair=pair,
        outputs=len(labels),
    )
    scores = "softmax" if pair else _scores(work, network)
    height, width = around.size
    models = _models(network, around, request.source)
    _check_answers(models["model.onnx"], around, scores, request.source)
    parts = write.Parts(
        name=_name(work),
        source="keras" if "model.keras" in models else "onnx",
        preprocess=Preprocess(height=height, width=width, resize=_resize(work), resample="bilinear", color="rgb"),
        scores=scores,
        labels=labels,
        thresholds=_thresholds(work, len(labels)) if scores == "sigmoid" else (),
        training=None,
        metrics={},
        tolerance=TOLERANCE,
        models=models,
        pictures=_pictures(work),
    )
    return Imported(write.write(request.out, parts), tuple(work.notes))


def check_form(request: Request) -> None:
    """Raises BundleError for files that never come back, and for options that the source has no use for."""
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


def _network(work: _Work) -> tuple[Any, str | None]:
    """The network, and --pixels' word for its range where the file tells."""
    request, where = work.request, str(work.request.source)
    if request.form == "keras-json":
        return keras_source.look(keras_source.from_json(request.source, request.weights), where), None
    if request.form == "keras":
        return keras_source.look(keras_source.from_file(request.source), where), None
    if request.form == "onnx":
        model, told = onnx_file_checks.read(request.source), None
        work.known = facts.merged(facts.of_onnx(model), work.known)
        source, target = request.input, request.output
    else:
        converted, told = graph_source.read(
            request.source, source=request.input, target=request.output, size=request.size
        )
        model, source, target = onnx_file_checks.checked(converted, where), None, None
    return onnx_contract.look(model, where, source=source, target=target), told


def _labels(work: _Work) -> tuple[str, ...]:
    request = work.request
    if request.labels:
        return label_files.read(request.labels)
    if work.known.labels:
        work.notes.append(f"labels: {len(work.known.labels)}, which the export brings along")
        return label_files.each_once(list(work.known.labels))
    if found := label_files.beside(request.source):
        work.notes.append(f"labels: from {found}")
        return label_files.read(found)
    raise BundleError(f"{request.source}: no labels found beside it; give them with --labels FILE, one a line")


def _pixels(work: _Work, network: Any, told: str | None) -> pixels.Pixels:
    request = work.request
    begins = pixels.told(network.begins)
    found = request.pixels or ("0..255" if network.small else told or begins)
    if not found:
        raise BundleError(
            f"{request.source}: does not say which numbers it was trained on; say it with --pixels: {pixels.CHOICES}"
        )
    if network.small and found != "0..255":
        raise BundleError(f"{request.source}: takes pixels of 8 bits, which are 0..255; leave --pixels away")
    if not request.pixels:
        work.notes.append(f"pixels: {found}, {'as its input says' if network.small else 'as it begins'}")
    elif begins and begins != request.pixels:
        work.notes.append(f"pixels: {request.pixels} as you say, though the network begins as if it took {begins}")
    return pixels.parse(found)


def _size(request: Request, network: Any) -> tuple[int, int]:
    size = network.size or request.size
    if size is None:
        raise BundleError(
            f"{request.source}: takes pictures of any size; say which with --size, such as 224 or 240x320"
        )
    if network.size and request.size and network.size != request.size:
        raise BundleError(f"{request.source}: takes {network.size[1]} x {network.size[0]} pixels; leave --size away")
    return int(size[0]), int(size[1])


def _fitting(work: _Work, labels: tuple[str, ...], network: Any) -> tuple[tuple[str, ...], bool]:
    """The labels, as many as there are outputs, and whether one output becomes two. Raises BundleError with both numbers."""
    request, outputs = work.request, network.outputs or len(labels)
    if request.background:
        labels = label_files.each_once(["background", *labels])
    if outputs == len(labels):
        return labels, False
    if outputs == 1 and len(labels) == 2:
        work.notes.append(f"scores: the network's one score is that of {labels[1]!r}, the rest that of {labels[0]!r}")
        return labels, True
    mend = "fix the list of labels"
    if outputs == len(labels) + 1:
        mend = "add --background if the first output is that of no label, as in TensorFlow's ImageNet models"
    raise BundleError(f"{request.source}: has {outputs} outputs and there are {len(labels)} labels; {mend}")


def _scores(work: _Work, network: Any) -> Literal["softmax", "sigmoid"]:
    found = work.request.scores or network.ends or work.known.scores or "softmax"
    if network.ends and found != network.ends:
        raise BundleError(f"{work.request.source}: ends in {network.ends}; leave --scores away")
    return "sigmoid" if found == "sigmoid" else "softmax"


def _activation(work: _Work, network: Any, pair: bool) -> str | None:
    """What is put behind logits."""
    if not work.request.logits:
        return None
    if network.ends:
        raise BundleError(f"{work.request.source}: ends in {network.ends} already; leave --logits away")
    return "sigmoid" if pair else _scores(work, network)


def _resize(work: _Work) -> Literal["squash", "crop", "pad"]:
    found = work.request.resize or work.known.resize
    if not found:
        work.notes.append("resize: squash, as retrain and Keras' generators did it; --resize crop or pad for others")
    return found or "squash"  # type: ignore[return-value]


def _thresholds(work: _Work, count: int) -> tuple[float, ...]:
    known = work.known.thresholds
    if work.request.threshold is None and known and len(known) == count:
        return known
    threshold = 0.5 if work.request.threshold is None else work.request.threshold
    work.notes.append(f"thresholds: a label is present from {threshold:g} on; --threshold sets another")
    return (threshold,) * count


def _name(work: _Work) -> str:
    """As said, as the export says, or after the file, in letters that a name may have."""
    found = work.request.name or work.known.name
    return found or re.sub(r"[^A-Za-z0-9._-]+", "-", work.request.source.stem).strip("-._")[:64] or "imported"


def _pictures(work: _Work) -> Mapping[str, bytes]:
    """Named by number: what a customer called a picture is nobody's business."""
    folder = work.request.golden
    if folder is None:
        work.notes.append("golden pictures: drawn; --golden DIR takes yours")
        return drawn.pictures()
    paths = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    if not 1 <= len(paths) <= MOST_PICTURES:
        raise DataError(f"{folder}: {len(paths)} golden pictures; wanted a folder with 1 to {MOST_PICTURES}")
    return {f"{number}{path.suffix.lower()}": path.read_bytes() for number, path in enumerate(paths)}


def _models(network: Any, around: Around, where: Path) -> dict[str, bytes]:
    """The bundle's files."""
    if isinstance(network, onnx_contract.Network):
        return {"model.onnx": onnx_contract.wrap(network, around)}
    model = keras_source.wrap(network, around)
    models = keras_source.models(model)
    noise = _noise(around.size, 2)
    found = onnx_cpu.open_session(models["model.onnx"], str(where)).run(None, {"pixels": noise})[0]
    off = float(np.abs(found - np.asarray(model(noise, training=False))).max())
    if not off <= CLOSE:
        raise BundleError(
            f"{where}: its scores as ONNX differ by {off:.3g} from Keras', at most {CLOSE:g} wanted; import it as --onnx"
        )
    return models


def _noise(size: tuple[int, int], count: int) -> np.ndarray:
    """uint8 (count, h, w, 3): the first grey."""
    noise = np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8)
    noise[0] = 128
    return noise


def _check_answers(model: bytes, around: Around, scores: str, where: Path) -> None:
    """Runs one picture and three. Raises BundleError where a picture's scores hang on the others, or are no probabilities."""
    session = onnx_cpu.open_session(model, str(where))
    noise = _noise(around.size, 3)
    try:
        one, three = (session.run(None, {"pixels": batch})[0] for batch in (noise[1:2], noise))
    except Exception as error:  # onnxruntime's own kinds share no parent
        reason = str(error).splitlines()[0]
        raise BundleError(
            f"{where}: runs not on one picture and on three ({reason}); export it for any number"
        ) from None
    if one.shape != (1, around.outputs) or three.shape != (3, around.outputs):
        found = " x ".join(map(str, three.shape))
        raise BundleError(
            f"{where}: its scores of 3 pictures are {found}, 3 x {around.outputs} wanted for these labels"
        )
    if not np.isfinite(three).all() or not np.allclose(one[0], three[1], atol=TOLERANCE):
        raise BundleError(
            f"{where}: a picture's scores hang on those beside it, or are no numbers; it cannot be served"
        )
    _check_probable(three, scores, where)


def _check_probable(rows: np.ndarray, scores: str, where: Path) -> None:
    low, high, total = rows.min(), rows.max(), rows.sum(axis=1)
    if low < -1e-6 or high > 1 + 1e-5 or (scores == "softmax" and not np.allclose(total, 1, atol=1e-3)):
        raise BundleError(
            f"{where}: its scores go from {low:.3g} to {high:.3g} and add up to {total.max():.3g}, which is no {scores}; add --logits if "
            f"the network ends before its {scores}, or --scores sigmoid if a picture may have several labels"
        )
