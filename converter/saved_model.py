"""SavedModel: one signature from uint8 pixels to `scores`, each weight once, the labels as an asset.

Keras' own model.export writes every weight twice (keras-team/keras#23553), so the module here is our own.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from converter.about import ABOUT, LABELS, about_json, in_pieces, label_lines, read_about, refusing, split_labels
from converter.artifact import Artifact, Job, Quantize
from converter.subject import Subject, tensorflow

QUANTIZE: frozenset[Quantize] = frozenset()
FOLDER = "saved_model"


def write(job: Job) -> None:
    """saved_model/, with assets/labels.txt and assets/about.json. The names of functions in it are counted over the process."""
    save(job.subject, job.subject.network, "uint8", job.folder / FOLDER)


def save(subject: Subject, network: Any, dtype: str, folder: Path, *, batch: int | None = None) -> None:
    """`network` with pixels (batch, h, w, 3) of `dtype`, 0 to 255, as its input."""
    tf = tensorflow()
    shape = (batch, subject.spec.height, subject.spec.width, 3)
    program = tf.function(lambda pixels: {"scores": network(pixels, training=False)}, autograph=False)
    with tempfile.TemporaryDirectory() as assets:
        module = tf.Module()
        module.weights = [weight.value for weight in network.weights]
        module.labels = _asset(Path(assets, LABELS), label_lines(subject))
        module.about = _asset(Path(assets, ABOUT), about_json(subject))
        signature = program.get_concrete_function(pixels=tf.TensorSpec(shape, dtype, name="pixels"))
        tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})


def _asset(path: Path, data: bytes) -> Any:
    path.write_bytes(data)
    return tensorflow().saved_model.Asset(str(path))


def _held(asset: Any) -> bytes:
    return Path(asset.asset_path.numpy().decode()).read_bytes()


def read(job: Job) -> list[Artifact]:
    tf = tensorflow()
    folder = job.folder / FOLDER
    with refusing(folder):
        loaded = tf.saved_model.load(str(folder))
        serve = loaded.signatures["serving_default"]
        labels, told = split_labels(_held(loaded.labels)), read_about(_held(loaded.about))

    def run(pixels: np.ndarray, loaded: Any = loaded) -> np.ndarray:  # the module owns the variables
        scores: np.ndarray = serve(pixels=tf.constant(pixels))["scores"].numpy()
        return scores

    runtime = f"tensorflow {tf.__version__}"
    return [Artifact(path=folder, runtime=runtime, run=in_pieces(run, 16), labels=labels, told=told)]
