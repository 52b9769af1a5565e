"""Trains an image classifier: a text that reads from top to bottom."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bundle import canonical, write
from bundle.engine import Engine, onnx_cpu
from bundle.engine.keras_any import import_keras
from bundle.errors import BundleError
from bundle.manifest import Training
from training import backbones, features, finetune, goldens, heads, imagenet_labels, metrics, samples
from training.data import cache as caches
from training.data import photos as sets
from training.data.photos import Photos
from training.progress import Progress
from training.run import Run

# Scores of one picture by two engines, or by one engine on two machines, differ by less (1e-5 in fp32).
TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a run, for the command line and the report."""

    bundle: Path
    labels: tuple[str, ...]
    photos: dict[str, int]  # set -> photos
    metrics: dict[str, float]
    classes: list[metrics.PerClass]
    confusion: np.ndarray  # int (k, k): [truth, answer]
    mistakes: list[tuple[Path, str, str, float]]  # the surest first: photo, truth, answer, probability
    skipped: list[tuple[Path, str]]


def main(run: Run, progress: Progress) -> Result:
    """Raises ImagoError where there is nothing to train on or to write."""
    # ---- data: who trains, who judges, who cannot be read --------------------------------------
    with progress.stage("scanning"):
        photos = sets.load(run.data, run.validation)
        golden = goldens.given(run)
    cache = caches.Cache(directory=run.cache, spec=run.preprocess)
    everything = photos.train + photos.validation
    decoded = progress.track("decoding", caches.fill(everything, cache), len(everything))
    skipped = [(photo.path, reason) for photo, reason in decoded if reason]
    for path, reason in skipped:
        progress.note(f"{path} is left out: {reason}")
    photos = sets.without(photos, {path for path, _ in skipped})
    for sentence in photos.notes:
        progress.note(sentence)
    train_labels = np.array([photo.label for photo in photos.train])
    truth = np.array([photo.label for photo in photos.validation])

    # ---- backbone, and a head on what it sees --------------------------------------------------
    with progress.stage("starting Keras"):
        keras = import_keras()
        keras.utils.clear_session()
        keras.utils.set_random_seed(run.seed)
    with progress.stage("building"):
        backbone = backbones.features(run)
        weights = None if run.weights == "none" else backbones.weights_digest(backbone)
        full = _with_head(keras, run, backbone, len(photos.labels))
    if run.weights == "none":
        with progress.epochs("training", run.epochs) as heard:
            finetune.fit(
                run,
                full,
                samples.plain(photos.train, train_labels, cache),
                samples.plain(photos.validation, truth, cache),
                scores="softmax",
                checkpoint=run.cache / "checkpoints" / f"{run.key}-{sets.digest(photos)[:16]}.npz",
                heard=heard,
            )
        kernel, bias = full.get_layer("scores").get_weights()
        with progress.stage("exporting"):
            exported = canonical.onnx_from_keras(backbone, "features")
    else:
        with progress.stage("exporting"):
            exported = canonical.onnx_from_keras(backbone, "features")
        sees = features.engine(run, backbone, exported)
        seen = features.rows(sees, cache, photos.train + photos.validation)
        bank = np.stack(list(progress.track("features", seen, len(train_labels) + len(truth))))
        with progress.stage("head"):
            cut = len(train_labels)
            head, _ = heads.linear(bank[:cut], train_labels, bank[cut:], truth)
            kernel, bias = head.kernel, head.bias
            full.get_layer("scores").set_weights([kernel, bias])

    # ---- evaluation, through the exported model and the engine that will serve it --------------
    onnx = canonical.onnx_with_head(exported, kernel=kernel, bias=bias, scores="softmax")
    served = onnx_cpu.load(onnx, run.preprocess, len(photos.labels))
    judged = progress.track("evaluating", features.rows(served, cache, photos.validation), len(truth))
    rows = np.stack(list(judged))
    figures = {"accuracy": metrics.accuracy(rows, truth)}
    if len(photos.labels) > 10:
        figures["top_5"] = metrics.top_k(rows, truth, 5)
    _check_parity(full, served, cache, photos)

    # ---- the bundle, written, loaded again and checked against its golden pictures -------------
    with progress.stage("writing"):
        bundle = write.write(
            run.out,
            write.Parts(
                name=run.name,
                source="keras",
                preprocess=run.preprocess,
                scores="softmax",
                labels=photos.labels,
                thresholds=(),
                training=_training(run, photos, weights),
                metrics=figures,
                tolerance=TOLERANCE,
                models={"model.keras": canonical.keras_bytes(full), "model.onnx": onnx},
                pictures=golden or goldens.of_data(photos.validation, progress),
            ),
        )
        caches.prune(run.cache, run.cache_bytes)
    counts = metrics.confusion(rows, truth)
    return Result(
        bundle=bundle,
        labels=photos.labels,
        photos={"train": len(photos.train), "validation": len(photos.validation)},
        metrics=figures,
        classes=metrics.per_class(photos.labels, counts),
        confusion=counts,
        mistakes=_mistakes(photos, rows, truth),
        skipped=skipped,
    )


