"""What rows of scores are worth against the truth.

Truth is int (n,) where a photo has one label, else float (n, k) of 1, 0 and NaN: a cell that nobody looked at counts nowhere.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import numpy as np

from bundle.errors import DataError
from training.losses import Scores, hot

BINS = 15
MOST_POINTS = 200
# Photos with a label below which it has no threshold of its own: one or two say where they are, not where the next will be.
FEW = 3


class PerClass(TypedDict):
    label: str
    photos: int  # that have it
    precision: float | None  # None: never answered
    recall: float | None  # None: no photo of it
    f1: float | None  # None: neither
    ap: float | None  # None: no photo of it
    threshold: float | None  # from where on it is present; None: the best label is the answer


class Bin(NamedTuple):
    """Answers of about the same probability."""

    confidence: float  # their mean
    accuracy: float  # share that is right
    count: int


class Point(NamedTuple):
    recall: float
    precision: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    # softmax: accuracy, top_K, macro_f1, ece, loss; sigmoid: map, micro_f1, macro_f1, exact, label_accuracy, ece, loss
    metrics: dict[str, float]
    interval: tuple[float, float]  # Wilson's, 95 %, of the accuracy, or of `exact`
    classes: tuple[PerClass, ...]
    confusion: np.ndarray | None  # int (k, k): [truth, answer] -> photos; None: a photo has several labels
    curves: tuple[tuple[Point, ...], ...]  # a label's, from high thresholds to low; empty where no photo has it
    calibration: tuple[Bin, ...]


def evaluate(  # noqa: PLR0913  (the last are how to answer, with defaults)
    rows: np.ndarray,
    truth: np.ndarray,
    labels: tuple[str, ...],
    *,
    scores: Scores,
    thresholds: tuple[float, ...] = (),
    top_k: int = 5,
) -> Evaluation:
    """All there is to say of probabilities (n, k). Without thresholds a label is present from 0.5 on.

    Raises DataError where there are no photos, or scores that are no numbers.
    """
    if not len(rows):
        raise DataError("there are no photos to judge by")
    if not np.isfinite(rows).all():
        raise DataError("the model gives scores that are no numbers; train it again, with a lower learning rate")
    limits = thresholds or (0.5,) * len(labels)
    single = scores == "softmax"
    given = best(rows) if single else rows >= np.asarray(limits)
    wanted, reliability = hot(truth, len(labels)), bins(rows, truth)
    classes = _classes(labels, rows, given, wanted)
    figures = _of_one(rows, truth, top_k) if single else _of_several(given, wanted)
    if not single:
        classes = [{**found, "threshold": float(limit)} for found, limit in zip(classes, limits, strict=True)]
        figures = {"map": _mean([found["ap"] for found in classes]), **figures}
    figures["macro_f1"] = _mean([found["f1"] for found in classes])
    return Evaluation(
        metrics={**figures, "ece": ece(reliability), "loss": loss(rows, truth)},
        interval=wilson(figures["accuracy" if single else "exact"], len(rows)),
        classes=tuple(classes),
        confusion=confusion(rows, truth) if single else None,
        curves=tuple(precision_recall(rows[:, at], wanted[:, at]) for at in range(len(labels))),
        calibration=reliability,
    )


# ---- figures -------------------------------------------------------------------------------


def accuracy(rows: np.ndarray, truth: np.ndarray) -> float:
    return float((rows.argmax(axis=1) == truth).mean())


def top_k(rows: np.ndarray, truth: np.ndarray, k: int) -> float:
    """How often the truth is among the best k; of equal scores the first are the better."""
    own = rows[np.arange(len(rows)), truth][:, None]
    before = np.arange(rows.shape[1]) < truth[:, None]
    ahead = ((rows > own) | ((rows == own) & before)).sum(axis=1)
    return float((ahead < k).mean())


def mean_ap(rows: np.ndarray, truth: np.ndarray) -> float:
    """The mean of the labels' average precision, over labels that some photo has; 0 where there are none."""
    wanted = hot(truth, rows.shape[1])
    return _mean([average_precision(rows[:, at], wanted[:, at]) for at in range(rows.shape[1])])


def average_precision(scores: np.ndarray, wanted: np.ndarray) -> float | None:
    """Of one label, scores (n,) and 1, 0 or NaN (n,): precision over recall, a step at each score. None: no photo has it."""
    if not (wanted == 1).any():
        return None
    _, taken, hits = _cuts(scores, wanted)
    return float((np.diff(hits, prepend=0) / hits[-1] * hits / taken).sum())


def precision_recall(scores: np.ndarray, wanted: np.ndarray) -> tuple[Point, ...]:
    """The curve of one label, at most MOST_POINTS of those where another photo is found."""
    if not (wanted == 1).any():
        return ()
    _, taken, hits = _cuts(scores, wanted)
    found = np.flatnonzero(np.diff(hits, prepend=0))
    shown = found[np.unique(np.linspace(0, len(found) - 1, MOST_POINTS).round().astype(int))]
    return tuple(Point(float(hits[at] / hits[-1]), float(hits[at] / taken[at])) for at in shown)


