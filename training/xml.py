"""Trains a network that writes XML from pictures: a text that reads from top to bottom."""

from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from bundle import canonical, write
from bundle import model as opening
from bundle.engine import XmlEngine, onnx_xml
from bundle.engine.keras_any import import_keras
from bundle.errors import DataError
from bundle.manifest import XmlTraining
from bundle.xml.codec import Codec
from bundle.xml.decode import Decoder
from training import (
    backbones,
    bands,
    evaluate,
    goldens,
    xml_batches,
    xml_export,
    xml_fit,
    xml_model,
    xml_report,
    xml_sure,
)
from training.bands import Cut
from training.data import archive
from training.data import cache as caches
from training.data import pairs as sets
from training.data.pairs import Pairs
from training.progress import Progress
from training.xml_batches import Batch, Samples
from training.xml_fit import Look, State
from training.xml_report import Report
from training.xml_run import XmlRun

# Bands are looked for in a picture so high, and not wider than needed to see that a row is not empty.
CUT_HEIGHT, CUT_WIDTH = 1024, 64

# How much longer than the longest training document a document may get.
LONGER = 2
SHORTEST = 32

# Batches of training pictures that the report shows.
SAMPLES = 2


def main(run: XmlRun, progress: Progress) -> Report:
    """Raises ImagoError where there is nothing to train on or to write."""
    # ---- data: who trains, who judges, what cannot be used -------------------------------------
    with progress.stage("scanning"):
        folder = archive.folder(run.data, run.cache)
        codec = sets.schema(folder, run.schema)
        found, skipped = sets.scan(folder, codec)
        judging = archive.folder(run.validation, run.cache) if run.validation else None
        judges, bad = sets.scan(judging, codec) if judging else ([], [])
        golden = goldens.given(run)
    full, large, strips = _caches(run)
    decoded = caches.fill([pair.photo for pair in found + judges], *strips, large, full)
    reasons = progress.track("decoding", decoded, len(found + judges))
    unreadable = [(photo.path, reason) for photo, reason in reasons if reason]
    pairs = sets.load(found, judges, codec, large, skipped=[*skipped, *bad, *unreadable])
    for sentence in (*(f"{path} is left out: {reason}" for path, reason in pairs.skipped), *pairs.notes):
        progress.note(sentence)
    with progress.stage("cutting"):
        cuts = _cuts(pairs, strips, progress)

    # ---- the network, and what it learns -------------------------------------------------------
    with progress.stage("starting Keras"):
        keras = import_keras()
        keras.utils.clear_session()
        keras.utils.set_random_seed(run.seed)
    most = max(SHORTEST, LONGER * max(len(pair.tokens) for pair in pairs.train + pairs.validation))
    model = xml_model.build(run, codec, most)
    samples = Samples(run, codec, pairs.train, cuts, large)
    judged = _judged(codec, pairs, full)
    digest = sets.digest(pairs)
    checkpoint = run.cache / "runs" / f"{run.key}-{digest[:16]}.npz"

    def heard(state: State, look: Look | None) -> None:
        figures = {"loss": look.loss, "exact": look.exact, "tokens": look.token} if look else {}
        shown(state.step, state.end, figures)
        if state.step == run.steps // 2 and run.steps >= xml_fit.LOOKS:
            _guard(run, _answers(_exported(run, model, codec, most).decoder, pairs, large, full), pairs)

    with progress.steps("training", run.steps) as shown:
        xml_fit.fit(model, samples, judged=judged, checkpoint=checkpoint, heard=heard)

    # ---- export, judged through the engine that will serve it ----------------------------------
    with progress.stage("exporting"):
        exported = _exported(run, model, codec, most)
        xml_export.check(model, exported.engine, judged[0].pixels[:4], [pair.tokens for pair in pairs.validation[:4]])
    with progress.stage("judging"):
        said = _answers(exported.decoder, pairs, large, full)
        _guard(run, said, pairs)
        figures = _figures(said)
    with progress.stage("calibrating"):
        others = xml_sure.others(run, exported.decoder, [(large.read(pair.photo), pair) for pair in pairs.validation])
        sure = xml_sure.calibrate([*said, *others], drawings=codec.grammar.vector)

    # ---- the bundle, written, loaded again and checked against its golden pictures -------------
    with progress.stage("writing"):
        bundle = write.write(
            run.out,
            write.XmlParts(
                name=run.name,
                source="keras",
                preprocess=run.preprocess,
                schema=codec.grammar.data,
                most_tokens=most,
                sure=sure,
                training=_training(run, pairs, digest, model),
                metrics=figures,
                models={
                    "model.keras": canonical.keras_bytes(model),
                    "encoder.onnx": exported.encoder,
                    "step.onnx": exported.step,
                },
                pictures=golden or goldens.of_data([pair.photo for pair in pairs.validation], progress),
            ),
        )
        checkpoint.unlink(missing_ok=True)
        caches.prune(run.cache, run.cache_bytes)

    # ---- judged again as a client would have it, for the report ---------------------------------
    files = [(pair.path, pair.document) for pair in pairs.validation]
    answers, _ = evaluate.judged(opening.open(bundle, "onnx"), files, progress)
    figures = evaluate.metrics(answers)
    return Report(
        bundle=bundle,
        command=run.command,
        pairs={"train": len(pairs.train), "validation": len(pairs.validation)},
        parameters=model.count_params(),
        metrics=figures,
        answers=answers,
        samples=np.concatenate([samples.make(step).pixels for step in range(SAMPLES)]),
        sure=sure,
        negatives=xml_sure.NEGATIVES,
        encoders=xml_report.encoders(run.out, digest, run.encoder, figures),
        skipped=pairs.skipped,
    )


