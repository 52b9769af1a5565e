"""Temperatures: found again where they are known, and never for the worse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from training import calibrate, dense, heads


def told(count, *, scores="softmax", by=1.0, labels=5, seed=0):
    """Logits that are right as they are, times `by`; and truth drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, labels)) * 2
    rows = heads.rows(logits, scores)
    if scores == "sigmoid":
        return logits * by, (rng.random(rows.shape) < rows).astype(np.float32)
    return logits * by, (rows.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)


@pytest.mark.parametrize("scores", ["softmax", "sigmoid"])
@pytest.mark.parametrize("by", [0.3, 1.0, 3.0])
def test_a_known_temperature_is_found_again(scores, by):
    assert calibrate.temperature(*told(4000, scores=scores, by=by)) == pytest.approx(by, rel=0.05)


def test_with_many_photos_it_is_that_of_least_loss():
    logits, truth = told(4000, by=2.5)
    loss = lambda t: -log_softmax(logits / t, axis=1)[np.arange(4000), truth].mean()  # noqa: E731
    assert calibrate.temperature(logits, truth) == pytest.approx(
        minimize_scalar(loss, bounds=(0.1, 10), method="bounded").x, rel=0.01
    )


@given(count=st.integers(1, 80), seed=st.integers(0, 999), by=st.floats(0.05, 20), scores=st.sampled_from(["softmax", "sigmoid"]))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_validation_loss_is_never_worse(count, seed, by, scores):
    found = calibrate.calibration(*told(count, scores=scores, by=by, seed=seed), scores)
    assert found.loss_after <= found.loss_before + 1e-12
    assert calibrate.LEAST <= found.temperature <= calibrate.MOST


def test_the_percentages_mean_something_afterwards():
    found = calibrate.calibration(*told(2000, by=4), "softmax")
    assert found.ece_before > 0.15
    assert found.ece_after < 0.05


def test_twenty_photos_that_are_all_right_do_not_make_every_answer_certain():
    logits = np.tile([2.0, 0.0, 0.0], (20, 1))
    few = calibrate.calibration(logits, np.zeros(20, int), "softmax")
    many = calibrate.calibration(np.tile(logits, (100, 1)), np.zeros(2000, int), "softmax")
    assert 0.4 < few.temperature < 1
    assert many.temperature < few.temperature
    assert (few.note, many.note) == ("the temperature comes of 20 photos, and stays near 1", "")


def test_unknown_cells_have_no_say():
    logits, truth = told(300, scores="sigmoid", by=2)
    truth[:, 1] = np.nan
    other = logits.copy()
    other[:, 1] *= -9
    assert calibrate.temperature(logits, truth) == calibrate.temperature(other, truth)


def test_where_nothing_is_known_nothing_is_changed():
    assert calibrate.temperature(np.ones((3, 2)), np.full((3, 2), np.nan, np.float32)) == 1.0


@pytest.mark.parametrize("sizes", [(4, 3), (4, 6, 3)])
def test_a_cooled_head_gives_the_logits_divided(sizes):
    rng = np.random.default_rng(0)
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    layers = tuple(heads.Dense(*(rng.normal(size=s).astype(np.float32) for s in ((d, u), (u,)))) for d, u in pairs)
    seen = rng.normal(size=(9, 4)).astype(np.float32)
    cooled = calibrate.cooled(layers, 1.7)
    assert np.allclose(dense.forward(cooled, seen), dense.forward(layers, seen) / 1.7, rtol=1e-6, atol=1e-6)
    assert cooled[-1].kernel.dtype == cooled[-1].bias.dtype == np.float32
