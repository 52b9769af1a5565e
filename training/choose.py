"""Trains the heads that a run asks for, and has validation choose."""

import time
from dataclasses import dataclass

from training import calibrate, heads, losses, metrics
from training.heads import Bank, Head
from training.run import HeadKind, Run

KINDS: tuple[HeadKind, ...] = ("linear", "mlp", "retrain")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A head, and what it is worth on validation, with its temperature where the run calibrates."""

    head: Head
    temperature: float  # not yet folded in; 1 where the run does not calibrate
    metrics: dict[str, float]  # loss; accuracy, or map where a photo has several labels
    seconds: float


def candidates(bank: Bank, run: Run) -> tuple[Candidate, ...]:
    """Each head that the run asks for, the one to take first: that of least validation loss."""
    import scipy.optimize  # noqa: F401  (loaded here, so that the first head's seconds are its own)

    kinds = KINDS if run.head == "all" else (run.head,)
    return tuple(sorted((_candidate(kind, bank, run) for kind in kinds), key=lambda one: one.metrics["loss"]))


def _candidate(kind: HeadKind, bank: Bank, run: Run) -> Candidate:
    began = time.perf_counter()
    head = heads.fit(kind, bank, run)
    logits, truth = heads.logits(head, bank.validation), bank.validation_truth
    # What is served is compared: a head that is only too sure of itself, or too shy, is no worse for it.
    by = calibrate.temperature(logits, truth) if run.calibrate else 1.0
    goal = losses.goal(truth, losses.weighing(bank.truth, bank.labels, run))
    rows = heads.rows(logits / by, bank.scores)
    right = metrics.accuracy(rows, truth) if bank.scores == "softmax" else metrics.mean_ap(rows, truth)
    return Candidate(
        head=head,
        temperature=by,
        metrics={"loss": losses.loss(logits / by, goal), "accuracy" if bank.scores == "softmax" else "map": right},
        seconds=time.perf_counter() - began,
    )
