"""model.json and model.weights.h5, as the old tools took them, with labels.txt beside; read in safe mode."""

import io
import json
import zipfile
from typing import Any

import numpy as np

from bundle import canonical
from bundle.engine.keras_any import import_keras
from converter.about import ABOUT, LABELS, about_json, in_pieces, label_lines, read_about, refusing, split_labels
from converter.artifact import Artifact, Job, Quantize
from converter.subject import tensorflow

QUANTIZE: frozenset[Quantize] = frozenset()
ARCHITECTURE, WEIGHTS = "model.json", "model.weights.h5"


def write(job: Job) -> None:
    """A .keras file is a zip of both, so they are taken from its canonical spelling."""
    with zipfile.ZipFile(io.BytesIO(canonical.keras_bytes(job.subject.network))) as archive:
        layers = json.loads(archive.read("config.json"))
        (job.folder / ARCHITECTURE).write_text(json.dumps(layers, indent=1, allow_nan=False) + "\n")
        (job.folder / WEIGHTS).write_bytes(archive.read("model.weights.h5"))
    (job.folder / LABELS).write_bytes(label_lines(job.subject))
    (job.folder / ABOUT).write_bytes(about_json(job.subject))


def read(job: Job) -> list[Artifact]:
    tf, keras = tensorflow(), import_keras()
    path = job.folder / ARCHITECTURE
    with refusing(path):
        layers = json.loads(path.read_text())
        network = keras.saving.deserialize_keras_object(layers, safe_mode=True)
    with refusing(job.folder / WEIGHTS):
        network.load_weights(job.folder / WEIGHTS)
    with refusing(job.folder / LABELS):
        labels = split_labels((job.folder / LABELS).read_bytes())
    with refusing(job.folder / ABOUT):
        told = read_about((job.folder / ABOUT).read_bytes())
    program: Any = tf.function(lambda pixels: network(pixels, training=False), autograph=False)

    def run(pixels: np.ndarray) -> np.ndarray:
        scores: np.ndarray = program(tf.constant(pixels)).numpy()
        return scores

    runtime = f"keras {keras.__version__}"
    return [Artifact(path=path, runtime=runtime, run=in_pieces(run, 16), labels=labels, told=told)]
