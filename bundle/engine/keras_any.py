"""Keras 3 on TensorFlow or JAX: compiled once a padded batch size, never `predict` (40 ms a call) and never XLA on CPU."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bundle.engine import Engine
from bundle.errors import BundleError, MissingExtra
from bundle.image import Preprocess

BACKENDS = ("tensorflow", "jax")
_WANTED = "set KERAS_BACKEND to tensorflow or jax"

# Batches are padded to one of these, so that few programs are compiled; longer ones go in pieces.
SIZES = (1, 2, 4, 8, 16, 32, 64)


def load(path: Path, spec: Preprocess, outputs: int) -> Engine:
    """Loads with safe_mode, uncompiled. Raises BundleError for a model of another shape."""
    keras = import_keras()
    try:
        with hushed():
            model = keras.models.load_model(path, safe_mode=True, compile=False)
    except Exception as error:  # whatever a damaged or foreign file makes Keras raise
        raise BundleError(f"{path}: Keras cannot load it: {str(error).splitlines()[0]}") from error
    return from_model(model, spec, outputs, str(path))


def from_model(model: Any, spec: Preprocess, outputs: int, where: str) -> Engine:
    wanted = ((None, spec.height, spec.width, 3), (None, outputs))
    if (model.input_shape, model.output_shape) != wanted:
        found = (model.input_shape, model.output_shape)
        raise BundleError(f"{where}: the model goes from {found[0]} to {found[1]}, {wanted[0]} to {wanted[1]} wanted")
    program = _program(model)

    def run(batch: np.ndarray) -> np.ndarray:
        pieces = [batch[start : start + SIZES[-1]] for start in range(0, len(batch), SIZES[-1])]
        return np.concatenate([_padded(program, piece) for piece in pieces])

    return Engine(name="keras", device="gpu" if sees_gpu() else "cpu", run=run)


def sees_gpu() -> bool:
    """Whether Keras' backend has one; imports the backend."""
    if import_keras().backend.backend() == "jax":
        import jax

        return bool(jax.default_backend() == "gpu")
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _program(model: Any) -> Callable[[np.ndarray], Any]:
    if import_keras().backend.backend() == "jax":
        import jax

        weights = ([v.value for v in model.trainable_variables], [v.value for v in model.non_trainable_variables])
        stateless = jax.jit(lambda train, rest, pixels: model.stateless_call(train, rest, pixels, training=False)[0])
        return lambda pixels: stateless(*weights, pixels)
    import tensorflow as tf

    program: Callable[[np.ndarray], Any] = tf.function(lambda pixels: model(pixels, training=False), autograph=False)
    return program


def _padded(program: Callable[[np.ndarray], Any], piece: np.ndarray) -> np.ndarray:
    size = next(size for size in SIZES if size >= len(piece))
    padding = np.zeros((size - len(piece), *piece.shape[1:]), piece.dtype)
    return np.asarray(program(np.concatenate([piece, padding])))[: len(piece)]


def import_keras() -> Any:
    """The keras module; what TensorFlow's libraries print about this processor while they load is not for our users.

    KERAS_BACKEND says which backend. Raises MissingExtra, and BundleError for one that is neither TensorFlow nor JAX.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with hushed():
            import keras
    except ImportError as error:
        raise MissingExtra(_missing(error.name)) from None
    except ValueError as error:  # no backend has that name
        raise BundleError(f"{str(error).splitlines()[0]}; {_WANTED}") from None
    if keras.backend.backend() not in BACKENDS:
        raise BundleError(f"Keras runs on {keras.backend.backend()} here; {_WANTED}")
    return keras


def _missing(name: str | None) -> str:
    """For a module that is not there."""
    if name == "torch":
        return f"KERAS_BACKEND asks for torch; {_WANTED}"
    if name in ("jax", "jaxlib"):
        return "KERAS_BACKEND asks for jax, which is not installed; install it with: pip install jax"
    return "keras or its backend is not installed; install them with: pip install 'imago[train]'"


@contextmanager
def hushed(*, always: bool = False) -> Iterator[None]:
    """For what may load TensorFlow, as Keras' files do on any backend: its libraries write to file descriptor 2 itself, past
    sys.stderr and past their own log level. `always`: for what talks even when it is loaded already."""
    if "tensorflow" in sys.modules and not always:
        yield
        return
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
