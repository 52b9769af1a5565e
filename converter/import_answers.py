"""Whether what was made of a network answers as a bundle has to: the same for any number of pictures, in probabilities."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bundle.engine import onnx_cpu
from bundle.errors import BundleError
from converter.about import reason
from converter.pixels import Around

# Between two sizes of batch, and between Keras' layers and what ONNX makes of them.
CLOSE = 1e-4


def _noise(size: tuple[int, int], count: int) -> np.ndarray:
    """uint8 (count, h, w, 3): the first grey."""
    noise = np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8)
    noise[0] = 128
    return noise


def check_converted(model: bytes, run: Callable[[np.ndarray], Any], around: Around, where: Path) -> None:
    """Raises BundleError where ONNX gives other scores than `run`, which is Keras."""
    noise = _noise(around.size, 2)
    found = onnx_cpu.open_session(model, str(where)).run(None, {"pixels": noise})[0]
    wanted = np.asarray(run(noise))
    if not np.allclose(found, wanted, rtol=0, atol=CLOSE, equal_nan=True):
        off = float(np.abs(found - wanted).max())
        raise BundleError(
            f"{where}: its scores as ONNX differ by {off:.3g} from Keras', at most {CLOSE:g} wanted; import it as --onnx"
        )


def check(model: bytes, around: Around, scores: str, where: Path) -> None:
    """Runs one picture and three. Raises BundleError where a picture's scores hang on the others, or are no probabilities."""
    session = onnx_cpu.open_session(model, str(where))
    noise = _noise(around.size, 3)
    try:
        one, three = (session.run(None, {"pixels": batch})[0] for batch in (noise[1:2], noise))
    except Exception as error:  # onnxruntime's own kinds share no parent
        raise BundleError(
            f"{where}: runs not on one picture and on three ({reason(error)}); export it for any number"
        ) from None
    if one.shape != (1, around.outputs) or three.shape != (3, around.outputs):
        found = " x ".join(map(str, three.shape))
        raise BundleError(
            f"{where}: its scores of 3 pictures are {found}, 3 x {around.outputs} wanted for these labels"
        )
    if not np.isfinite(three).all():
        raise BundleError(f"{where}: its scores are not finite; its weights are damaged, or made of a failed training")
    if not np.allclose(one[0], three[1], atol=CLOSE):
        raise BundleError(
            f"{where}: a picture's scores hang on those beside it, or on chance; export it for inference and for any number"
        )
    _check_probable(three, scores, where)


def _check_probable(rows: np.ndarray, scores: str, where: Path) -> None:
    low, high, total = rows.min(), rows.max(), rows.sum(axis=1)
    if low < -1e-6 or high > 1 + 1e-5 or (scores == "softmax" and not np.allclose(total, 1, atol=1e-3)):
        more = ", or --scores sigmoid if a picture may have several labels" if scores == "softmax" else ""
        raise BundleError(
            f"{where}: its scores go from {low:.3g} to {high:.3g} and add up to {total.max():.3g}, which is no {scores}; "
            f"add --logits if the network ends before its {scores}{more}"
        )
