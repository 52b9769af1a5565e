"""What came of a run, or of judging a bundle: all that the report shows and the command line prints, in one frozen object."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from bundle import image
from bundle.errors import PictureError
from bundle.image import Preprocess
from training import metrics
from training.metrics import Evaluation
from training.run import Run

Scores = Literal["softmax", "sigmoid"]

# Mistakes that are shown with their picture, whose longer side has so many pixels.
MOST_SHOWN = 24
SHOWN_PIXELS = 176
# Mistakes that are listed at all.
MOST_LISTED = 500


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One photo that was answered wrongly."""

    file: str
    truth: tuple[str, ...]
    answer: tuple[str, ...]
    label: str  # what is wrong: answered and not there, or there and not answered
    probability: float  # of that label
    picture: np.ndarray | None  # uint8 (h, w, 3), cut as the model sees it; None: it is only listed


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The same photos by the layers as they were trained, before any export."""

    metrics: Mapping[str, float]
    differing: int  # photos whose answer is another one than that which is served
    furthest: float  # the largest difference of a score


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One set of photos, through the exported model and the engine that serves it."""

    name: str  # validation, test, or where the photos are
    photos: int
    evaluation: Evaluation
    trained: Trained | None  # None: nothing was trained here
    mistakes: Sequence[Mistake]  # the surest first


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """A head, or the network after fine-tuning, that validation could choose."""

    name: str
    note: str  # the chosen strength, epochs...
    metrics: Mapping[str, float]  # on validation
    seconds: float
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class Result:
    name: str  # the bundle's, without its id
    bundle: Path | None  # None: none was written, see `refused`
    refused: str = ""  # why no bundle was written, one sentence
    command: str = ""
    labels: tuple[str, ...]
    scores: Scores
    thresholds: tuple[float, ...] = ()  # of sigmoid: from where on a label is present
    judged: tuple[Judged, ...]  # the validation first; then the test, where there is one
    photos: Mapping[str, int]  # set -> readable photos
    balance: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # set -> photos of each label
    alternatives: Sequence[Alternative] = ()
    temperature: float | None = None  # what the logits were divided by; None: not calibrated
    uncalibrated: Evaluation | None = None  # the validation before that
    sheet: np.ndarray | None = None  # uint8 (h, w, 3): photos as augmentation changes them, beside one another
    unseen: int = 0  # photos that the backbone had to look at; what it saw in the others was kept
    skipped: Sequence[tuple[str, str]] = ()  # file, reason
    notes: Sequence[str] = ()
    curve: Sequence[Mapping[str, float]] = ()  # an entry an epoch
    seconds: Mapping[str, float] = field(default_factory=dict)  # stage -> seconds

    @property
    def validation(self) -> Judged:
        return self.judged[0]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """How scores (n, k) become answers."""

    labels: tuple[str, ...]
    scores: Scores
    thresholds: tuple[float, ...] = ()
    top_k: int = 5

    def of(self, rows: np.ndarray) -> np.ndarray:
        """bool (n, k): the best label, or of several all that reach their thresholds."""
        if self.scores == "sigmoid":
            return rows >= np.asarray(self.thresholds)
        return np.arange(rows.shape[1]) == rows.argmax(axis=1)[:, None]

    def judged(self, rows: np.ndarray, truth: np.ndarray) -> Evaluation:
        how = {"scores": self.scores, "thresholds": self.thresholds, "top_k": self.top_k}
        return metrics.evaluate(rows, truth, self.labels, **how)


@dataclass(frozen=True, kw_only=True)
class Photographed:
    """The photos of a set, as far as a report shows them."""

    name: str  # the set's
    names: Sequence[str]
    read: Callable[[int], bytes]  # a photo's bytes by its place; raises OSError
    spec: Preprocess