def _judged(codec: Codec, pairs: Pairs, full: caches.Cache) -> tuple[Batch, np.ndarray]:
    """Validation as one batch, and what the schema allows at each place of its documents."""
    documents = [pair.tokens for pair in pairs.validation]
    pixels = [full.read(pair.photo) for pair in pairs.validation]
    return xml_batches.batch(pixels, documents), xml_batches.masks(codec, documents)


class Exported(NamedTuple):
    encoder: bytes
    step: bytes
    engine: XmlEngine
    decoder: Decoder


def _exported(run: XmlRun, model: Any, codec: Codec, most: int) -> Exported:
    encoder, step = xml_export.export(model)
    engine = onnx_xml.load(encoder, step, run.preprocess, len(codec.automaton.tokens))
    return Exported(encoder, step, engine, Decoder(engine.encode, engine.step, codec, most))


def _answers(decoder: Decoder, pairs: Pairs, large: caches.Cache, full: caches.Cache) -> list[xml_sure.Judged]:
    """To the validation pictures, by the way that serves."""
    return [xml_sure.judge(decoder, large.read(pair.photo), full.read(pair.photo), pair) for pair in pairs.validation]


def _caches(run: XmlRun) -> tuple[caches.Cache, caches.Cache, list[caches.Cache]]:
    """Pictures as the network takes them, larger ones to be varied, and, where they can be, high and narrow ones to be cut."""
    full, large = (caches.Cache(directory=run.cache, spec=run.spec(times)) for times in (1, xml_batches.TIMES))
    narrow = run.preprocess.model_copy(update={"height": CUT_HEIGHT, "width": CUT_WIDTH})
    strips = [caches.Cache(directory=run.cache, spec=narrow)] if run.resize == "squash" and run.recompose else []
    return full, large, strips


def _cuts(pairs: Pairs, strips: list[caches.Cache], progress: Progress) -> tuple[Cut, ...]:
    """Training pages that can be put together anew; none, with a note, where their pictures do not show what the schema says."""
    names = bands.repeated(pairs.codec.grammar)
    if not names or not strips:
        return ()
    documents = [bands.document(pair.events, names) for pair in pairs.train]
    found = [bands.bands(strips[0].read(pair.photo)) for pair in pairs.train]
    cuts = bands.cuts(documents, found, CUT_HEIGHT)
    if len(cuts) < bands.FEWEST * len(pairs.train):
        progress.note(
            f"only {len(cuts)} of {len(pairs.train)} pictures fall into as many bands as their documents have; no parts are exchanged"
        )
        return ()
    return tuple(cuts)


def _guard(run: XmlRun, said: list[xml_sure.Judged], pairs: Pairs) -> None:
    """Raises DataError where the network says the same whatever it sees."""
    different, wanted = len({one.xml for one in said}), len({pair.tokens for pair in pairs.validation})
    if wanted > 1 and different < run.collapse * wanted:
        raise DataError(
            f"the network collapsed: {different} different answers to {len(said)} validation pictures with {wanted} different documents; "
            "try another --seed, a lower --learning-rate or more pairs"
        )


def _figures(said: list[xml_sure.Judged]) -> dict[str, float]:
    figures = {"exact": float(np.mean([one.exact for one in said]))}
    if overlaps := [one.iou for one in said if one.iou is not None]:
        figures["iou"] = float(np.mean(overlaps))
    return figures


def _training(run: XmlRun, pairs: Pairs, digest: str, model: Any) -> XmlTraining:
    frozen = run.encoder != "own"
    return XmlTraining(
        encoder=run.encoder,
        weights_sha256=backbones.weights_digest(model.get_layer("backbone")) if frozen else None,
        seed=run.seed,
        data_sha256=digest,
        pairs=len(pairs.train),
        versions={name: version(name) for name in ("imago", "keras", "onnx", "tf2onnx", "pillow", "numpy", "lxml")},
    )
