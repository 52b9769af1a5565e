"""LiteRT (TensorFlow Lite): uint8 pixels (1, h, w, 3) -> float32 scores (1, k), the labels inside the file."""

import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bundle.engine.keras_any import hushed
from bundle.errors import MissingExtra
from converter import rounding, rounding_keras, saved_model
from converter.about import calibration, in_pieces, refusing, split_labels, the_file
from converter.artifact import Artifact, Job, Quantize
from converter.litert_metadata import LABELS, with_metadata
from converter.subject import tensorflow

QUANTIZE: frozenset[Quantize] = frozenset({"fp16", "int8"})
LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def write(job: Job) -> None:
    """NAME-ID8.tflite. Raises BundleError for int8 without calibration pictures."""
    _need_litert()
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
        convert._experimental_calibrate_only = True  # as tf.lite.experimental.QuantizationDebugger does it
    with hushed(always=True):  # the converter tells its parameters
        model = bytes(convert.convert())
        return model if pictures is None else _int8(model)


def _int8(calibrated: bytes) -> bytes:
    """Both ends stay in floats: the step that QuantizationDebugger takes, which cannot make an input of pixels."""
    from tensorflow.lite.python.convert import mlir_quantize

    pixels = tensorflow().uint8
    return bytes(mlir_quantize(calibrated, input_data_type=pixels, denylisted_nodes=_ends(calibrated)))


def _ends(model: bytes) -> set[str]:
    """Names of what comes up to the last of the first layers, and of what makes scores."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    steps = interpreter._get_ops_details()
    layers = rounding.first([at for at, step in enumerate(steps) if step["op_name"] in LAYERS])
    last = layers[-1] if layers else 0
    ends = [step for at, step in enumerate(steps) if at <= last or step["op_name"] in ("SOFTMAX", "LOGISTIC")]
    return {interpreter._get_tensor_details(out, 0)["name"] for step in ends for out in step["outputs"]}


def _samples(pictures: np.ndarray) -> Iterator[list[np.ndarray]]:
    """All 8-bit values are in the first, so that the input's scale is 1 and no pixel is rounded."""
    for number, picture in enumerate(pictures):
        pixels = picture.astype(np.float32)
        if number == 0:
            pixels[0, 0], pixels[-1, -1] = 0, 255
        yield [pixels[None]]


def read(job: Job) -> list[Artifact]:
    _need_litert()
    from ai_edge_litert.interpreter import Interpreter

    path = the_file(job.folder, "*.tflite")
    with refusing(path):
        with zipfile.ZipFile(path) as archive:  # first: a file that was cut off has no zip, and LiteRT might not say so
            labels = split_labels(archive.read(LABELS))
        with hushed(always=True):  # LiteRT tells its delegates
            interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
            interpreter.allocate_tensors()
        place, out = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(pixels: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(place, pixels)
        interpreter.invoke()
        scores: np.ndarray = interpreter.get_tensor(out)
        return scores

    runtime = f"ai-edge-litert {version('ai-edge-litert')}"
    return [Artifact(path=path, runtime=runtime, run=in_pieces(run, 1), labels=labels)]


def _need_litert() -> None:
    if find_spec("ai_edge_litert") is None:
        raise MissingExtra("ai-edge-litert is not installed; install it with: pip install 'imago[train,export]'")
