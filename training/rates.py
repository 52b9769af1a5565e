"""Optimisers with the knobs SageMaker gave them, and how high the learning rate is at a step."""

import math
from typing import Any

from bundle.engine.keras_any import import_keras
from training.run import Run

# What no weight decay touches: it would only move what normalisation learned.
UNDECAYED = ("bias", "gamma", "beta")


def highest(run: Run) -> float:
    """The learning rate that was asked for, or what suits published weights and random numbers."""
    if run.learning_rate is not None:
        return run.learning_rate
    return 3e-3 if run.weights == "none" else 1e-4


def rate(run: Run, step: int, steps: int, epochs: int) -> float:
    """The learning rate of a step (from 0) of so many in so many epochs: warm-up in a straight line, then by the schedule."""
    warm = max(1, int(steps * run.warmup))
    if step < warm and run.warmup:
        return highest(run) * (step + 1) / warm
    gone = (step - warm) / max(1, steps - warm) if run.warmup else step / steps
    return highest(run) * _share(run, gone, epochs * step // steps)


def _share(run: Run, gone: float, epoch: int) -> float:
    """Of the highest rate, `gone` (0 to 1) of the way after warm-up, in an epoch (from 0)."""
    if run.schedule == "cosine":
        return 0.5 + 0.5 * math.cos(math.pi * gone)
    if run.schedule == "linear":
        return 1 - gone
    if run.schedule == "step":
        return run.lr_scheduler_factor ** sum(epoch >= after for after in run.lr_scheduler_step)
    return 1.0


def optimizer(run: Run) -> Any:
    """keras.optimizers.Optimizer. weight_decay is Keras' own: a step takes rate * weight_decay off each kernel (sgd, nag)."""
    optimizers = import_keras().optimizers
    high = highest(run)
    if run.optimizer == "adam":
        return optimizers.Adam(high, beta_1=run.beta_1, beta_2=run.beta_2, epsilon=run.eps)
    if run.optimizer == "rmsprop":
        return optimizers.RMSprop(high, rho=run.gamma, epsilon=run.eps)
    nag = run.optimizer == "nag"
    made = optimizers.SGD(high, momentum=run.momentum, nesterov=nag, weight_decay=run.weight_decay or None)
    made.exclude_from_weight_decay(var_names=UNDECAYED)
    return made
