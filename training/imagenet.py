"""ImageNet's classifiers as they were published: no training, no data."""

from pathlib import Path

from bundle import canonical, write
from bundle.engine.keras_any import import_keras
from bundle.manifest import Training
from training import backbones, goldens, imagenet_labels
from training.network import TOLERANCE
from training.run import Run, versions


def main(run: Run, labels: Path | None) -> Path:
    """The backbone with the head it was published with, as a bundle: no training, no data."""
    golden = goldens.given(run) or goldens.drawn()
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
        versions=versions(),
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
            pictures=golden,
        ),
    )
