"""The way back: a classifier that another tool wrote becomes a bundle."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bundle import golden, write
from bundle.errors import BundleError
from bundle.image import Preprocess
from converter import (
    drawn,
    facts,
    graph_source,
    import_answers,
    import_request,
    keras_source,
    label_files,
    onnx_contract,
    onnx_file_checks,
    pixels,
)
from converter.facts import Facts
from converter.import_request import Request
from converter.pixels import Around

# Of what recorded scores and those of another machine may differ by; that of training.
TOLERANCE = 1e-4
# The contract's.
MAX_SIDE = 4096


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
    import_request.check(request)
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
    thresholds = _thresholds(work, scores, len(labels))
    height, width = around.size
    preprocess = Preprocess(height=height, width=width, resize=_resize(work), resample="bilinear", color="rgb")
    pictures = _pictures(work, preprocess)
    models = _models(network, around, request.source)
    import_answers.check(models["model.onnx"], around, scores, request.source)
    parts = write.Parts(
        name=_name(work),
        source="keras" if "model.keras" in models else "onnx",
        preprocess=preprocess,
        scores=scores,
        labels=labels,
        thresholds=thresholds,
        training=None,
        metrics={},
        tolerance=TOLERANCE,
        models=models,
        pictures=pictures,
    )
    return Imported(write.write(request.out, parts), tuple(work.notes))


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
    elif not begins and not network.small:
        work.notes.append(
            f"pixels: {request.pixels} as you say, which nothing in the file confirms; the wrong range gives wrong labels and no "
            "error, so predict pictures that you know"
        )
    return pixels.parse(found)


def _size(request: Request, network: Any) -> tuple[int, int]:
    size = network.size or request.size
    if size is None:
        raise BundleError(
            f"{request.source}: takes pictures of any size; say which with --size, such as 224 or 240x320"
        )
    if network.size and request.size and network.size != request.size:
        raise BundleError(f"{request.source}: takes {network.size[1]} x {network.size[0]} pixels; leave --size away")
    if max(size) > MAX_SIDE:
        raise BundleError(f"{request.source}: takes {size[1]} x {size[0]} pixels; a side of at most {MAX_SIDE} wanted")
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
    mend = "one for each output is wanted, in their order; give the list with --labels"
    if request.background and outputs == len(labels) - 1:
        mend = "leave --background away"
    elif outputs == len(labels) + 1:
        mend = "add --background if the first output is that of no label, as in TensorFlow's ImageNet models"
    raise BundleError(f"{request.source}: has {outputs} outputs and there are {len(labels)} labels; {mend}")


def _scores(work: _Work, network: Any) -> Literal["softmax", "sigmoid"]:
    found = work.request.scores or network.ends or work.known.scores or "softmax"
    if network.ends and found != network.ends:
        raise BundleError(f"{work.request.source}: ends in {network.ends}; leave --scores away")
    return "sigmoid" if found == "sigmoid" else "softmax"


def _activation(work: _Work, network: Any, pair: bool) -> str | None:
    """What is put behind logits. One score in place of two has to be a probability by somebody's word: no sum shows whether it is."""
    if not work.request.logits:
        if pair and "sigmoid" not in (network.ends, work.request.scores):
            raise BundleError(
                f"{work.request.source}: its one score comes out of no sigmoid; add --logits if it ends before that, or "
                "--scores sigmoid if the score is a probability"
            )
        return None
    if network.ends:
        raise BundleError(f"{work.request.source}: ends in {network.ends} already; leave --logits away")
    return "sigmoid" if pair else _scores(work, network)


def _resize(work: _Work) -> Literal["squash", "crop", "pad"]:
    found = work.request.resize or work.known.resize
    if not found:
        work.notes.append("resize: squash, as retrain and Keras' generators did it; --resize crop or pad for others")
    return found or "squash"  # type: ignore[return-value]


def _thresholds(work: _Work, scores: str, count: int) -> tuple[float, ...]:
    if scores == "softmax":
        if work.request.threshold is not None:
            raise BundleError("--threshold is for sigmoid scores; these are softmax, whose highest label counts")
        return ()
    known = work.known.thresholds
    if work.request.threshold is None and known and len(known) == count:
        return known
    threshold = 0.5 if work.request.threshold is None else work.request.threshold
    work.notes.append(f"thresholds: a label is present from {threshold:g} on; --threshold sets another")
    return (threshold,) * count


def _name(work: _Work) -> str:
    """As said, as the export says, or after the file, in letters that a name may have."""
    found = [
        re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:64]
        for name in (work.known.name or "", work.request.source.stem)
    ]
    return work.request.name or found[0] or found[1] or "imported"


def _pictures(work: _Work, spec: Preprocess) -> Mapping[str, bytes]:
    """Raises DataError."""
    if work.request.golden:
        return golden.from_folder(work.request.golden, spec)
    work.notes.append("golden pictures: drawn; --golden DIR takes yours")
    return drawn.pictures()


def _models(network: Any, around: Around, where: Path) -> dict[str, bytes]:
    """The bundle's files."""
    if isinstance(network, onnx_contract.Network):
        return {"model.onnx": onnx_contract.wrap(network, around)}
    model = keras_source.wrap(network, around)
    models = keras_source.models(model)
    import_answers.check_converted(models["model.onnx"], lambda noise: model(noise, training=False), around, where)
    return models
