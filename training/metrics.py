"""What rows of scores are worth against the truth."""

from typing import TypedDict

import numpy as np


class PerClass(TypedDict):
    label: str
    photos: int
    recall: float | None  # None: no photo of it
    precision: float | None  # None: never answered


def accuracy(rows: np.ndarray, truth: np.ndarray) -> float:
    return float((rows.argmax(axis=1) == truth).mean())


def top_k(rows: np.ndarray, truth: np.ndarray, k: int) -> float:
    """How often the truth is among the best k."""
    best = np.argsort(-rows, axis=1, kind="stable")[:, :k]
    return float((best == truth[:, None]).any(axis=1).mean())


def confusion(rows: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """int (k, k): [truth, answer] -> photos."""
    classes = rows.shape[1]
    counts = np.bincount(truth * classes + rows.argmax(axis=1), minlength=classes * classes)
    return counts.reshape(classes, classes)


def per_class(labels: tuple[str, ...], counts: np.ndarray) -> list[PerClass]:
    return [
        {
            "label": label,
            "photos": int(counts[at].sum()),
            "recall": _share(counts[at, at], counts[at].sum()),
            "precision": _share(counts[at, at], counts[:, at].sum()),
        }
        for at, label in enumerate(labels)
    ]


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
