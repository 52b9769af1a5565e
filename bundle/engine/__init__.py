"""Chooses what runs a model: ONNX Runtime on CPU, Keras where a GPU is or where nothing else is installed."""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bundle.errors import BundleError, MissingExtra
from bundle.manifest import ClassifierManifest, XmlManifest

Choice = Literal["auto", "onnx", "keras"]
CHOICES: tuple[Choice, ...] = ("auto", "onnx", "keras")

# Kernel interfaces of NVIDIA, of Windows' Linux and of AMD: looked at first, since asking TensorFlow costs seconds.
_GPU_NODES = (Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd"))


@dataclass(frozen=True, kw_only=True)
class Engine:
    name: str
    device: Literal["cpu", "gpu"]  # on a CPU a batch is no faster than its pictures one by one, on a GPU it is
    run: Callable[[np.ndarray], np.ndarray]  # uint8 (n, h, w, 3), n >= 1 -> float32 (n, k); from any thread


@dataclass(frozen=True, kw_only=True)
class XmlEngine:
    """Image to XML; what goes in and comes out is in bundle/xml/decode.py. From any thread."""

    name: str
    device: Literal["cpu", "gpu"]
    encode: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    step: Callable[
        [np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]
    ]


def load(directory: Path, manifest: ClassifierManifest, choice: Choice) -> Engine:
    """Raises BundleError for a model that does not fit its manifest, MissingExtra where no engine is installed."""
    name = _auto(manifest) if choice == "auto" else choice
    if name == "keras":
        if manifest.source != "keras":
            raise BundleError(f"{directory}: has no model.keras, its source is {manifest.source}; use --engine onnx")
        from bundle.engine import keras_any

        return keras_any.load(directory / "model.keras", manifest.preprocess, manifest.labels)
    from bundle.engine import onnx_cpu

    return onnx_cpu.load(directory / "model.onnx", manifest.preprocess, manifest.labels)


def load_xml(directory: Path, manifest: XmlManifest, choice: Choice) -> XmlEngine:
    """Raises BundleError for a model that does not fit its manifest, MissingExtra where ONNX Runtime is not installed."""
    if choice == "keras":
        raise BundleError(f"{directory}: a model that makes XML runs on ONNX Runtime; use --engine auto or onnx")
    from bundle.engine import onnx_xml

    return onnx_xml.load(directory / "encoder.onnx", directory / "step.onnx", manifest.preprocess, manifest.vocabulary)


def cores() -> int:
    """How many this process may use, which a container or taskset can make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_gpu() -> bool:
    """Whether Keras would compute on one; without a device node nothing is imported to find out."""
    if not any(node.exists() for node in _GPU_NODES):
        return False
    from bundle.engine import keras_any

    return keras_any.sees_gpu()


def _auto(manifest: ClassifierManifest) -> Literal["onnx", "keras"]:
    keras = manifest.source == "keras" and _installed("keras")
    if keras and has_gpu():
        return "keras"
    if _installed("onnxruntime"):
        return "onnx"
    if keras:
        return "keras"
    raise MissingExtra("no engine is installed; install one with: pip install 'imago[serve]'")


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
