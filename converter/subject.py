"""What is exported: a bundle's network in Keras' layers, and the TensorFlow program that most formats are made of."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bundle import store
from bundle.engine.keras_any import hushed, import_keras
from bundle.errors import BundleError, MissingExtra
from bundle.image import Preprocess
from bundle.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A bundle to export."""

    directory: Path
    manifest: Manifest
    author: str = "Imago"
    licence: str = ""  # of the model, as a bundle states none

    @property
    def title(self) -> str:
        """NAME-ID8."""
        return f"{self.manifest.name}-{self.manifest.id[:8]}"

    @property
    def spec(self) -> Preprocess:
        return self.manifest.preprocess

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """In output order; of a model that makes XML none."""
        return store.read_labels(self.directory) if self.manifest.kind == "classifier" else ()

    @cached_property
    def network(self) -> Any:
        """keras.Model; of a classifier: uint8 (n, h, w, 3) -> float32 (n, k). Raises BundleError where the bundle has no layers."""
        if self.manifest.source != "keras":
            raise BundleError(
                f"{self.directory}: has no model.keras, its source is {self.manifest.source}; export it with --to onnx"
            )
        keras = import_keras()
        with hushed():
            return keras.models.load_model(self.directory / "model.keras", safe_mode=True, compile=False)

    @cached_property
    def floating(self) -> Any:
        """The same layers behind an input of float32 (0 to 255): Keras would cast to uint8 and back what its input says is uint8."""
        keras = import_keras()
        pixels = keras.Input(self.network.input_shape[1:], dtype="float32", name="pixels")
        with hushed():
            copy = keras.models.clone_model(self.network, input_tensors=pixels)
        copy.set_weights(self.network.get_weights())
        return copy

    def program(self, *, name: str = "pixels", batch: int | None = None, floating: bool = False) -> Any:
        """A tf.ConcreteFunction from pixels (batch, h, w, 3), uint8 or float32 of 0 to 255, to the scores. Raises MissingExtra."""
        tf = tensorflow()
        model = self.floating if floating else self.network
        kind = tf.float32 if floating else tf.uint8
        shape = tf.TensorSpec((batch, self.spec.height, self.spec.width, 3), kind, name=name)
        return tf.function(lambda pixels: model(pixels, training=False), autograph=False).get_concrete_function(shape)


def tensorflow() -> Any:
    """The module. Raises MissingExtra; BundleError where Keras runs on another backend."""
    if import_keras().backend.backend() != "tensorflow":
        raise BundleError("exports are made with TensorFlow; leave KERAS_BACKEND unset")
    try:
        import tensorflow
    except ImportError:
        raise MissingExtra("tensorflow is not installed; install it with: pip install 'imago[train,export]'") from None
    return tensorflow


def open_subject(directory: Path, **stated: str) -> Subject:
    """Verifies every byte. Raises BundleError."""
    return Subject(directory=directory, manifest=store.verify(directory), **stated)
