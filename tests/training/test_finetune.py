"""Fine-tuning: what learns and what stays, what validation keeps, and the same weights to the bit after `kill -9`."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle.engine.keras_any import import_keras
from training import finetune
from training.run import ALL_BLOCKS, Run

ROOT = Path(__file__).parents[2]
BLOCKS = (("conv_a", "norm_a"), ("conv_b", "norm_b"))


class Patches:
    """Noise with a red, green or blue cast, other noise each epoch; no more batches than `most`, the next never comes."""

    def __init__(self, count, seed, many=False, most=math.inf):
        rng = np.random.default_rng(seed)
        self.casts, self.seed, self.left = rng.integers(0, 3, count), seed, most
        self.truth = np.eye(3, dtype=np.float32)[self.casts] if many else self.casts.astype(np.int64)

    def __len__(self):
        return len(self.casts)

    def batch(self, indices, epoch):
        self.left -= 1
        if self.left < 0:
            time.sleep(3600)
        pixels = [np.random.default_rng([self.seed, epoch, int(at)]).integers(0, 160, (16, 16, 3)) for at in indices]
        for picture, cast in zip(pixels, self.casts[indices], strict=True):
            picture[..., cast] += 60
        return np.array(pixels, np.uint8), self.truth[indices]


def network(scores="softmax"):
    keras = import_keras()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    seen = pixels = keras.Input((16, 16, 3), dtype="uint8")
    seen = layers.Rescaling(1 / 127.5, offset=-1, name="normalise")(seen)
    for name in "ab":
        seen = layers.Conv2D(8, 3, strides=2, use_bias=False, name=f"conv_{name}")(seen)
        seen = layers.ReLU()(layers.BatchNormalization(name=f"norm_{name}")(seen))
    kept = layers.Dropout(0.2, name="dropout")(layers.GlobalAveragePooling2D()(seen))
    return keras.Model(pixels, layers.Dense(3, activation=scores, name="scores")(kept))


@pytest.fixture
def run(tmp_path):
    return Run(
        data=tmp_path,
        name="patches",
        out=tmp_path,
        cache=tmp_path,
        cache_bytes=1,
        weights="none",
        epochs=4,
        batch_size=16,
        learning_rate=0.01,
    )


@pytest.fixture
def fit(tmp_path):
    """(run, model=, train=, validation=, scores=, name=) -> History and the curve that was heard."""

    def fit(run, model, *, train=None, validation=None, scores="softmax", name="checkpoint.npz"):
        curve = []
        many = scores == "sigmoid"
        history = finetune.fit(
            run,
            model,
            train or Patches(96, 1, many),
            validation or Patches(40, 2, many),
            scores=scores,
            checkpoint=tmp_path / name,
            heard=lambda epoch, figures: curve.append((epoch, figures)),
            blocks=BLOCKS,
        )
        return history, curve

    return fit


def changed(model, before):
    return {
        layer.name
        for layer, old in zip(model.layers, before, strict=True)
        if any(not np.array_equal(new, was) for new, was in zip(layer.get_weights(), old, strict=True))
    }


def weights(model):
    return [layer.get_weights() for layer in model.layers]


# ---- what is learned -------------------------------------------------------------------------


def test_a_network_learns_from_random_numbers_and_keeps_its_best_epoch(run, fit):
    model = network()
    before = weights(model)
    history, curve = fit(replace(run, epochs=8), model)
    assert curve == list(enumerate(history.epochs))
    assert changed(model, before) == {"conv_a", "norm_a", "conv_b", "norm_b", "scores"}
    best = max(history.epochs, key=lambda figures: (figures["accuracy"], -figures["validation_loss"]))
    assert history.epochs[history.best - 1] == best
    assert best["accuracy"] > 0.9
    pixels, truth = Patches(40, 2).batch(np.arange(40), 0)
    rows = np.asarray(model(pixels, training=False))
    assert rows.sum(axis=1) == pytest.approx(1)
    assert float((rows.argmax(axis=1) == truth).mean()) == best["accuracy"]
    assert model.get_layer("norm_a").momentum == 0.99

    learned = weights(model)
    history, _ = fit(replace(run, learning_rate=30.0, optimizer="sgd", epochs=1), model, name="worse.npz")
    assert history.best == 0
    assert not changed(model, learned)


def test_several_labels_are_learned_and_unknown_ones_teach_nothing(run, fit):
    train, validation = Patches(96, 1, many=True), Patches(40, 2, many=True)
    train.truth[:, 1] = validation.truth[:, 1] = np.nan
    model = network("sigmoid")
    before = model.get_layer("scores").get_weights()
    history, _ = fit(replace(run, epochs=8), model, train=train, validation=validation, scores="sigmoid")
    assert history.epochs[history.best - 1]["map"] > 0.9
    kernel, bias = model.get_layer("scores").get_weights()
    assert np.array_equal(kernel[:, 1], before[0][:, 1])
    assert bias[1] == before[1][1]


def test_published_weights_keep_their_statistics_and_early_blocks(run, fit):
    model = network()
    before = weights(model)
    fit(replace(run, weights="file", fine_tune=1, epochs=1), model)
    assert changed(model, before) == {"conv_b", "scores"}


def test_so_many_blocks_learn_as_are_wanted(run):
    frozen = {"conv_a", "norm_a", "conv_b", "norm_b"}
    run = replace(run, weights="file")
    assert finetune._frozen(replace(run, fine_tune=0), BLOCKS) == frozen
    assert finetune._frozen(replace(run, fine_tune=1), BLOCKS) == {"conv_a", "norm_a"}
    assert finetune._frozen(replace(run, fine_tune=9), BLOCKS) == set()
    assert finetune._frozen(replace(run, fine_tune=ALL_BLOCKS), BLOCKS) == set()
    assert finetune._frozen(replace(run, fine_tune=0, weights="none"), BLOCKS) == set()


def test_the_mixed_network_keeps_its_weights_in_float32(run):
    learner = finetune._learner(import_keras(), run, network(), set(), mixed=True)
    assert learner.get_layer("conv_a").compute_dtype == "float16"
    assert learner.get_layer("scores").compute_dtype == "float32"
    assert {str(variable.dtype) for variable in learner.weights} == {"float32"}


def test_an_epoch_shows_every_photo_about_once(run):
    size, batches = finetune._sizes(run, 100)
    make = finetune._maker(run, Numbered(100), 2, size, batches)
    for epoch in range(2):
        shown = np.concatenate([make(epoch * batches + at).pixels for at in range(batches)])
        assert len(set(shown.tolist())) == min(100, batches * size)
    assert make(0).pixels.tolist() != make(batches).pixels.tolist()


class Numbered:
    """Its pictures are their numbers."""

    def __init__(self, count):
        self.truth = np.zeros(count, np.int64)

    def __len__(self):
        return len(self.truth)

    def batch(self, indices, epoch):
        return np.asarray(indices), self.truth[indices]


# ---- when to stop ----------------------------------------------------------------------------

# Accuracies of epochs after a start of 0.5; minimum, patience and tolerance; the epoch after which training ends, and the best.
STOPS = [
    ([0.6, 0.7, 0.8, 0.9], (1, 2, 0.0), 4, 4),
    ([0.6, 0.6, 0.6, 0.9], (1, 2, 0.0), 3, 1),
    ([0.6, 0.6, 0.6, 0.6, 0.9], (4, 2, 0.0), 4, 1),
    ([0.6, 0.61, 0.62, 0.9], (1, 2, 0.1), 3, 3),
    ([0.6, 0.5, 0.61, 0.5, 0.62], (1, 2, 0.0), 5, 5),
    ([0.4, 0.3, 0.2, 0.9], (1, 3, 0.0), 3, 0),
]


@pytest.mark.parametrize(("accuracies", "knobs", "end", "best"), STOPS)
def test_training_ends_where_validation_gets_no_better(run, accuracies, knobs, end, best):
    least, patience, tolerance = knobs
    run = replace(
        run,
        early_stopping=True,
        early_stopping_min_epochs=least,
        early_stopping_patience=patience,
        early_stopping_tolerance=tolerance,
    )
    state = finetune.State(start={"accuracy": 0.5, "validation_loss": 1.0})
    for at, accuracy in enumerate(accuracies, 1):
        finetune._close(run, state, {"accuracy": accuracy, "validation_loss": 1.0}, at == len(accuracies))
        if state.done:
            break
    assert (len(state.epochs), state.best) == (end, best)


def test_of_equally_good_epochs_the_one_with_the_smaller_loss_is_kept(run):
    state = finetune.State(start={"map": 0.5, "validation_loss": 1.0})
    kept = [finetune._close(run, state, {"map": 0.6, "validation_loss": loss}, False) for loss in (0.9, 0.8, 0.85)]
    assert kept == [True, True, False]
    assert not state.done


# ---- scalars ---------------------------------------------------------------------------------


def test_tensorboard_reads_each_epoch_once_also_after_a_break(run, fit, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    run = replace(run, tensorboard=tmp_path / "board", mixed_precision=True)
    for _ in range(2):  # the second one finds all done and tells of it again
        history, _ = fit(run, network())
    assert history.notes == ("no GPU computes here, so nothing was trained in float16",)
    (folder,) = (tmp_path / "board").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    assert set(events.Tags()["tensors"]) == {"loss/train", "loss/validation", "accuracy", "rate", "images_s"}
    read = [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors("loss/train")]
    assert read == [(at, pytest.approx(figures["loss"])) for at, figures in enumerate(history.epochs, 1)]


# ---- kill -9 ---------------------------------------------------------------------------------

TRAIN = """
import importlib.util, sys
from pathlib import Path
import numpy as np
spec = importlib.util.spec_from_file_location("these", {tests!r})
these = importlib.util.module_from_spec(spec)
spec.loader.exec_module(these)
from training import finetune
from training.run import Run
folder, most = Path(sys.argv[1]), float(sys.argv[2])
finetune.SAVE_S = 0.0  # inside epochs, too
run = Run(data=folder, name="patches", out=folder, cache=folder, cache_bytes=1, weights="none", epochs=3, batch_size=16)
model = these.network()
history = finetune.fit(run, model, these.Patches(96, 1, most=most), these.Patches(40, 2), scores="softmax",
    checkpoint=folder / "checkpoint.npz", heard=lambda epoch, figures: None)
