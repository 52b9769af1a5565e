"""The training loop: steps that can be broken off at any moment and taken up again, and what the network knows in between."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bundle.engine.keras_any import import_keras
from bundle.xml.codec import Codec
from training import checkpoint as checkpoints
from training.ahead import ahead
from training.xml_batches import Batch, Samples, bucketed
from training.xml_run import XmlRun

# Of the steps, until the rate is at its highest.
WARM = 0.04
# Of the steps: how long the rate falls once there is nothing left to learn.
COOL = 0.15
# Evaluations in a whole run.
LOOKS = 20
# Standard deviation, in units of the drawing, of what is as good as a coordinate.
SOFT = 1.0
SAVE_S = 20.0
# Pictures at once, where nothing is learned.
BLOCK = 32


@dataclass
class State:
    """How far training is; with the weights, all that a checkpoint holds."""

    step: int = 0
    end: int = 0  # where it stops
    cool: int = -1  # the step from which the rate falls to zero; -1: none yet
    perfect: int = 0  # evaluations without a mistake, in a row


@dataclass(frozen=True)
class Look:
    """What validation says in between."""

    step: int
    loss: float  # of training, lately
    exact: float  # share of the documents without a mistake, teacher-forced: the same as greedily decoded
    token: float  # share of the tokens that are right


def rate(run: XmlRun, state: State) -> float:
    """Warm up, half a cosine; once cooling, a straight line to zero."""

    def cosine(step: int) -> float:
        warm = max(1, round(run.steps * WARM))
        if step < warm:
            return (step + 1) / warm
        return 0.5 + 0.5 * math.cos(math.pi * (step - warm) / max(1, run.steps - warm))

    if state.cool < 0:
        return run.learning_rate * cosine(state.step)
    left = (state.end - state.step) / max(1, state.end - state.cool)
    return run.learning_rate * cosine(state.cool) * left


def fit(
    model: Any,
    samples: Samples,
    *,
    judged: tuple[Batch, np.ndarray],
    checkpoint: Path,
    heard: Callable[[State, Look | None], None],
) -> list[Look]:
    """Trains `model` in place. `judged` is validation with its masks. Takes up from the checkpoint where there is one; `heard` is told
    of every step. Raises DataError where the checkpoint cannot be written."""
    run = samples.run
    compiled(model, run, targets(samples.codec))
    variables = [*model.variables, *model.optimizer.variables]  # with the states of what Dropout draws from
    state, looks = _load(checkpoint, variables) or (State(end=run.steps), [])
    every = max(1, run.steps // LOOKS)
    losses: list[float] = []
    saved = time.monotonic()
    for batch in ahead(samples.make, state.step, state.end):
        model.optimizer.learning_rate.assign(rate(run, state))
        losses.append(learn(model, batch))
        state.step += 1
        look = None
        if state.step % every == 0 or state.step == state.end:
            right = judge(partial(logits, model), *judged)
            look = Look(state.step, float(np.mean(losses)), *right)
            looks.append(look)
            losses = []
            _cool(run, state, look)
        heard(state, look)
        if time.monotonic() - saved > SAVE_S or state.step >= state.end:
            _save(checkpoint, variables, state, looks)
            saved = time.monotonic()
        if state.step >= state.end:
            break
    return looks


def _cool(run: XmlRun, state: State, look: Look) -> None:
    """Training ends early where validation shows no mistake any more."""
    state.perfect = state.perfect + 1 if look.exact == 1 else 0
    if run.patience and state.cool < 0 and state.perfect >= run.patience:
        state.cool, state.end = state.step, min(state.end, state.step + round(run.steps * COOL))


def compiled(model: Any, run: XmlRun, wanted: np.ndarray) -> None:
    """Makes `model` ready to learn what `wanted` (tokens, tokens) says of each token."""
    keras = import_keras()

    class Loss(keras.losses.Loss):
        def call(self, after: Any, logits: Any) -> Any:
            rows = keras.ops.take(wanted, keras.ops.cast(after, "int32"), axis=0)
            return keras.losses.categorical_crossentropy(rows, logits, from_logits=True)

    optimizer = keras.optimizers.AdamW(run.learning_rate, weight_decay=run.weight_decay, clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    # JAX without XLA would go one operation at a time; TensorFlow on a CPU spends more on compiling than it saves.
    jax = keras.backend.backend() == "jax"
    model.compile(optimizer=optimizer, loss=Loss(reduction="mean_with_sample_weight"), jit_compile=jax)


def learn(model: Any, batch: Batch) -> float:
    """A step; the mean loss of a token before it."""
    made = bucketed(batch, model.get_layer("position").input_dim)
    return float(model.train_on_batch([made.pixels, made.before], made.after, sample_weight=made.weight))


def targets(codec: Codec) -> np.ndarray:
    """float32 (tokens, tokens): what is wanted of the network for each token. Of a drawing's numbers some is for their neighbours,
    so that a near miss costs less than a far one."""
    tokens = codec.automaton.tokens
    wanted = np.eye(len(tokens), dtype=np.float32)
    if codec.grammar.vector:
        spots = np.array([at for at, (kind, _) in enumerate(tokens) if kind == "number"])
        apart = np.abs(spots[:, None] - spots)
        near = np.where(apart <= 3 * SOFT, np.exp(-0.5 * (apart / SOFT) ** 2), 0)
        wanted[np.ix_(spots, spots)] = near / near.sum(axis=1, keepdims=True)
    return wanted


def logits(model: Any, pixels: np.ndarray, before: np.ndarray) -> np.ndarray:
    """float32 (n, t, tokens), a block at a time."""
    blocks = range(0, len(pixels), BLOCK)
    return np.concatenate([model.predict_on_batch([pixels[at : at + BLOCK], before[at : at + BLOCK]]) for at in blocks])


def judge(logits: Callable[..., np.ndarray], batch: Batch, masks: np.ndarray) -> tuple[float, float]:
    """Shares of documents and of tokens that are right. Where every next token is right after the true ones before it, greedy
    decoding writes the document; where one is wrong, it does not."""
    said = np.where(masks, logits(batch.pixels, batch.before), -np.inf).argmax(axis=-1)
    right = (said == batch.after) | (batch.weight == 0)
    return float(right.all(axis=1).mean()), float((right * batch.weight).sum() / batch.weight.sum())


# ---- checkpoints -----------------------------------------------------------------------------


def _arrays(variables: Sequence[Any]) -> dict[str, list[np.ndarray]]:
    return {"variable": [np.asarray(variable) for variable in variables]}


def _save(path: Path, variables: Sequence[Any], state: State, looks: Sequence[Look]) -> None:
    checkpoints.save(path, _arrays(variables), {**asdict(state), "looks": [asdict(look) for look in looks]})


def _load(path: Path, variables: Sequence[Any]) -> tuple[State, list[Look]] | None:
    found = checkpoints.load(path, _arrays(variables))
    if not found:
        return None
    arrays, state = found
    for variable, array in zip(variables, arrays["variable"], strict=True):
        variable.assign(array)
    looks = [Look(**look) for look in state.pop("looks")]
    return State(**state), looks
