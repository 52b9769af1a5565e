"""Learning rates and optimisers: SageMaker's knobs do what its table says."""

from dataclasses import replace

import numpy as np
import pytest

from bundle.engine.keras_any import import_keras
from training import rates
from training.run import Run


@pytest.fixture
def run(tmp_path):
    return Run(data=tmp_path, name="n", out=tmp_path, cache=tmp_path, cache_bytes=1, learning_rate=1.0, warmup=0.0)


def curve(run, steps=20, epochs=4):
    return [rates.rate(run, step, steps, epochs) for step in range(steps)]


def test_the_rate_suits_what_is_trained(run):
    run = replace(run, learning_rate=None)
    assert rates.highest(run) == 1e-4
    assert rates.highest(replace(run, weights="none")) == 3e-3
    assert rates.highest(replace(run, learning_rate=0.5)) == 0.5


def test_a_constant_rate_is_constant(run):
    assert curve(replace(run, schedule="constant")) == [1.0] * 20


def test_warm_up_is_a_straight_line_before_every_schedule(run):
    for schedule in ("constant", "linear", "cosine", "step"):
        assert curve(replace(run, schedule=schedule, warmup=0.25))[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_steps_multiply_the_rate_after_those_epochs(run):
    run = replace(run, schedule="step", lr_scheduler_step=(1, 3), lr_scheduler_factor=0.1)
    assert curve(run) == pytest.approx([1] * 5 + [0.1] * 10 + [0.01] * 5)


@pytest.mark.parametrize(("schedule", "middle"), [("linear", 0.5), ("cosine", 0.5)])
def test_falling_rates_fall_from_the_highest_to_almost_nothing(run, schedule, middle):
    falling = curve(replace(run, schedule=schedule))
    assert falling == sorted(falling, reverse=True)
    assert (falling[0], falling[10]) == (1.0, pytest.approx(middle))
    assert 0 < falling[-1] < 0.06


# Two steps with gradients 1 and 1 from weight 1 at rate 0.1.
TWO_STEPS = [
    ({"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0}, 0.8),
    ({"optimizer": "sgd", "momentum": 0.5, "weight_decay": 0.0}, 1 - 0.1 - 0.15),
    ({"optimizer": "nag", "momentum": 0.5, "weight_decay": 0.0}, 1 - 0.15 - 0.175),
    ({"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.5}, (0.95 - 0.1) * 0.95 - 0.1),
    ({"optimizer": "adam", "beta_1": 0.5, "beta_2": 0.5, "eps": 0.0}, 0.8),
    ({"optimizer": "rmsprop", "gamma": 0.75, "eps": 0.0}, 1 - 0.1 / 0.25**0.5 - 0.1 / (0.75 * 0.25 + 0.25) ** 0.5),
]


@pytest.mark.parametrize(("knobs", "wanted"), TWO_STEPS)
def test_an_optimiser_steps_as_its_knobs_say(run, knobs, wanted):
    keras = import_keras()
    optimizer = rates.optimizer(replace(run, **{"learning_rate": 0.1, **knobs}))
    weight = keras.Variable([1.0], name="kernel")
    for _ in range(2):
        optimizer.apply([keras.ops.ones(1)], [weight])
    assert np.asarray(weight)[0] == pytest.approx(wanted, abs=1e-5)


def test_weight_decay_spares_biases_and_normalisation(run):
    keras = import_keras()
    optimizer = rates.optimizer(replace(run, optimizer="sgd", weight_decay=0.5))
    spared = [keras.Variable([1.0], name=name) for name in ("bias", "gamma", "beta")]
    optimizer.apply([keras.ops.zeros(1)] * 3, spared)
    assert [float(np.asarray(variable)[0]) for variable in spared] == [1.0] * 3
