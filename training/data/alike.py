"""Which pictures look alike, and what belongs together because of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np


def joined(count: int, links: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The numbers below `count` in groups, by union and find: those that a chain of links joins."""
    heads = list(range(count))

    def head(at: int) -> int:
        while heads[at] != at:
            heads[at] = heads[heads[at]]
            at = heads[at]
        return at

    for one, other in links:
        heads[head(one)] = head(other)
    groups: dict[int, list[int]] = defaultdict(list)
    for at in range(count):
        groups[head(at)].append(at)
    return list(groups.values())


def near(seen: np.ndarray, limit: float) -> Iterator[tuple[int, int]]:
    """Pairs of rows (n, d) whose mean absolute difference is below `limit`.

    Means of parts differ by no more than that, so most pairs are told apart by one number, and most of the rest by sixteen.
    """
    if len(seen) < 2:
        return
    parts = np.array_split(np.arange(seen.shape[1]), 16)
    rough = np.stack([seen[:, part].mean(axis=1, dtype=np.float32) for part in parts if len(part)], axis=1)
    means = seen.mean(axis=1, dtype=np.float64)
    order = np.argsort(means, kind="stable")
    # A hair more than the limit: these are sums of rounded numbers.
    ends = np.searchsorted(means[order], means[order] + 1.001 * limit, side="right")
    widths = np.array([len(part) for part in parts if len(part)]) / seen.shape[1]
    for place, (at, end) in enumerate(zip(order, ends, strict=True)):
        others = order[place + 1 : end]
        others = others[np.abs(rough[others] - rough[at]) @ widths < 1.001 * limit]
        apart = np.abs(seen[others].astype(np.float32) - seen[at].astype(np.float32)).mean(axis=1)
        yield from ((int(at), int(other)) for other in others[apart < limit])
