"""What a network is shown: batches of photos with their truth, as they are or varied anew each epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from training.data.cache import Cache
from training.data.photos import Photo


class Policy(Protocol):
    """An augmentation."""

    def apply(self, pixels: np.ndarray, rng: np.random.Generator, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Samples:
    """Photos, what is true of them, and how a photo looks in an epoch."""

    photos: Sequence[Photo]
    truth: np.ndarray  # int64 (n,), or float32 (n, k) with NaN where unknown
    look: Callable[[Photo, int], np.ndarray]  # photo, epoch -> uint8 (h, w, 3)

    def __len__(self) -> int:
        return len(self.photos)

    def batch(self, indices: Sequence[int] | np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (n, h, w, 3) and the rows of truth; the same again for the same indices and epoch."""
        return np.stack([self.look(self.photos[at], epoch) for at in indices]), self.truth[indices]


def plain(photos: Sequence[Photo], truth: np.ndarray, cache: Cache) -> Samples:
    """Photos as they are in the cache."""
    return Samples(photos, truth, lambda photo, epoch: cache.read(photo))


def varied(photos: Sequence[Photo], truth: np.ndarray, cache: Cache, policy: Policy, seed: int) -> Samples:
    """Photos from a cache of larger pictures, drawn by seed, epoch and content alone: no photo hangs on its neighbours."""

    def look(photo: Photo, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([seed, epoch, int(photo.sha256[:16], 16)])
        return policy.apply(cache.read(photo), rng)

    return Samples(photos, truth, look)