figures = [[value for name, value in epoch.items() if name != "images_s"] for epoch in history.epochs]
np.savez(folder / "end.npz", np.array(figures), *model.get_weights())
"""


def train(folder, most=math.inf):
    folder.mkdir(exist_ok=True)
    code = TRAIN.format(tests=__file__)
    command = [sys.executable, "-c", code, str(folder), str(most)]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def step_of(checkpoint):
    with np.load(checkpoint) as saved:
        return json.loads(str(saved["state"]))["step"]


def wait_until(true, process):
    deadline = time.monotonic() + 600
    while not true() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def test_after_kill_9_the_same_command_comes_to_the_same_weights(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    reference = train(whole)
    steps = []
    for past, most in ((0, 3), (5, 5), (11, 6)):  # in the first epoch, at the end of one or in the second, in the third
        killed = train(broken, most)
        try:
            wait_until(
                lambda past=past: (broken / "checkpoint.npz").exists() and step_of(broken / "checkpoint.npz") > past,
                killed,
            )
        finally:
            os.kill(killed.pid, signal.SIGKILL)
            killed.wait()
        steps.append(step_of(broken / "checkpoint.npz"))
        assert not (broken / "end.npz").exists()
    assert 0 < steps[0] < steps[1] < steps[2] < 18
    assert train(broken).wait(600) == reference.wait(600) == 0
    with np.load(whole / "end.npz") as one, np.load(broken / "end.npz") as two:
        assert one.files == two.files
        assert all(np.array_equal(one[name], two[name]) for name in one.files)