def imagenet(run: Run, labels: Path | None) -> Path:
    """The backbone with the head it was published with, as a bundle: no training, no data."""
    keras = import_keras()
    keras.utils.clear_session()
    full = backbones.imagenet(run)
    names = imagenet_labels.read(labels, run.weights, full.output_shape[1])
    training = Training(
        backbone=run.backbone,
        alpha=run.alpha,
        weights_sha256=backbones.weights_digest(full),
        head="published",
        seed=run.seed,
        data_sha256=None,
        photos=0,
        versions=_versions(),
    )
    return write.write(
        run.out,
        write.Parts(
            name=run.name,
            source="keras",
            preprocess=run.preprocess,
            scores="softmax",
            labels=names,
            thresholds=(),
            training=training,
            metrics={},
            tolerance=TOLERANCE,
            models={
                "model.keras": canonical.keras_bytes(full),
                "model.onnx": canonical.onnx_from_keras(full, "scores"),
            },
            pictures=goldens.given(run) or goldens.drawn(),
        ),
    )


def _with_head(keras: Any, run: Run, backbone: Any, classes: int) -> Any:
    kept = keras.layers.Dropout(run.dropout, name="dropout")(backbone.output)
    scores = keras.layers.Dense(classes, activation="softmax", name="scores")(kept)
    return keras.Model(backbone.input, scores, name="classifier")


def _check_parity(full: Any, served: Engine, cache: caches.Cache, photos: Photos) -> None:
    """The layers and their export agree on real pictures, before anything is written. Raises BundleError."""
    batch = np.stack([cache.read(photo) for photo in photos.validation[:8]])
    off = float(np.abs(np.asarray(full(batch, training=False)) - served.run(batch)).max())
    if not off <= TOLERANCE:
        raise BundleError(
            f"the exported model differs from Keras by {off:.2g}, at most {TOLERANCE:g} wanted; nothing was written"
        )


def _training(run: Run, photos: Photos, weights: str | None) -> Training:
    return Training(
        backbone=run.backbone,
        alpha=run.alpha,
        weights_sha256=weights,
        head="linear" if weights else "end-to-end",
        seed=run.seed,
        data_sha256=sets.digest(photos),
        photos=len(photos.train),
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("imago", "keras", "onnx", "tf2onnx", "pillow", "numpy")}


def _mistakes(photos: Photos, rows: np.ndarray, truth: np.ndarray) -> list[tuple[Path, str, str, float]]:
    answers, sure = rows.argmax(axis=1), rows.max(axis=1)
    wrong = [at for at in np.argsort(-sure, kind="stable") if answers[at] != truth[at]]
    return [
        (photos.validation[at].path, photos.labels[truth[at]], photos.labels[answers[at]], float(sure[at]))
        for at in wrong
    ]
