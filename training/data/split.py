"""Who trains and who judges, where only one set is given."""

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np

from training.data import alike
from training.data.items import Photo

# A fifth of the photos judges the rest.
VALIDATION_SHARE = 0.2

# Thumbnails (16 x 16 fields of red, green and blue, 0 to 255) that differ by less on average are of the same picture: saved again at
# quality 50 or at half the size, nine of ten photos differ by 0.6; the nearest two different ones differ by 5, drawn ones by 1.6.
NEAR = 1.0


def split(
    photos: Sequence[Photo], small: Mapping[str, np.ndarray], labels: int
) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
    """Training and validation photos by content alone: adding or renaming photos moves none of the others but those that look like them,
    and the last photos of a label, which train. `small`: sha256 -> thumbnail, of those that have one."""
    groups = {_key(group): group for group in _groups(photos, small)}
    judges = {key for key in groups if int(key[:8], 16) / 2**32 < VALIDATION_SHARE}
    having: list[set[str]] = [set() for _ in range(labels)]  # of each label the groups that have it
    for key, group in groups.items():
        for label in {label for photo in group for label in photo.labels}:
            having[label].add(key)
    for keys in having:
        if keys and judges.issuperset(keys):
            judges.remove(min(keys, key=_reversed))
    if not judges:  # of a small set: one that training can spare
        spared = (key for key in sorted(groups) if len(groups) > 1 and all(keys != {key} for keys in having))
        judges = set(islice(spared, 1))
    judging = {photo for key in judges for photo in groups[key]}
    return tuple(p for p in photos if p not in judging), tuple(p for p in photos if p in judging)


def alike_in_both(train: Sequence[Photo], judges: Sequence[Photo], small: Mapping[str, np.ndarray]) -> int:
    """How many judges are, or nearly are, training photos."""
    everything = [*train, *judges]
    groups = alike.joined(len(everything), _links(everything, small))
    return sum(at >= len(train) for group in groups if min(group) < len(train) for at in group)


def _groups(photos: Sequence[Photo], small: Mapping[str, np.ndarray]) -> list[list[Photo]]:
    return [[photos[at] for at in group] for group in alike.joined(len(photos), _links(photos, small))]


def _links(photos: Sequence[Photo], small: Mapping[str, np.ndarray]) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    same = [(at, first.setdefault(photo.sha256, at)) for at, photo in enumerate(photos)]
    shown = [at for sha256, at in first.items() if sha256 in small]
    if not shown:
        return same
    seen = np.stack([small[photos[at].sha256].ravel() for at in shown])
    return same + [(shown[one], shown[other]) for one, other in alike.near(seen, NEAR)]


def _key(group: Sequence[Photo]) -> str:
    return min(photo.sha256 for photo in group)


def _reversed(text: str) -> str:
    """Another order than the one that chooses the judges."""
    return text[::-1]
