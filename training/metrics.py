"""What rows of scores are worth against the truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np

BINS = 15


class PerClass(TypedDict):
    label: str
    photos: int
    recall: float | None  # None: no photo of it
    precision: float | None  # None: never answered
    f1: float | None
    ap: float | None
    threshold: float | None  # None: the best label is the answer


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One set's figures."""

    metrics: dict[str, float]
    interval: tuple[float, float]  # Wilson's, 95 %, of the accuracy, or of `exact`
    classes: list[PerClass]
    confusion: np.ndarray | None  # int (k, k): [truth, answer]; None: a photo may have several labels
    curves: tuple[tuple[tuple[float, float], ...], ...]  # for each label (recall, precision), recall rising
    calibration: tuple[tuple[float, float, int], ...]  # for each bin mean confidence, share that is right, answers


def evaluate(  # noqa: PLR0913
    rows: np.ndarray,
    truth: np.ndarray,
    labels: tuple[str, ...],
    *,
    scores: Literal["softmax", "sigmoid"],
    thresholds: Sequence[float] = (),
    top_k: int = 5,
) -> Evaluation:
    """Scores (n, k) against indices (n,), or against 1, 0 and NaN (n, k)."""
    several = scores == "sigmoid"
    present = truth if several else (np.arange(len(labels)) == truth[:, None]).astype(np.float32)
    known = ~np.isnan(present)
    if several:
        answered = rows >= np.asarray(thresholds or (0.5,) * len(labels))
    else:
        answered = np.arange(len(labels)) == rows.argmax(axis=1)[:, None]
    classes, curves = [], []
    for at, label in enumerate(labels):
        seen = known[:, at]
        row, curve = _one(label, rows[seen, at], present[seen, at] == 1, answered[seen, at])
        classes.append({**row, "threshold": float(thresholds[at]) if several and thresholds else None})
        curves.append(curve)
    right, sure = (answered == (present == 1))[known], np.where(answered, rows, 1 - rows)[known]
    if not several:
        right, sure = rows.argmax(axis=1) == truth, rows.max(axis=1)
    bins = _bins(sure, right)
    f1 = [c["f1"] for c in classes if c["f1"] is not None]
    figures = {"macro_f1": float(np.mean(f1)), "ece": sum(n * abs(c - a) for c, a, n in bins) / len(right)}
    if several:
        hit = (answered & (present == 1) & known).sum()
        figures |= {
            "map": float(np.mean([c["ap"] for c in classes if c["ap"] is not None])),
            "micro_f1": float(2 * hit / max(1, (answered & known).sum() + ((present == 1) & known).sum())),
            "exact": float(((answered == (present == 1)) | ~known).all(axis=1).mean()),
            "label_accuracy": float(right.mean()),
        }
    else:
        figures |= {
            "accuracy": accuracy(rows, truth),
            f"top_{top_k}": globals()["top_k"](rows, truth, top_k),
        }
    return Evaluation(
        metrics=figures,
        interval=_wilson(figures["exact" if several else "accuracy"], len(rows)),
        classes=classes,
        confusion=None if several else confusion(rows, truth),
        curves=tuple(curves),
        calibration=bins,
    )


def _wilson(share: float, of: int, z: float = 1.96) -> tuple[float, float]:
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * ((share * (1 - share) + z * z / (4 * of)) / of) ** 0.5 / (1 + z * z / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def _one(label: str, rows: np.ndarray, present: np.ndarray, answered: np.ndarray) -> tuple[dict, tuple]:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    hit = int((present & answered).sum())
    found, true = int(answered.sum()), int(present.sum())
    row = {
        "label": label,
        "photos": true,
        "recall": _share(hit, true),
        "precision": _share(hit, found),
        "f1": _share(2 * hit, found + true),
        "ap": float(average_precision_score(present, rows)) if true else None,
    }
    if not true:
        return row, ()
    precision, recall, _ = precision_recall_curve(present, rows)
    return row, tuple((float(x), float(y)) for x, y in zip(recall[::-1], precision[::-1], strict=True))


def _bins(sure: np.ndarray, right: np.ndarray) -> tuple[tuple[float, float, int], ...]:
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    return tuple(
        (float(sure[place == at].mean()), float(right[place == at].mean()), int((place == at).sum()))
        for at in range(BINS)
        if (place == at).any()
    )


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


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
