"""The formats: which module writes and reads each, and what it is made with."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from converter.artifact import Quantize


@dataclass(frozen=True, kw_only=True)
class Format:
    name: str
    text: str  # for people who choose
    module: str
    packages: tuple[str, ...]  # whose versions matter
    layers: bool = True  # made of Keras' layers, which a bundle from elsewhere may not have
    calibrated: bool = False  # whose int8 needs pictures

    def load(self) -> Any:
        """The module; see converter/artifact.py for what it holds."""
        return importlib.import_module(self.module)

    @property
    def quantize(self) -> frozenset[Quantize]:
        """What it can do besides fp32."""
        found: frozenset[Quantize] = self.load().QUANTIZE
        return found

    @property
    def versions(self) -> dict[str, str]:
        return {name: _version(name) for name in self.packages}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


_KERAS = ("tensorflow-cpu", "keras")
FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format(
            name="coreml",
            text="Core ML for iOS and macOS: .mlpackage and .mlmodel",
            module="converter.coreml",
            packages=(*_KERAS, "coremltools"),
        ),
        Format(
            name="litert",
            text="LiteRT (TensorFlow Lite) for Android and small machines: .tflite",
            module="converter.litert",
            packages=(*_KERAS, "ai-edge-litert"),
            calibrated=True,
        ),
        Format(
            name="onnx",
            text="ONNX, with labels inside: .onnx",
            module="converter.onnx_file",
            packages=("onnx", "onnxruntime"),
            layers=False,
            calibrated=True,
        ),
        Format(
            name="savedmodel",
            text="TensorFlow's SavedModel, for TensorFlow Serving",
            module="converter.saved_model",
            packages=_KERAS,
        ),
        Format(
            name="graphdef",
            text="frozen TensorFlow 1 graphs, as retrain.py wrote and the old server read them",
            module="converter.graph_def",
            packages=_KERAS,
        ),
        Format(
            name="keras-json",
            text="model.json and model.weights.h5",
            module="converter.keras_json",
            packages=_KERAS,
        ),
    )
}
