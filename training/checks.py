"""Knobs of a Run that make no sense together: one sentence each, before anything is done."""

from collections.abc import Iterator, Set
from typing import Literal

from bundle.errors import DataError
from training.run import Run

Scores = Literal["softmax", "sigmoid"]

# What retrain.py called its four.
RETRAIN = ("flip_left_right", "random_crop", "random_scale", "random_brightness")
# Who listens to what.
OPTIMIZERS = {
    "momentum": ("sgd", "nag"),
    "weight_decay": ("sgd", "nag"),
    "beta_1": ("adam",),
    "beta_2": ("adam",),
    "eps": ("adam", "rmsprop"),
    "gamma": ("rmsprop",),
}
STOPPING = ("early_stopping_min_epochs", "early_stopping_patience", "early_stopping_tolerance")
STEPS = ("lr_scheduler_step", "lr_scheduler_factor")
LAYERS = (
    *("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "warmup", "dropout"),
    *("mixed_precision", "early_stopping", *OPTIMIZERS, *STOPPING, *STEPS),
)


def given(run: Run, said: Set[str]) -> Run:
    """The same run. `said`: the fields that somebody asked for, and did not get by default. Raises DataError."""
    for sentence in _network(run), *_augmentation(run, said), *_learning(run, said), *_sets(run):
        if sentence:
            raise DataError(sentence)
    return run


def checked(run: Run, scores: Scores) -> Run:
    """The same run, once the data has told whether a photo may have several labels. Raises DataError."""
    if run.weighted_loss and scores == "softmax":
        raise DataError("--weighted-loss: is for photos with several labels, these have one each; try --class-weights")
    if run.class_weights and scores == "sigmoid":
        raise DataError("--class-weights: is for photos with one label each, these have several; try --weighted-loss")
    return run


def _network(run: Run) -> str:
    from training.backbones import PLANS

    if not run.backbone.startswith("mobilenet") and run.alpha != 1.0:
        return f"--alpha {run.alpha:g}: only a mobilenet has a width; leave it out for {run.backbone}"
    smallest = PLANS[run.backbone].smallest
    return f"--size {run.size}: {run.backbone} needs at least {smallest} pixels" if run.size < smallest else ""


def _augmentation(run: Run, said: Set[str]) -> Iterator[str]:
    changes = [name for name in RETRAIN if getattr(run, name)]
    if changes and run.augment != "retrain":
        yield f"{_flag(changes[0])}: is part of --augment retrain, not of --augment {run.augment}"
    if run.augment == "retrain" and not changes:
        yield f"--augment retrain: changes nothing by itself; add {', '.join(map(_flag, RETRAIN))}"
    if run.copies and run.augment == "none":
        yield f"--copies {run.copies}: are copies of nothing new without --augment"
    if run.augment != "none" and not _layers_learn(run) and not run.copies:
        yield f"--augment {run.augment}: does nothing with --copies 0 and no layer that learns; add --copies or --fine-tune"
    if run.weights == "none":
        for name in {"head", "copies", "fine_tune"} & said:
            flag = "--heads" if name == "head" else _flag(name)
            yield f"{flag}: does nothing with --weights none, where all layers learn from the start"


def _learning(run: Run, said: Set[str]) -> Iterator[str]:
    if not _layers_learn(run) and run.head == "linear" and (idle := [name for name in LAYERS if name in said]):
        yield f"{_flag(idle[0])}: does nothing here, where only a linear head is fitted; add --fine-tune N or --weights none"
    for name, listeners in OPTIMIZERS.items():
        if name in said and run.optimizer not in listeners:
            yield f"{_flag(name)}: is for --optimizer {' or '.join(listeners)}, not for {run.optimizer}"
    for name in STOPPING:
        if name in said and not run.early_stopping:
            yield f"{_flag(name)}: does nothing without --early-stopping"
    for name in STEPS:
        if name in said and run.schedule != "step":
            yield f"{_flag(name)}: is for --schedule step, not for {run.schedule}"
    if run.schedule == "step" and not run.lr_scheduler_step:
        yield "--schedule step: wants --lr-scheduler-step, the epochs after which the rate falls"
    if list(run.lr_scheduler_step) != sorted(set(run.lr_scheduler_step)):
        yield "--lr-scheduler-step: wants epochs in ascending order, each once"


def _sets(run: Run) -> Iterator[str]:
    if run.multi_label is False and run.weighted_loss:
        yield "--weighted-loss: is for several labels a photo; --single-label says that there is one"
    if run.multi_label is True and run.class_weights:
        yield "--class-weights: is for one label a photo; --multi-label says that there are several"
    if run.images and run.data.is_dir():
        yield f"--images {run.images}: is for a list of photos; {run.data} is a folder"
    if run.test and run.test in (run.data, run.validation):
        yield f"--test {run.test}: is also what {'is trained on' if run.test == run.data else 'validates'}; it would judge nothing"


def _layers_learn(run: Run) -> bool:
    return run.weights == "none" or run.fine_tune != 0


def _flag(field: str) -> str:
    return f"--{field.replace('_', '-')}"