def confusion(rows: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """int (k, k): [truth, answer] -> photos."""
    classes = rows.shape[1]
    counts = np.bincount(truth * classes + rows.argmax(axis=1), minlength=classes * classes)
    return counts.reshape(classes, classes)


def loss(rows: np.ndarray, truth: np.ndarray) -> float:
    """Mean cross entropy in nats, of photos or of known cells. A probability is never nearer to 0 or 1 than float32 can tell."""
    sure = np.clip(rows.astype(np.float64), 1e-7, 1 - 1e-7)
    if truth.ndim == 1:
        return float(-np.log(sure[np.arange(len(truth)), truth]).mean())
    cells = -np.where(truth == 1, np.log(sure), np.log1p(-sure))[~np.isnan(truth)]
    return float(cells.mean()) if cells.size else 0.0


def bins(rows: np.ndarray, truth: np.ndarray) -> tuple[Bin, ...]:
    """The best answers of photos, or all known cells, by probability: BINS equal steps from 0 to 1, without the empty ones."""
    if truth.ndim == 1:
        sure, right = rows.max(axis=1), rows.argmax(axis=1) == truth
    else:
        known = ~np.isnan(truth)
        sure, right = rows[known], truth[known] == 1
    step = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    count, total, hits = (np.bincount(step, weights, BINS) for weights in (None, sure, right))
    return tuple(
        Bin(float(total[at] / count[at]), float(hits[at] / count[at]), int(count[at])) for at in np.flatnonzero(count)
    )


def ece(found: tuple[Bin, ...]) -> float:
    """Expected calibration error: how far probability and share of right answers are apart, on average."""
    count = max(1, sum(one.count for one in found))
    return float(sum(one.count * abs(one.confidence - one.accuracy) for one in found) / count)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Within what the true share lies, with 95 %, when so many were counted."""
    z = 1.959964
    middle = share + z * z / (2 * count)
    half = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    low, high = ((middle + side * half) / (1 + z * z / count) for side in (-1, 1))
    return max(0.0, low), min(1.0, high)


# ---- thresholds ----------------------------------------------------------------------------


def thresholds(rows: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """For each label that from which on it is called present, at the best F1 of these photos: rows (n, k), truth (n, k).

    A label of fewer than FEW photos has the one that is best for all labels together.
    """
    common = _threshold(rows.ravel(), truth.ravel()) if (truth == 1).any() else 0.5
    enough = (truth == 1).sum(axis=0) >= FEW
    return tuple(_threshold(rows[:, at], truth[:, at]) if own else common for at, own in enumerate(enough))


def _threshold(scores: np.ndarray, wanted: np.ndarray) -> float:
    """In the middle between the last score that is taken and the first that is not; of equal F1 the widest gap."""
    cut, taken, hits = _cuts(scores, wanted)
    f1 = 2 * hits / (taken + hits[-1])
    below = np.append(cut[1:], 0.0)
    at = np.where(f1 >= f1.max() - 1e-12, cut - below, -1.0).argmax()
    middle = float((cut[at] + below[at]) / 2)
    return middle if middle > below[at] else float(cut[at])  # neighbours in float64 have no middle


# ---- counting ------------------------------------------------------------------------------


def best(rows: np.ndarray) -> np.ndarray:
    """bool (n, k): the answer of each row."""
    answers: np.ndarray = np.arange(rows.shape[1]) == rows.argmax(axis=1)[:, None]
    return answers


def _cuts(scores: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each score once, from high to low; how many photos have that or more, and how many of those the label."""
    known = ~np.isnan(wanted)
    order = np.argsort(-scores[known], kind="stable")
    falling = scores[known][order].astype(np.float64)
    last = np.flatnonzero(np.append(np.diff(falling) != 0, True))
    return falling[last], last + 1, np.cumsum(wanted[known][order] == 1)[last]


def _classes(labels: tuple[str, ...], rows: np.ndarray, given: np.ndarray, wanted: np.ndarray) -> list[PerClass]:
    present, known = wanted == 1, ~np.isnan(wanted)
    hits, answers, photos = ((what & known).sum(axis=0) for what in (given & present, given, present))
    return [
        {
            "label": label,
            "photos": int(photos[at]),
            "precision": _share(hits[at], answers[at]),
            "recall": _share(hits[at], photos[at]),
            "f1": _share(2 * hits[at], answers[at] + photos[at]),
            "ap": average_precision(rows[:, at], wanted[:, at]),
            "threshold": None,
        }
        for at, label in enumerate(labels)
    ]


def _of_one(rows: np.ndarray, truth: np.ndarray, k: int) -> dict[str, float]:
    return {"accuracy": accuracy(rows, truth), f"top_{k}": top_k(rows, truth, k)}


def _of_several(given: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    """micro_f1 over all known cells; `exact`: photos whose known labels are all right; `label_accuracy`: cells that are right."""
    present, known = wanted == 1, ~np.isnan(wanted)
    right = (given == present) | ~known
    hits, all_answers = (given & present).sum(), (given & known).sum() + present.sum()
    return {
        "micro_f1": float(2 * hits / max(1, all_answers)),
        "exact": float(right.all(axis=1)[known.any(axis=1)].mean()) if known.any() else 0.0,
        "label_accuracy": float(right[known].mean()) if known.any() else 0.0,
    }


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _mean(values: list[float | None]) -> float:
    """Of those that there are; 0 where there are none."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else 0.0
