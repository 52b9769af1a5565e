"""Weights in 8 bits: which way each is rounded, what rounding costs a layer's mean, and what stays in float.

Each convolution's weights are rounded one after the other, and those that are left make up for the error, as far as the layer's inputs
on calibration pictures go together (Frantar et al., GPTQ, 2022). The rounded ones lie on the grid that converters find again by
themselves, and a factor a channel (BatchNormalization) leaves them there. What is still lost on average goes into the biases.
Both are measured in the exact network, so that one pass each is enough.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

FLOAT = 3  # layers: most of the noise of 8-bit activations comes from the first ones, which do 7 % of MobileNet's work
WIDEST = 1152  # inputs of a weight's channel; the time goes with their third power
PLACES = 15  # a side of a picture
DAMPING = 0.01
BLOCK = 64  # columns


def first(layers: list[Any]) -> list[Any]:
    """Those that stay in float, of all with weights; of a small network fewer."""
    return layers[: max(1, min(FLOAT, len(layers) // 4))]


def lost(weights: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """What symmetric rounding to 8 bits takes away, `axes` being those that share a scale; as both converters round."""
    scale = np.abs(weights).max(axis=axes, keepdims=True) / 127
    scale[scale == 0] = 1
    rest: np.ndarray = (weights - np.round(weights / scale) * scale).astype(np.float32)
    return rest


def nearest(weights: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """What symmetric rounding leaves."""
    left: np.ndarray = weights - lost(weights, axes)
    return left


@dataclass
class Moments:
    """Of what a kernel, (h, w, in, out) or depthwise (h, w, in, 1), is multiplied with: their covariance over pictures."""

    kernel: np.ndarray
    depthwise: bool
    count: int = 0
    total: Any = 0.0
    squares: Any = 0.0

    def add(self, given: np.ndarray) -> None:
        """A layer's input, (h, w, in), of one picture. One that is smaller than the kernel tells nothing."""
        height, width, inputs = self.kernel.shape[:3]
        if given.shape[0] < height or given.shape[1] < width:
            return
        windows = sliding_window_view(given, (height, width), axis=(0, 1))
        down, across = (-(-side // PLACES) for side in windows.shape[:2])
        some = windows[::down, ::across].reshape(-1, inputs, height * width)
        # (groups, places, inputs of a sum)
        rows = some.transpose(1, 0, 2) if self.depthwise else some.reshape(1, len(some), -1)
        self.count += len(some)
        self.total = self.total + rows.sum(axis=1)
        self.squares = self.squares + rows.transpose(0, 2, 1) @ rows

    def rounded(self) -> np.ndarray:
        """The kernel on its grid of 8 bits. Fewer places than inputs say too little of how these go together."""
        if self.count < np.prod(self.kernel.shape[: 2 if self.depthwise else 3]):
            return nearest(self.kernel, (0, 1) if self.depthwise else (0, 1, 2))
        mean = self.total.astype(np.float64) / self.count
        covariance = self.squares / self.count - mean[:, :, None] * mean[:, None, :]
        height, width, inputs, outputs = self.kernel.shape
        if self.depthwise:
            rows = self.kernel.transpose(2, 3, 0, 1).reshape(inputs, outputs, -1)
            back = _rounded(rows, covariance).reshape(inputs, outputs, height, width).transpose(2, 3, 0, 1)
        else:
            # A window has its places last: (h, w, in, out) -> (1, out, in * h * w).
            rows = self.kernel.transpose(3, 2, 0, 1).reshape(1, outputs, -1)
            back = _rounded(rows, covariance).reshape(outputs, inputs, height, width).transpose(2, 3, 1, 0)
        return np.ascontiguousarray(back)


def _rounded(rows: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Rows (groups, out, in) on their grids; covariance (groups, in, in)."""
    left, size = rows.astype(np.float64), rows.shape[-1]
    largest = np.abs(left).argmax(axis=2)
    peak = np.take_along_axis(left, largest[..., None], axis=2)[..., 0]
    step = np.where(peak == 0, 1, np.abs(peak) / 127)
    ridge = DAMPING * np.trace(covariance, axis1=1, axis2=2) / size + 1e-9
    spread = np.linalg.inv(covariance + ridge[:, None, None] * np.eye(size))
    factor = np.linalg.cholesky(spread).transpose(0, 2, 1)
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        errors = np.zeros((*step.shape, stop - start))
        for at in range(start, stop):
            near = np.clip(np.round(left[..., at] / step), -127, 127) * step
            near = np.where(largest == at, peak, near)  # a converter finds the step by it
            errors[..., at - start] = (left[..., at] - near) / factor[:, at, at, None]
            left[..., at:stop] -= errors[..., at - start, None] * factor[:, None, at, at:stop]
            left[..., at] = near
        left[..., stop:] -= errors @ factor[:, start:stop, stop:]
    return left.astype(np.float32)


def fits(inputs: int, dilations: Any) -> bool:
    return inputs <= WIDEST and set(dilations) == {1}
