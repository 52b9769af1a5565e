"""Fine-tuning: Keras' layers learn from pixels, from a fitted head or from random numbers on; broken off at any moment and taken up again.

The loop is our own over `train_on_batch`: `fit` can only be taken up between epochs, and then without Dropout's seeds.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from bundle.engine import keras_any
from bundle.engine.keras_any import import_keras
from training import checkpoint as checkpoints
from training import metrics, objectives, rates, scalars
from training.ahead import ahead
from training.run import ALL_BLOCKS, Run

# BatchNormalization forgets slowly by default (0.99), too slowly for the few thousand steps of a small set.
BATCH_MOMENTUM = 0.9
SAVE_S = 20.0

Figures = dict[str, float]


class Samples(Protocol):
    """What training/samples.py makes."""

    truth: np.ndarray  # int64 (n,), or float32 (n, k) with NaN where unknown

    def __len__(self) -> int: ...

    def batch(self, indices: np.ndarray, epoch: int, /) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass
class State:
    """How far training is; with the variables and the best weights, all that a checkpoint holds."""

    start: Figures  # validation before the first step
    step: int = 0
    loss: float = 0.0  # summed over the steps of this epoch
    epochs: list[Figures] = field(default_factory=list)
    best: int = 0  # the epoch, from 1, whose weights are kept; 0: those that came
    stale: int = 0  # epochs in a row that early stopping calls no better
    done: bool = False


@dataclass(frozen=True)
class History:
    start: Figures  # validation_loss and accuracy or map before the first step
    epochs: tuple[Figures, ...]  # the same of each epoch, with loss (of training), rate and images_s
    best: int  # the epoch, from 1, whose weights the model has; 0: none was better than the start
    stopped: bool  # early
    notes: tuple[str, ...]  # sentences for the person


class Batch(NamedTuple):
    pixels: np.ndarray  # uint8 (n, h, w, 3)
    targets: np.ndarray  # float32 (n, k)
    weights: np.ndarray  # float32 (n,) or (n, k)


def fit(  # noqa: PLR0913 (what it trains, on what, and where it tells of it)
    run: Run,
    model: Any,
    train: Samples,
    validation: Samples,
    *,
    scores: str,
    checkpoint: Path,
    heard: Callable[[int, Figures], None],
    blocks: Sequence[Sequence[str]] = (),
) -> History:
    """Trains `model` (pixels -> softmax or sigmoid) in place and leaves it with the weights of the epoch that validation likes best.

    `blocks` are the names of the backbone's layers, block by block; `heard` is told of every epoch, of those before a break too.
    Takes up from the checkpoint where there is one. Raises DataError where it cannot be written.
    """
    keras = import_keras()
    keras.utils.set_random_seed(run.seed)  # Dropout is the same, whatever ran before
    mixed = run.mixed_precision and keras_any.sees_gpu()
    learner = _learner(keras, run, model, _frozen(run, blocks), mixed)
    _compile(keras, run, learner, scores, mixed)
    variables = [*learner.variables, *learner.optimizer.variables]
    resumed = _load(checkpoint, learner, variables, _versions(keras))
    state, best = resumed or (State(start=judge(learner, run, validation, scores)), learner.get_weights())
    batch_size, per_epoch = _sizes(run, len(train))
    steps = per_epoch * run.epochs
    make = _maker(run, train, learner.output_shape[1], batch_size, per_epoch)
    board = scalars.Board(run)
    for at, figures in enumerate(state.epochs):
        _tell(at, figures, heard, board)
    saved = clock = time.monotonic()
    since = state.step
    for batch in ahead(make, state.step, steps) if not state.done else ():
        rate = rates.rate(run, state.step, steps, run.epochs)
        learner.optimizer.learning_rate = rate
        state.loss += float(learner.train_on_batch(batch.pixels, batch.targets, sample_weight=batch.weights))
        state.step += 1
        ended = state.step % per_epoch == 0
        if ended:
            speed = (state.step - since) * batch_size / (time.monotonic() - clock)
            figures = {"loss": state.loss / per_epoch, **judge(learner, run, validation, scores)}
            if _close(run, state, {**figures, "rate": rate, "images_s": round(speed, 1)}, state.step == steps):
                best = learner.get_weights()
        if ended or time.monotonic() - saved > SAVE_S:
            checkpoints.save(checkpoint, _arrays(variables, best), {**asdict(state), "keras": _versions(keras)})
            saved = time.monotonic()
        if ended:
            _tell(len(state.epochs) - 1, state.epochs[-1], heard, board)
            clock, since = time.monotonic(), state.step
        if state.done:
            break
    board.close()
    model.set_weights(best)
    notes = () if mixed or not run.mixed_precision else ("no GPU computes here, so nothing was trained in float16",)
    return History(state.start, tuple(state.epochs), state.best, state.step < steps, notes)


def judge(learner: Any, run: Run, validation: Samples, scores: str) -> Figures:
    """Mean loss of what is known, unsmoothed, and accuracy or mAP, of all pictures as they are."""
    size = min(run.batch_size, len(validation))
    starts = range(0, len(validation), size)

    def batch(at: int) -> tuple[np.ndarray, np.ndarray]:
        # Filled up, so that one program fits all.
        return validation.batch(np.arange(at * size, (at + 1) * size) % len(validation), 0)

    logits = [np.asarray(learner.predict_on_batch(pixels)) for pixels, _ in ahead(batch, 0, len(starts))]
    rows = np.concatenate(logits)[: len(validation)].astype(np.float64)
    return (_softmax if scores == "softmax" else _sigmoid)(rows, validation.truth)


def _softmax(logits: np.ndarray, truth: np.ndarray) -> Figures:
    sums = np.logaddexp.reduce(logits, axis=1)
    loss = sums - logits[np.arange(len(truth)), truth]
    return {"validation_loss": float(loss.mean()), "accuracy": float((logits.argmax(axis=1) == truth).mean())}


def _sigmoid(logits: np.ndarray, truth: np.ndarray) -> Figures:
    known = ~np.isnan(truth)
    # log(1 + e^x) - x where it is there, log(1 + e^x) where it is not
    loss = np.logaddexp(0, logits) - logits * np.nan_to_num(truth)
    return {"validation_loss": float(loss[known].mean()), "map": metrics.mean_ap(logits, truth)}


# ---- who learns ------------------------------------------------------------------------------


def _frozen(run: Run, blocks: Sequence[Sequence[str]]) -> set[str]:
    """Layers that stay as they are: those of all blocks but the last `fine_tune`."""
    if run.weights == "none" or run.fine_tune == ALL_BLOCKS:
        return set()
    return {name for block in blocks[: max(0, len(blocks) - run.fine_tune)] for name in block}


def _learner(keras: Any, run: Run, model: Any, frozen: set[str], mixed: bool) -> Any:
    """The same layers with the same weights, to be trained: without the last activation, and with what the answer shall not keep."""
    last = model.layers[-1].name

    def clone(layer: Any) -> Any:
        config = layer.get_config()
        still = layer.name in frozen
        if isinstance(layer, keras.layers.BatchNormalization):
            config["momentum"] = BATCH_MOMENTUM
            # A few photos know less about a layer's mean than those that the published weights were made from.
            still = still or run.weights != "none"
        if layer.name == last:
            config["activation"] = "linear"
        elif mixed and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = "mixed_float16"
        made = type(layer).from_config(config)
        made.trainable = not still
        return made

    learner = keras.models.clone_model(model, clone_function=clone)
    learner.set_weights(model.get_weights())
    return learner


def _compile(keras: Any, run: Run, learner: Any, scores: str, mixed: bool) -> None:
    optimizer = rates.optimizer(run)
    if mixed:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(learner.trainable_variables)
    # XLA takes longer to compile a network on a CPU than to train it there; JAX knows nothing else.
    jit = "auto" if mixed or keras.backend.backend() == "jax" else False
    learner.compile(optimizer=optimizer, loss=objectives.loss(scores), jit_compile=jit)


# ---- batches and epochs ----------------------------------------------------------------------


def _sizes(run: Run, count: int) -> tuple[int, int]:
    """Photos of a batch, batches of an epoch. All batches are of one size, for which the network is compiled once; so at most half a
    batch is left out of an epoch, or comes twice."""
    size = min(run.batch_size, count)
    return size, max(1, round(count / size))


def _maker(run: Run, train: Samples, labels: int, size: int, per_epoch: int) -> Callable[[int], Batch]:
    ask = objectives.asker(run, train.truth, labels)

    def make(step: int) -> Batch:
        epoch, at = divmod(step, per_epoch)
        order = np.random.default_rng([run.seed, epoch]).permutation(len(train))
        pixels, truth = train.batch(order[np.arange(at * size, (at + 1) * size) % len(train)], epoch)
        return Batch(pixels, *ask(truth))

    return make


def _close(run: Run, state: State, figures: Figures, last: bool) -> bool:
    """Enters an epoch's figures; whether it is the best so far."""
    before = [state.start, *state.epochs]
    state.epochs.append(figures)
    state.loss = 0.0
    worth = max(map(_worth, before))[0]
    gain = (_worth(figures)[0] - worth) / worth if worth else math.inf
    state.stale = 0 if gain > run.early_stopping_tolerance else state.stale + 1
    late = len(state.epochs) >= run.early_stopping_min_epochs and state.stale >= run.early_stopping_patience
    state.done = last or (run.early_stopping and late)
    better = _worth(figures) > _worth(before[state.best])
    if better:
        state.best = len(state.epochs)
    return better


def _worth(figures: Figures) -> tuple[float, float]:
    """What validation goes by: accuracy or mAP, and of equal ones the smaller loss."""
    return figures.get("accuracy", figures.get("map", 0.0)), -figures["validation_loss"]


def _tell(at: int, figures: Figures, heard: Callable[[int, Figures], None], board: scalars.Board) -> None:
    heard(at, figures)
    board.write(at + 1, figures)


# ---- checkpoints -----------------------------------------------------------------------------


def _arrays(variables: Sequence[Any], best: Sequence[np.ndarray]) -> dict[str, list[np.ndarray]]:
    return {"variable": [np.asarray(variable) for variable in variables], "best": list(best)}


def _versions(keras: Any) -> str:
    """Another Keras or another backend would go on to other weights."""
    return f"{keras.__version__} {keras.backend.backend()}"


def _load(path: Path, learner: Any, variables: Sequence[Any], keras: str) -> tuple[State, list[np.ndarray]] | None:
    found = checkpoints.load(path, _arrays(variables, learner.get_weights()))
    if not found or found[1].pop("keras") != keras:
        return None
    arrays, state = found
    for variable, array in zip(variables, arrays["variable"], strict=True):
        variable.assign(array)
    return State(**state), arrays["best"]
