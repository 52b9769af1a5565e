"""model.keras of a backbone with a head, without Keras where one of the same shape was made before.

Building the layers and saving them takes longer than all the rest of a run whose features are kept; between two such
runs only the head's numbers differ.
"""

import io
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from bundle import canonical
from training.data import cache as caches
from training.features import Extractor, digest_of

# Where Keras keeps the weights in a .keras file, and there those of the dense layers, in their order.
_WEIGHTS = "model.weights.h5"


def keras_bytes(
    sees: Extractor, dense: Sequence[tuple[np.ndarray, np.ndarray]], shape: Sequence[Any], build: Callable[[], Any]
) -> bytes:
    """The canonical .keras file of the backbone with dense layers (kernel, bias) behind it.

    `build` makes the model with these weights in it, and is only called where none of its shape is kept; `shape` says
    what else tells two of them apart: activations, dropout. The bytes are the same either way.
    """
    sizes = [kernel.shape for kernel, _ in dense]
    libraries = [version(name) for name in ("imago", "keras", "h5py")]
    name = digest_of([sees.digest, sees.run.preprocess.model_dump(), sizes, [str(part) for part in shape], libraries])
    path = sees.run.cache / "models" / f"{name[:32]}.keras"
    kept = caches.read_sealed(path)
    if kept is not None:
        return _refilled(kept, dense)
    made = canonical.keras_bytes(build())
    caches.keep_sealed(path, made)
    return made


def _refilled(kept: bytes, dense: Sequence[tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Other numbers in the same places of the file."""
    import h5py

    with zipfile.ZipFile(io.BytesIO(kept)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(members[_WEIGHTS])
    with h5py.File(weights, "r+") as file:
        for at, values in enumerate(dense):
            saved = file[f"layers/dense_{at}/vars" if at else "layers/dense/vars"]
            for number, value in enumerate(values):
                saved[str(number)][...] = value
    return canonical.zipped({**members, _WEIGHTS: weights.getvalue()})
