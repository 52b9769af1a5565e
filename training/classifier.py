"""Trains an image classifier: a text that reads from top to bottom."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bundle import canonical, write
from bundle.engine.keras_any import import_keras
from bundle.manifest import Training
from training import (
    backbones,
    calibrate,
    checks,
    choose,
    dense,
    distort,
    features,
    finetune,
    goldens,
    heads,
    metrics,
    network,
    samples,
)
from training.choose import Candidate
from training.data import cache as caches
from training.data import photos as sets
from training.data import room
from training.data.cache import Cache
from training.data.photos import Photo, Photos
from training.dense import Layers
from training.distort import Policy
from training.features import Extractor
from training.finetune import History
from training.heads import Bank
from training.progress import Progress
from training.result import Alternative, Answers, Photographed, Result, balance, judge, refusal
from training.run import Run, versions

# Photos on the sheet that shows what augmentation does.
SHOWN = 6


def main(run: Run, progress: Progress) -> Result:  # noqa: PLR0915  (a text: one stage after the other)
    """Raises ImagoError where there is nothing to train on or to write."""
    # ---- data: who trains, who judges, who cannot be used --------------------------------------
    with progress.stage("scanning"):
        how = sets.Reading(
            images=run.images, labels=run.labels, multi_label=run.multi_label, cache=run.cache, progress=progress
        )
        photos = sets.load(run.data, run.validation, test=run.test, how=how)
        checks.checked(run, photos.scores)
        golden = goldens.given(run)
    cache = Cache(directory=run.cache, spec=run.preprocess)
    photos = _decoded(run, photos, cache, progress)
    for sentence in (*(f"{name} is left out: {reason}" for name, reason in photos.skipped), *photos.notes):
        progress.note(sentence)
    truth, judging = photos.truth(photos.train), photos.truth(photos.validation)
    varied = _varied(run, photos, progress)
    digest = sets.digest(photos)

    # ---- what the frozen backbone sees, and heads on it ----------------------------------------
    sees, candidates, unseen = None, (), 0
    if run.weights != "none":
        with progress.stage("backbone"):
            sees = features.backbone(run)
        bank, unseen = _bank(sees, photos, varied, progress)
        with progress.stage("head"):
            candidates = choose.candidates(bank, run)
    layers: Layers = candidates[0].head.layers if candidates else ()

    # ---- fine-tuning, from that head or from random numbers on ---------------------------------
    full, history, checkpoint = None, None, run.cache / "runs" / f"{run.key}-{digest[:16]}.npz"
    if run.weights == "none" or run.fine_tune:
        with progress.stage("starting Keras"):
            import_keras().utils.set_random_seed(run.seed)
            full = network.build(run, sees, layers, photos)
        look = samples.varied(photos.train, truth, varied[1], varied[0], run.seed) if varied else None
        with progress.epochs("training", run.epochs) as heard:
            history = finetune.fit(
                run,
                full,
                look or samples.plain(photos.train, truth, cache),
                samples.plain(photos.validation, judging, cache),
                scores=photos.scores,
                checkpoint=checkpoint,
                heard=heard,
                blocks=backbones.blocks(full),
            )
        for sentence in history.notes:
            progress.note(sentence)
        layers = network.layers_of(full)
    frozen = sees if history is None or not history.best else None
    with progress.stage("exporting"):
        exported = frozen.exported if frozen else canonical.onnx_from_keras(network.backbone_of(full), "features")

    # ---- percentages that mean what they say; labels from where on they are present -------------
    with progress.stage("calibrating"):
        eye = frozen or features.exported(run, exported, len(layers[0].kernel), "features")
        seen = features.bank(eye, photos.validation, progress=progress)
        calibration = (
            calibrate.calibration(dense.forward(layers, seen), judging, photos.scores) if run.calibrate else None
        )
        before = heads.rows(dense.forward(layers, seen), photos.scores)
        layers = calibrate.cooled(layers, calibration.temperature) if calibration else layers
        rows = heads.rows(dense.forward(layers, seen), photos.scores)
        thresholds = metrics.thresholds(rows, judging) if photos.scores == "sigmoid" else ()

    # ---- evaluation, through the exported model and the engine that will serve it --------------
    onnx = canonical.onnx_with_head(exported, layers, scores=photos.scores)
    served = features.exported(run, onnx, len(photos.labels), "scores")
    if full:
        network.put(full, layers)
    answers = Answers(labels=photos.labels, scores=photos.scores, thresholds=thresholds, top_k=run.top_k)
    judged = []
    for name, some in _sets(photos)[1:]:
        answered = features.bank(served, some, progress=progress)
        if full:
            trained = network.rows(full, cache, some)
        else:
            trained = heads.rows(dense.forward(layers, features.bank(eye, some, progress=progress)), photos.scores)
        judged.append(judge(answered, photos.truth(some), answers, _shown(run, name, some), trained=trained))
    result = Result(
        name=run.name,
        bundle=None,
        refused=refusal(run, judged[-1]),
        command=run.command,
        labels=photos.labels,
        scores=photos.scores,
        thresholds=thresholds,
        judged=tuple(judged),
        photos={name: len(some) for name, some in _sets(photos)},
        balance={name: balance(photos.truth(some), photos.labels) for name, some in _sets(photos)},
        alternatives=_alternatives(candidates, history, progress),
        temperature=calibration and calibration.temperature,
        uncalibrated=answers.judged(before, judging) if calibration else None,
        sheet=_sheet(run, photos, varied),
        unseen=unseen,
        skipped=photos.skipped,
        notes=progress.notes,
        curve=progress.curve,
        seconds=progress.seconds,
    )
    if result.refused:
        return result

    # ---- the bundle, written, loaded again and checked against its golden pictures -------------
    def build() -> Any:
        """The whole network, which agrees with its export."""
        whole_network = full or network.build(run, sees, layers, photos)
        network.check(whole_network, served.engine, cache, photos)
        return whole_network

    with progress.stage("writing"):
        keras = network.keras_bytes(run, sees if full is None else None, layers, photos, build)
        bundle = write.write(
            run.out,
            write.Parts(
                name=run.name,
                source="keras",
                preprocess=run.preprocess,
                scores=photos.scores,
                labels=photos.labels,
                thresholds=thresholds,
                training=_training(run, photos, sees, candidates, digest),
                metrics=judged[0].evaluation.metrics,
                tolerance=network.TOLERANCE,
                models={"model.keras": keras, "model.onnx": onnx},
                pictures=golden or goldens.of_data(photos.validation, progress),
            ),
        )
        checkpoint.unlink(missing_ok=True)
        caches.prune(run.cache, run.cache_bytes)
    return replace(result, bundle=bundle)


# ---- data ------------------------------------------------------------------------------------


def _sets(photos: Photos) -> list[tuple[str, tuple[Photo, ...]]]:
    named = (("train", photos.train), ("validation", photos.validation), ("test", photos.test))
    return [(name, some) for name, some in named if some]


def _decoded(run: Run, photos: Photos, cache: Cache, progress: Progress) -> Photos:
    """Less the unreadable ones, with what looks alike on one side. Raises DataError."""
    room.check(photos.everything, run)
    small = caches.thumbnails(run.cache)
    found = caches.fill(photos.everything, cache, small)
    reasons = list(progress.track("decoding", found, len(photos.everything)))
    unreadable = [(photo, reason) for photo, reason in reasons if reason]
    return sets.decoded(photos, unreadable, {p.sha256: small.read(p) for p, reason in reasons if not reason})


def _varied(run: Run, photos: Photos, progress: Progress) -> tuple[Policy, Cache] | None:
    """How training photos are varied, and where the larger pictures lie that this is done to. Decoded by themselves: a JPEG that is
    decoded for more pixels is not the one that is served."""
    policy = distort.policy(run)
    if policy.name == "none":
        return None
    larger = Cache(directory=run.cache, spec=policy.fitted)
    for _ in progress.track("decoding larger", caches.fill(photos.train, larger), len(photos.train)):
        pass
    return policy, larger


def _bank(sees: Extractor, photos: Photos, varied: tuple[Policy, Cache] | None, progress: Progress) -> tuple[Bank, int]:
    """Features of all who train, with their copies, and who judge; and how many photos were not known before."""
    run = sees.run
    policy, copies = (varied[0], run.copies) if varied else (None, 0)
    unseen = features.missing(sees, photos.train, policy=policy, copies=copies) + features.missing(
        sees, photos.validation
    )
    train = features.bank(sees, photos.train, policy=policy, copies=copies, progress=progress)
    truth = photos.truth(photos.train)
    return (
        Bank(
            scores=photos.scores,
            labels=len(photos.labels),
            train=train,
            truth=np.concatenate([truth] * (1 + copies)),
            validation=features.bank(sees, photos.validation, progress=progress),
            validation_truth=photos.truth(photos.validation),
        ),
        len(unseen),
    )


# ---- judging ---------------------------------------------------------------------------------


def _shown(run: Run, name: str, some: Sequence[Photo]) -> Photographed:
    return Photographed(
        name=name, names=[photo.name for photo in some], read=lambda at: some[at].read(), spec=run.preprocess
    )


# ---- what came of it -------------------------------------------------------------------------


def _alternatives(
    candidates: Sequence[Candidate], history: History | None, progress: Progress
) -> tuple[Alternative, ...]:
    """Heads and the tuned network, of which validation chose."""
    tuned = history is not None and (history.best > 0 or not candidates)
    found = [
        Alternative(
            name=one.head.kind,
            note=one.head.note,
            metrics=one.metrics,
            seconds=one.seconds,
            chosen=not tuned and one is candidates[0],
        )
        for one in candidates
    ]
    if history is None:
        return tuple(found)
    best = history.epochs[history.best - 1] if history.best else history.start
    note = f"epoch {history.best} of {len(history.epochs)}" if history.best else "no epoch was better than the head"
    figures = {
        name.removeprefix("validation_"): best[name] for name in ("validation_loss", "accuracy", "map") if name in best
    }
    name = "fine-tuned" if candidates else "from the start"
    seconds = progress.seconds["training"]
    return (*found, Alternative(name=name, note=note, metrics=figures, seconds=seconds, chosen=tuned))


def _sheet(run: Run, photos: Photos, varied: tuple[Policy, Cache] | None) -> np.ndarray | None:
    if varied is None:
        return None
    policy, larger = varied
    some = photos.train[:: max(1, len(photos.train) // SHOWN)][:SHOWN]
    return np.asarray(distort.sheet(policy, [larger.read(photo) for photo in some], np.random.default_rng(run.seed)))


def _training(
    run: Run, photos: Photos, sees: Extractor | None, candidates: Sequence[Candidate], digest: str
) -> Training:
    head = candidates[0].head.kind if candidates else "end-to-end"
    return Training(
        backbone=run.backbone,
        alpha=run.alpha,
        weights_sha256=sees.digest if sees else None,
        head=f"{head}, fine-tuned" if candidates and run.fine_tune else head,
        seed=run.seed,
        data_sha256=digest,
        photos=len(photos.train),
        versions=versions(),
    )
