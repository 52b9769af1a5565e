"""ONNX: the bundle's own model.onnx with its labels inside; fp16 and int8 for what has to be small."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bundle.engine.onnx_cpu import import_onnxruntime, open_session
from converter import rounding, rounding_onnx
from converter.about import about, calibration, classifier, in_pieces, refusing, the_file
from converter.artifact import Artifact, Job, Quantize
from converter.onnx_file_checks import import_onnx

QUANTIZE: frozenset[Quantize] = frozenset({"fp16", "int8"})


def write(job: Job) -> None:
    """NAME-ID8.onnx: `pixels` uint8 (n, h, w, 3) -> `scores`; name, id, labels and more in its metadata."""
    classifier(job.subject)
    onnx = import_onnx()
    source = job.subject.directory / "model.onnx"
    model = _int8(source, calibration(job.calibration, "onnx")) if job.quantize == "int8" else onnx.load(source)
    if job.quantize == "fp16":
        _halve(model)
    model.producer_name, model.producer_version = "imago", ""
    told = {**about(job.subject), "labels": json.dumps(job.subject.labels, ensure_ascii=False)}
    onnx.helper.set_model_props(model, dict(sorted(told.items())))
    (job.folder / f"{job.subject.title}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def _halve(model: Any) -> None:
    """Weights in 16 bits, arithmetic in 32, as fast as before: ONNX Runtime casts them once, when it loads."""
    onnx = import_onnx()
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT:
            half = onnx.numpy_helper.to_array(weight).astype(np.float16)
            casts.append(
                onnx.helper.make_node("Cast", [f"{weight.name}_fp16"], [weight.name], to=onnx.TensorProto.FLOAT)
            )
            weight.CopyFrom(onnx.numpy_helper.from_array(half, f"{weight.name}_fp16"))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _int8(source: Path, pictures: np.ndarray) -> Any:
    """QDQ, weights a scale a channel. Both ends stay in floats, as `_ends` says."""
    onnx = import_onnx()
    import_onnxruntime()
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        folded, small = Path(folder, "folded.onnx"), Path(folder, "small.onnx")
        quant_pre_process(str(source), str(folded), skip_symbolic_shape=True)
        model = onnx.load(folded)
        rounding_onnx.correct(model, pictures)
        onnx.save(model, folded)
        quantize_static(
            str(folded),
            str(small),
            _Pictures(pictures),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_ends(model.graph.node),
        )
        return onnx.load(small)


def _ends(nodes: Any) -> list[str]:
    """Names of what comes up to the last of the first layers, and of what makes scores."""
    layers = rounding.first([at for at, node in enumerate(nodes) if node.op_type in rounding_onnx.LAYERS])
    last = layers[-1] if layers else 0
    return [node.name for at, node in enumerate(nodes) if at <= last or node.op_type in ("Softmax", "Sigmoid")]


class _Pictures:
    """What onnxruntime calls a CalibrationDataReader."""

    def __init__(self, pictures: np.ndarray) -> None:
        self._left: Iterator[np.ndarray] = iter(pictures)

    def get_next(self) -> dict[str, np.ndarray] | None:
        picture = next(self._left, None)
        return None if picture is None else {"pixels": picture[None]}


def read(job: Job) -> list[Artifact]:
    onnxruntime = import_onnxruntime()
    path = the_file(job.folder, "*.onnx")
    with refusing(path):
        session = open_session(path, str(path))
        told = dict(session.get_modelmeta().custom_metadata_map)
        labels = tuple(json.loads(told.pop("labels")))

    def run(pixels: np.ndarray) -> np.ndarray:
        scores: np.ndarray = session.run(["scores"], {"pixels": pixels})[0]
        return scores

    runtime = f"onnxruntime {onnxruntime.__version__}"
    return [Artifact(path=path, runtime=runtime, run=in_pieces(run, 1), labels=labels, told=told)]
