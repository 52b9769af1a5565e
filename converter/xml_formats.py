"""The formats of a model that makes XML: an encoder and a step, with the schema and network.json beside them."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bundle.engine import onnx_xml
from bundle.engine.keras_any import hushed
from bundle.errors import BundleError
from converter import xml_coreml, xml_files, xml_network
from converter.about import ABOUT, about, about_json, refusing
from converter.artifact import Job
from converter.onnx_file_checks import import_onnx
from converter.subject import tensorflow
from converter.xml_engine import Run, fixed
from converter.xml_files import Program, Value, XmlArtifact, names

SIGNATURES = ("encode", "step")


def write(job: Job, form: str) -> None:
    """Fills job.folder. Raises BundleError for what there is not, MissingExtra."""
    known(job, form).write(job)


def read(job: Job, form: str) -> list[XmlArtifact]:
    """From the files in job.folder alone. Raises BundleError for one that is damaged."""
    return known(job, form).read(job)


@dataclass(frozen=True)
class _Format:
    halves: bool  # whether there is fp16
    write: Callable[[Job], None]
    read: Callable[[Job], list[XmlArtifact]]


def known(job: Job, form: str) -> _Format:
    """Raises BundleError for what there is not."""
    where, kind = job.subject.directory, job.subject.manifest.kind
    if kind != "xml":
        raise BundleError(f"{where}: a {kind}, not a model that makes XML")
    if form not in FORMATS:
        raise BundleError(f"{where}: there is no {form} of a model that makes XML; there are {', '.join(FORMATS)}")
    found = FORMATS[form]
    if job.quantize == "int8" or (job.quantize and not found.halves):
        there = " and fp16" if found.halves else " only"
        raise BundleError(f"{where}: there is no {job.quantize} {form} of a model that makes XML; there is fp32{there}")
    return found


# ---- ONNX: the bundle's own files -----------------------------------------------------------


def _write_onnx(job: Job) -> None:
    onnx = import_onnx()
    written = []
    for source, name in zip(("encoder.onnx", "step.onnx"), names(job, "onnx"), strict=True):
        model = onnx.load(job.subject.directory / source)
        onnx.helper.set_model_props(model, dict(sorted(about(job.subject).items())))
        (job.folder / name).write_bytes(model.SerializeToString(deterministic=True))
        inputs, outputs = (dict(map(_value, values)) for values in (model.graph.input, model.graph.output))
        written.append(Program(file=name, signature=None, inputs=inputs, outputs=outputs))
    xml_files.write(job, *written)


def _value(info: Any) -> tuple[str, Value]:
    """Of an ONNX graph's input or output."""
    from onnx import helper

    kind, shape = info.type.tensor_type.elem_type, info.type.tensor_type.shape.dim
    dtype: Any = np.dtype(helper.tensor_dtype_to_np_dtype(kind)).name
    return info.name, Value(type=dtype, shape=tuple(at.dim_value or None for at in shape))


def _read_onnx(job: Job) -> list[XmlArtifact]:
    network, schema = xml_files.read(job.folder)
    paths = [job.folder / program.file for program in (network.encoder, network.step)]
    engine = onnx_xml.load(paths[0], paths[1], network.preprocess, network.vocabulary)
    runtime = f"onnxruntime {version('onnxruntime')}"
    return [XmlArtifact(path=paths[0], runtime=runtime, engine=engine, network=network, schema=schema)]


# ---- LiteRT ---------------------------------------------------------------------------------


def _write_litert(job: Job) -> None:
    tf = tensorflow()
    files = names(job, "tflite")
    for name, program in zip(files, (xml_network.encoder(job.subject), xml_network.step(job.subject)), strict=True):
        held = tf.Module()
        held.variables_ = program.graph.variables
        converter = tf.lite.TFLiteConverter.from_concrete_functions([program], held)
        if job.quantize == "fp16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        with hushed(always=True):
            model = converter.convert()
        (job.folder / name).write_bytes(_saying(model, job))
    xml_files.write(job, *xml_files.programs(xml_network.sizes(job.subject), *files))


def _saying(model: bytes, job: Job) -> bytes:
    """With a zip behind it that says what it is, as LiteRT's own metadata have their files."""
    out = io.BytesIO(model)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(zipfile.ZipInfo(ABOUT), about_json(job.subject))
    return out.getvalue()


def _read_litert(job: Job) -> list[XmlArtifact]:
    from converter.litert import interpreter as found  # whose metadata need what comes with TensorFlow

    interpreter = found()

    def opened(path: Path) -> Run:
        with refusing(path):
            zipfile.ZipFile(path).close()  # a file that was cut off has none; LiteRT might not notice
            with hushed(always=True):  # LiteRT tells its delegates
                model = interpreter(str(path), num_threads=1)
                model.allocate_tensors()
                runner = model.get_signature_runner()
        return lambda inputs: runner(**inputs)

    return [fixed(job, opened, f"ai-edge-litert {version('ai-edge-litert')}")]


# ---- SavedModel -----------------------------------------------------------------------------


def _write_savedmodel(job: Job) -> None:
    tf = tensorflow()
    both = (xml_network.encoder(job.subject), xml_network.step(job.subject))
    held = tf.Module()
    held.variables_ = [variable for program in both for variable in program.graph.variables]
    with hushed():
        tf.saved_model.save(held, str(job.folder / "saved_model"), signatures=dict(zip(SIGNATURES, both, strict=True)))
    written = xml_files.programs(xml_network.sizes(job.subject), "saved_model", "saved_model")
    named = zip(written, SIGNATURES, strict=True)
    xml_files.write(job, *(program.model_copy(update={"signature": name}) for program, name in named))


def _read_savedmodel(job: Job) -> list[XmlArtifact]:
    tf = tensorflow()
    path = job.folder / "saved_model"
    with refusing(path):
        loaded = tf.saved_model.load(str(path))
        signatures = iter([loaded.signatures[name] for name in SIGNATURES])

    def opened(_path: Path) -> Run:
        signature = next(signatures)

        def run(inputs: dict[str, np.ndarray], _held: Any = loaded) -> dict[str, np.ndarray]:
            found = signature(**{name: tf.constant(value) for name, value in inputs.items()})
            return {name: value.numpy() for name, value in found.items()}

        return run

    return [fixed(job, opened, f"tensorflow {tf.__version__}")]


FORMATS = {
    "coreml": _Format(True, xml_coreml.write, xml_coreml.read),
    "onnx": _Format(False, _write_onnx, _read_onnx),
    "litert": _Format(True, _write_litert, _read_litert),
    "savedmodel": _Format(False, _write_savedmodel, _read_savedmodel),
}
