"""ONNX Runtime, fp32, one thread a run: at the GEMM limit of a core, so threads go to pictures and not into one."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from bundle.engine import Engine
from bundle.errors import BundleError, MissingExtra
from bundle.image import Preprocess


def load(model: Path | bytes, spec: Preprocess, outputs: int, *, output: str = "scores") -> Engine:
    """`model` is a file or its content; `outputs` is the number of scores a picture gets. Raises BundleError."""
    where = "model.onnx" if isinstance(model, bytes) else str(model)
    session = open_session(model, where)
    _check(
        session,
        {"pixels": ("tensor(uint8)", [spec.height, spec.width, 3]), output: ("tensor(float)", [outputs])},
        where,
    )

    def run(batch: np.ndarray) -> np.ndarray:
        rows: np.ndarray = session.run([output], {"pixels": batch})[0]
        return rows

    return Engine(name="onnxruntime", device="cpu", run=run)


def open_session(model: Path | bytes, where: str) -> Any:
    """Raises BundleError for what ONNX Runtime cannot load, MissingExtra where it is not installed."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own kinds share no parent
        raise BundleError(f"{where}: ONNX Runtime cannot load it: {str(error).splitlines()[0]}") from error


def import_onnxruntime() -> Any:
    """The module, which from 1.31 on reports its use to its makers unless it is told not to before it is imported. Raises MissingExtra."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("onnxruntime is not installed; install it with: pip install 'imago[serve]'") from None
    return onnxruntime


def _check(session: Any, wanted: dict[str, tuple[str, list[int]]], where: str) -> None:
    """Shapes and types, before the first picture meets them."""
    found = {value.name: (value.type, value.shape[1:]) for value in [*session.get_inputs(), *session.get_outputs()]}
    for name, (kind, shape) in wanted.items():
        if found.get(name) != (kind, shape):
            raise BundleError(f"{where}: {name} is {found.get(name)}, {(kind, shape)} wanted; train or import it again")
