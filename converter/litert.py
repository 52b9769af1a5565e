"""LiteRT (TensorFlow Lite): uint8 pixels (1, h, w, 3) -> float32 scores (1, k), the labels inside the file."""

import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bundle.engine.keras_any import hushed
from bundle.errors import MissingExtra
from converter import rounding_keras, saved_model
from converter.about import ABOUT, LABELS, calibration, in_pieces, read_about, refusing, split_labels, the_file
from converter.artifact import Artifact, Job, Quantize
from converter.litert_metadata import with_metadata
from converter.subject import tensorflow

QUANTIZE: frozenset[Quantize] = frozenset({"fp16", "int8"})


def write(job: Job) -> None:
    """NAME-ID8.tflite. Raises BundleError for int8 without calibration pictures."""
    interpreter()  # what cannot be read back is not written
    pictures = calibration(job.calibration, "litert") if job.quantize == "int8" else None
    network = job.subject.network if pictures is None else rounding_keras.corrected(job.subject.network, pictures)
    with tempfile.TemporaryDirectory() as folder:
        # An int8 model's own input is floats: the converter makes pixels of them, since their scale is 1.
        saved_model.save(job.subject, network, "uint8" if pictures is None else "float32", Path(folder), batch=1)
        model = _converted(folder, job.quantize, pictures)
    (job.folder / f"{job.subject.title}.tflite").write_bytes(with_metadata(model, job.subject))


def _converted(folder: str, quantize: Quantize | None, pictures: np.ndarray | None) -> bytes:
    tf = tensorflow()
    convert = tf.lite.TFLiteConverter.from_saved_model(folder)
    if quantize is not None:
        convert.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "fp16":
        convert.target_spec.supported_types = [tf.float16]
    if pictures is not None:
        convert.representative_dataset = lambda: _samples(pictures)
        convert.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        convert.inference_input_type = tf.uint8
    with hushed(always=True):  # the converter tells its parameters
        return bytes(convert.convert())


def _samples(pictures: np.ndarray) -> Iterator[list[np.ndarray]]:
    """All 8-bit values are in the first, so that the input's scale is 1 and no pixel is rounded."""
    for number, picture in enumerate(pictures):
        pixels = picture.astype(np.float32)
        if number == 0:
            pixels[0, 0], pixels[-1, -1] = 0, 255
        yield [pixels[None]]


def read(job: Job) -> list[Artifact]:
    made = interpreter()
    path = the_file(job.folder, "*.tflite")
    with refusing(path):
        with zipfile.ZipFile(path) as archive:  # first: a file that was cut off has no zip, and LiteRT might not say so
            labels, told = split_labels(archive.read(LABELS)), read_about(archive.read(ABOUT))
        with hushed(always=True):  # LiteRT tells its delegates
            model = made(model_content=path.read_bytes(), num_threads=1)
            model.allocate_tensors()
        place, out = model.get_input_details()[0]["index"], model.get_output_details()[0]["index"]

    def run(pixels: np.ndarray) -> np.ndarray:
        model.set_tensor(place, pixels)
        model.invoke()
        scores: np.ndarray = model.get_tensor(out)
        return scores

    runtime = f"ai-edge-litert {version('ai-edge-litert')}"
    return [Artifact(path=path, runtime=runtime, run=in_pieces(run, 1), labels=labels, told=told)]


def interpreter() -> Any:
    """LiteRT's class Interpreter. Raises MissingExtra."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise MissingExtra(
            "ai-edge-litert is not installed; install it with: pip install 'imago[train,export]'"
        ) from None
    return Interpreter
