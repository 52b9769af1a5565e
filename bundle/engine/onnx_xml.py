"""The two graphs of image to XML on ONNX Runtime: the picture once, then a step a token."""

from pathlib import Path
from typing import Any

import numpy as np

from bundle.engine import XmlEngine
from bundle.engine.onnx_cpu import open_session
from bundle.errors import BundleError
from bundle.image import Preprocess

FLOAT = "tensor(float)"
OUTPUTS = ("logits", "new_cache_keys", "new_cache_values")
CACHES = ("cache_keys", "cache_values", *OUTPUTS[1:])
# Name -> type and shape; None stands for a size that changes from run to run.
Wanted = dict[str, tuple[str, list[int | None]]]


def load(encoder: Path | bytes, step: Path | bytes, spec: Preprocess, tokens: int) -> XmlEngine:
    """Files or their content; `tokens` is the length of the schema's table. Raises BundleError where they do not fit each other."""
    names = [
        file if isinstance(file, Path) else name for file, name in ((encoder, "encoder.onnx"), (step, "step.onnx"))
    ]
    first, second = open_session(encoder, str(names[0])), open_session(step, str(names[1]))
    _check(first, second, spec, tokens, str(names[0]), str(names[1]))

    def encode(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        keys, values = first.run(["memory_keys", "memory_values"], {"pixels": pixels})
        return keys, values

    def following(
        token: np.ndarray, keys: np.ndarray, values: np.ndarray, memory_keys: np.ndarray, memory_values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inputs = {
            "token": token,
            "cache_keys": keys,
            "cache_values": values,
            "memory_keys": memory_keys,
            "memory_values": memory_values,
        }
        logits, new_keys, new_values = second.run(OUTPUTS, inputs)
        return logits, new_keys, new_values

    return XmlEngine(name="onnxruntime", device="cpu", encode=encode, step=following)


def _check(first: Any, second: Any, spec: Preprocess, tokens: int, *where: str) -> None:
    """What the encoder remembers of a picture says how large everything is."""
    shape: list[Any] = next((value.shape for value in first.get_outputs() if value.name == "memory_keys"), [])
    if len(shape) != 5 or not all(isinstance(shape[at], int) for at in (0, 2, 3, 4)):
        raise BundleError(
            f"{where[0]}: memory_keys is {shape}, (layers, n, heads, head_size, m) wanted; train or import it again"
        )
    layers, _, heads, size, places = shape
    memory: Wanted = {
        "memory_keys": (FLOAT, [layers, None, heads, size, places]),
        "memory_values": (FLOAT, [layers, None, heads, places, size]),
    }
    caches: Wanted = {name: (FLOAT, [layers, None, heads, None, size]) for name in CACHES}
    rows: Wanted = {"token": ("tensor(int64)", [None]), "logits": (FLOAT, [None, tokens])}
    _meets(first, {"pixels": ("tensor(uint8)", [None, spec.height, spec.width, 3]), **memory}, where[0])
    _meets(second, rows | caches | memory, where[1])


def _meets(session: Any, wanted: Wanted, where: str) -> None:
    values = [*session.get_inputs(), *session.get_outputs()]
    found = {value.name: (value.type, [at if isinstance(at, int) else None for at in value.shape]) for value in values}
    for name, kind in wanted.items():
        if found.get(name) != kind:
            raise BundleError(f"{where}: {name} is {found.get(name)}, {kind} wanted; train or import it again")
