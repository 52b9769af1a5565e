"""What a network is asked for: targets, weights, and a loss that takes no notice of what nobody knows."""

from dataclasses import replace

import numpy as np
import pytest

from bundle.engine.keras_any import import_keras
from training import objectives
from training.run import Run

MANY = np.array([[1, 0, np.nan], [0, 0, 1], [0, 1, 0], [0, np.nan, 0]], np.float32)


@pytest.fixture
def run(tmp_path):
    return Run(data=tmp_path, name="n", out=tmp_path, cache=tmp_path, cache_bytes=1)


def mean_loss(scores, logits, targets, weights):
    """As Keras takes it in `train_on_batch`."""
    keras = import_keras()
    model = keras.Sequential([keras.Input((logits.shape[1],)), keras.layers.Activation("linear")])
    model.compile(loss=objectives.loss(scores))
    return float(model.test_on_batch(logits, targets, sample_weight=weights))


def test_smoothed_targets_still_sum_to_one(run):
    found = objectives.asker(replace(run, label_smoothing=0.3), np.array([0, 2]), 3)(np.array([0, 2]))[0]
    assert found == pytest.approx(np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]))


def test_smoothed_labels_come_nearer_to_a_half(run):
    found = objectives.asker(replace(run, label_smoothing=0.2), MANY, 3)(MANY[:1])[0]
    assert found[0, :2] == pytest.approx([0.9, 0.1])


def test_class_weights_make_all_classes_count_alike(run):
    truth = np.array([0, 0, 0, 1])
    weights = objectives.asker(replace(run, class_weights=True), truth, 2)(truth)[1]
    assert weights == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    assert objectives.asker(run, truth, 2)(truth)[1] == pytest.approx(1)


def test_a_weighted_loss_makes_present_and_absent_count_alike(run):
    weights = objectives.asker(replace(run, weighted_loss=True), MANY, 3)(MANY)[1]
    for label in range(3):
        present, absent = (weights[MANY[:, label] == value, label].sum() for value in (1, 0))
        assert present == pytest.approx(absent)
    assert (weights[np.isnan(MANY)] == 0).all()
    assert weights.mean() == pytest.approx(1)


def test_a_label_that_nobody_has_leaves_no_infinite_weight(run):
    truth = np.zeros((4, 2), np.float32)
    assert np.isfinite(objectives.asker(replace(run, weighted_loss=True), truth, 2)(truth)[1]).all()


def test_the_loss_of_several_labels_leaves_out_what_is_unknown(run):
    logits = np.array([[2, -1, 9], [0, 0, 1], [0, 3, 0], [1, -9, 1]], np.float32)
    found = mean_loss("sigmoid", logits, *objectives.asker(run, MANY, 3)(MANY))
    known = ~np.isnan(MANY)
    wanted = np.logaddexp(0, logits[known]) - logits[known] * MANY[known]
    assert found == pytest.approx(wanted.mean(), abs=1e-5)


def test_the_loss_of_one_label_is_the_weighted_cross_entropy(run):
    truth, logits = np.array([0, 1, 1, 1]), np.array([[1, 0], [0, 3], [1, 1], [2, 0]], np.float32)
    targets, weights = objectives.asker(replace(run, class_weights=True), truth, 2)(truth)
    found = mean_loss("softmax", logits, targets, weights)
    each = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(4), truth]
    assert found == pytest.approx((each * weights).mean(), abs=1e-5)
