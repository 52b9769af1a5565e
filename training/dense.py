"""Dense layers as plain arrays: what they answer, and a standardisation folded into the first of them."""

from dataclasses import dataclass

import numpy as np

# Rows that are widened to float64 at once: a bank of 100,000 photos would be gigabytes.
ROWS = 8192

Layers = tuple["Dense", ...]


@dataclass(frozen=True)
class Dense:
    kernel: np.ndarray  # float32 (d, u)
    bias: np.ndarray  # float32 (u,)


def forward(layers: Layers, features: np.ndarray) -> np.ndarray:
    """(n, d) -> float64 logits (n, k), relu between the layers."""
    if len(features) > ROWS:
        return np.concatenate([forward(layers, features[at : at + ROWS]) for at in range(0, len(features), ROWS)])
    seen = features.astype(np.float64)
    for layer in layers[:-1]:
        seen = np.maximum(seen @ layer.kernel + layer.bias, 0)
    logits: np.ndarray = seen @ layers[-1].kernel + layers[-1].bias
    return logits


@dataclass(frozen=True)
class Standard:
    """(x - mean) / spread, which brings every feature to variance 1."""

    mean: np.ndarray  # float64 (d,)
    spread: np.ndarray  # float64 (d,)

    def of(self, features: np.ndarray) -> np.ndarray:
        """float32 (n, d), a new array."""
        centred: np.ndarray = features - self.mean.astype(np.float32)
        # What float32 rounds off a mean far from zero is added again.
        centred += (self.mean.astype(np.float32) - self.mean).astype(np.float32)
        centred /= self.spread.astype(np.float32)
        return centred

    def folded(self, kernel: np.ndarray, bias: np.ndarray) -> Dense:
        """The layer that gives for features as they come what these give for standardised ones."""
        scaled = kernel.astype(np.float64) / self.spread[:, None]
        return Dense(scaled.astype(np.float32), (bias - self.mean @ scaled).astype(np.float32))


def standard(features: np.ndarray) -> Standard:
    """Of features float32 (n, d); one that never changes says nothing, and must not divide."""
    mean, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    return Standard(mean, np.where(spread > 1e-6, spread, 1.0))