def judge(
    rows: np.ndarray, truth: np.ndarray, answers: Answers, photos: Photographed, *, trained: np.ndarray | None = None
) -> Judged:
    """Scores (n, k) as served against the truth (as training.metrics has it), and against those of the layers as they were trained."""
    return Judged(
        name=photos.name,
        photos=len(rows),
        evaluation=answers.judged(rows, truth),
        trained=None if trained is None else _trained(rows, trained, truth, answers),
        mistakes=_shown(_mistakes(rows, truth, answers), photos),
    )


def refusal(run: Run, judged: Judged) -> str:
    """Why nothing may be written, by --assert-accuracy-at-least; empty where all is well."""
    figures, wanted = judged.evaluation.metrics, run.assert_accuracy_at_least
    name = "accuracy" if "accuracy" in figures else "map"
    if wanted is None or figures[name] >= wanted:
        return ""
    return (
        f"{'mAP' if name == 'map' else name} {figures[name]:.4f} on {judged.photos} {judged.name} photos, "
        f"at least {wanted:g} wanted by --assert-accuracy-at-least; no bundle was written"
    )


def balance(truth: np.ndarray, labels: Sequence[str]) -> tuple[int, ...]:
    """Photos of each label: of indices (n,), or of 1, 0 and NaN (n, k)."""
    if truth.ndim == 1:
        return tuple(np.bincount(truth, minlength=len(labels)).tolist())
    return tuple((truth == 1).sum(axis=0).tolist())


# ---- mistakes ------------------------------------------------------------------------------


def _trained(rows: np.ndarray, trained: np.ndarray, truth: np.ndarray, answers: Answers) -> Trained:
    differing = (answers.of(rows) != answers.of(trained)).any(axis=1)
    return Trained(
        metrics=answers.judged(trained, truth).metrics,
        differing=int(differing.sum()),
        furthest=float(np.abs(np.asarray(rows, np.float64) - trained).max()),
    )


Wrong = tuple[int, tuple[str, ...], tuple[str, ...], str, float]


def _mistakes(rows: np.ndarray, truth: np.ndarray, answers: Answers) -> list[Wrong]:
    """Photo, truth, answer, and the label that is furthest off with its probability; the surest first."""
    given = answers.of(rows)
    several = truth.ndim == 2
    present = truth == 1 if several else np.arange(rows.shape[1]) == truth[:, None]
    # Where there is one label the answer is what is wrong, not the truth that came too short.
    judged = ~np.isnan(truth) if several else given
    off = np.where((given != present) & judged, np.where(given, rows, 1 - rows), -1.0)
    worst, furthest = off.argmax(axis=1), off.max(axis=1)
    return [
        (
            int(at),
            _words(present[at], answers.labels),
            _words(given[at], answers.labels),
            answers.labels[worst[at]],
            float(rows[at, worst[at]]),
        )
        for at in np.argsort(-furthest, kind="stable")
        if furthest[at] >= 0
    ]


def _words(chosen: np.ndarray, labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(label for label, yes in zip(labels, chosen, strict=True) if yes)


def _shown(wrong: list[Wrong], photos: Photographed) -> list[Mistake]:
    return [
        Mistake(
            file=photos.names[at],
            truth=truth,
            answer=answer,
            label=label,
            probability=probability,
            picture=_picture(photos, at) if number < MOST_SHOWN else None,
        )
        for number, (at, truth, answer, label, probability) in enumerate(wrong[:MOST_LISTED])
    ]


def _picture(photos: Photographed, at: int) -> np.ndarray | None:
    """As the model sees it, but larger."""
    spec, larger = photos.spec, SHOWN_PIXELS / max(photos.spec.height, photos.spec.width)
    size = {"height": round(spec.height * larger), "width": round(spec.width * larger)}
    try:
        return image.preprocess(
            image.decode(photos.read(at), spec.model_copy(update=size)), spec.model_copy(update=size)
        )
    except (PictureError, OSError):
        return None  # it was there a moment ago; a report does not fail by that
