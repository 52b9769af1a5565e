"""Figures against hand-counted ones, and against scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from bundle.errors import DataError
from training import metrics

ROWS = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.4, 0.1], [0.2, 0.3, 0.5]])
TRUTH = np.array([0, 1, 1, 1])
LABELS = ("a", "b", "c")

SEEDS = st.integers(0, 10**6)


def softmax(seed, count=60, labels=4):
    """Random rows of probabilities, somewhat right."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(labels, size=count)
    rows = np.exp(rng.normal(size=(count, labels)) + np.eye(labels)[truth])
    return rows / rows.sum(axis=1, keepdims=True), truth


def sigmoid(seed, count=60, labels=4, unknown=0.0):
    """Scores of one digit, so that many are equal; every label present and absent somewhere."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((count, labels)) < 0.3).astype(np.float32)
    truth[0], truth[1] = 1, 0
    rows = np.clip(rng.random((count, labels)) * 0.7 + 0.3 * truth, 0, 1).round(1)
    truth[2:][rng.random((count - 2, labels)) < unknown] = np.nan
    return rows, truth


def judged(rows, truth, **how):
    labels = tuple(f"label {at}" for at in range(rows.shape[1]))
    return metrics.evaluate(rows, truth, labels, scores="softmax" if truth.ndim == 1 else "sigmoid", **how)


# ---- one label a photo ---------------------------------------------------------------------


def test_accuracy_counts_the_best_answer():
    assert metrics.accuracy(ROWS, TRUTH) == 0.5


def test_top_2_counts_the_second_answer_too():
    assert metrics.top_k(ROWS, TRUTH, 2) == 1.0


def test_of_equal_scores_the_first_labels_are_the_best_k():
    assert [metrics.top_k(np.full((1, 4), 0.25), np.array([2]), k) for k in (1, 2, 3)] == [0, 0, 1]


def test_confusion_has_truth_by_row():
    assert metrics.confusion(ROWS, TRUTH).tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]


def test_a_class_without_photos_has_no_recall():
    first, _, third = metrics.evaluate(ROWS, TRUTH, LABELS, scores="softmax").classes
    assert (first["label"], first["photos"], first["recall"], first["precision"]) == ("a", 1, 1.0, 0.5)
    assert (third["photos"], third["recall"], third["precision"], third["ap"], third["threshold"]) == (0, None, 0.0, None, None)  # fmt: skip


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_figures_of_one_label_are_scikit_learns(seed):
    rows, truth = softmax(seed)
    answers, found = rows.argmax(axis=1), judged(rows, truth, top_k=2)
    wanted = {
        "accuracy": sk.accuracy_score(truth, answers),
        "top_2": sk.top_k_accuracy_score(truth, rows, k=2, labels=range(4)),
        "macro_f1": sk.f1_score(truth, answers, average="macro"),
        "loss": sk.log_loss(truth, rows, labels=range(4)),
    }
    assert {**wanted, "ece": found.metrics["ece"]} == pytest.approx(found.metrics)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, answers, labels=range(4), zero_division=0)
    for at, one in enumerate(found.classes):
        assert (one["precision"] or 0, one["recall"] or 0, one["f1"] or 0) == pytest.approx(
            (precision[at], recall[at], f1[at])
        )


# ---- several labels a photo ----------------------------------------------------------------


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_figures_of_several_labels_are_scikit_learns(seed):
    rows, truth = sigmoid(seed)
    limits = (0.5, 0.3, 0.6, 0.45)
    present, found = rows >= limits, judged(rows, truth, thresholds=limits)
    wanted = {
        "map": sk.average_precision_score(truth, rows, average="macro"),
        "micro_f1": sk.f1_score(truth, present, average="micro", zero_division=0),
        "macro_f1": sk.f1_score(truth, present, average="macro", zero_division=0),
        "exact": sk.accuracy_score(truth, present),
        "label_accuracy": 1 - sk.hamming_loss(truth, present),
    }
    assert {name: found.metrics[name] for name in wanted} == pytest.approx(wanted)
    assert tuple(one["threshold"] for one in found.classes) == limits


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_a_label_is_judged_on_the_photos_where_it_is_known(seed):
    rows, truth = sigmoid(seed, unknown=0.5)
    found = judged(rows, truth)
    for at, one in enumerate(found.classes):
        known = ~np.isnan(truth[:, at])
        have, score = truth[known, at], rows[known, at]
        assert one["photos"] == have.sum()
        assert one["ap"] == pytest.approx(sk.average_precision_score(have, score))
        assert one["f1"] == pytest.approx(sk.f1_score(have, score >= 0.5))
    known = ~np.isnan(truth)
    assert found.metrics["loss"] == pytest.approx(sk.log_loss(truth[known], np.clip(rows[known], 1e-7, 1 - 1e-7)))
    assert found.metrics["label_accuracy"] == pytest.approx(((rows >= 0.5) == truth)[known].mean())


def test_what_unknown_cells_are_scored_changes_nothing():
    rows, truth = sigmoid(3, unknown=0.5)
    other = np.where(np.isnan(truth), 1 - rows, rows)
    one, two = judged(rows, truth), judged(other, truth)
    assert (one.metrics, one.classes, one.curves, one.calibration) == (two.metrics, two.classes, two.curves, two.calibration)  # fmt: skip
    assert metrics.thresholds(rows, truth) == metrics.thresholds(other, truth)


def test_a_photo_is_exact_where_its_known_labels_are_right():
    truth = np.float32([[1, np.nan], [0, 1], [np.nan, np.nan]])
    assert judged(np.array([[0.9, 0.9], [0.9, 0.9], [0.1, 0.1]]), truth).metrics["exact"] == 0.5


def test_a_label_that_no_photo_has_is_left_out_of_the_mean():
    truth = np.float32([[1, 0], [0, 0]])
    assert judged(np.array([[0.9, 0.3], [0.1, 0.2]]), truth).metrics["map"] == 1.0


# ---- thresholds ----------------------------------------------------------------------------


def f1(rows, truth, limit):
    return sk.f1_score(truth, rows >= limit, zero_division=0)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_no_threshold_has_a_better_f1(seed):
    rows, truth = sigmoid(seed, labels=1, count=40)
    truth[:3] = 1
    (limit,) = metrics.thresholds(rows, truth)
    scores = rows[:, 0]
    assert f1(scores, truth[:, 0], limit) >= max(f1(scores, truth[:, 0], other) for other in set(scores)) - 1e-9
    assert 0 <= limit <= 1


def test_a_threshold_lies_in_the_middle_of_the_gap():
    rows, truth = np.array([[0.9], [0.85], [0.8], [0.2], [0.1]]), np.float32([[1], [1], [1], [0], [0]])
    assert metrics.thresholds(rows, truth) == pytest.approx((0.5,))


def test_of_equal_f1_the_widest_gap_is_taken():
    # One, five and all nine taken find one, two and three of the three: F1 is a half each time.
    rows = np.array([[0.9], [0.89], [0.88], [0.87], [0.86], [0.2], [0.19], [0.18], [0.17]])
    truth = np.float32([[1], [0], [0], [0], [1], [0], [0], [0], [1]])
    assert metrics.thresholds(rows, truth) == pytest.approx((0.53,))


def test_a_label_of_one_or_two_photos_has_the_threshold_of_all_together():
    rows = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.1, 0.02], [0.2, 0.01]])
    truth = np.float32([[1, 0], [1, 0], [1, 0], [0, 1], [0, 0]])
    own, common = metrics.thresholds(rows, truth)
    assert own == pytest.approx(0.45)
    assert common == pytest.approx(0.5)


def test_without_any_photo_that_has_a_label_thresholds_are_a_half():
    assert metrics.thresholds(np.full((3, 2), 0.3), np.zeros((3, 2), np.float32)) == (0.5, 0.5)


# ---- calibration, curves, intervals --------------------------------------------------------


def test_ece_is_how_far_probability_and_truth_are_apart():
    rows = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    truth = np.array([0] * 7 + [1] * 3 + [0] * 6 + [1] * 4)
    found = judged(rows, truth)
    assert found.calibration == (pytest.approx((0.6, 0.6, 10)), pytest.approx((0.9, 0.7, 10)))
    assert found.metrics["ece"] == pytest.approx(0.1)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_bins_hold_every_known_answer_once(seed):
    (rows, truth), (many, known) = softmax(seed), sigmoid(seed, unknown=0.3)
    assert sum(one.count for one in metrics.bins(rows, truth)) == 60
    assert sum(one.count for one in metrics.bins(many, known)) == (~np.isnan(known)).sum()
    assert len(metrics.bins(many, known)) <= metrics.BINS


def test_a_curve_has_few_points_that_lie_on_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    wanted = (rng.random(5000) < 0.3).astype(np.float32)
    scores = rng.random(5000) + wanted
    precision, recall, _ = sk.precision_recall_curve(wanted, scores)
    found = metrics.precision_recall(scores, wanted)
    assert len(found) == metrics.MOST_POINTS
    assert {(round(p.recall, 9), round(p.precision, 9)) for p in found} <= set(
        zip(recall.round(9), precision.round(9), strict=True)
    )
    assert (found[0].recall, found[-1].recall) == (pytest.approx(1 / wanted.sum()), 1.0)


@pytest.mark.parametrize(("right", "count", "low", "high"), [(8, 10, 0.4902, 0.9433), (0, 10, 0, 0.2775), (210, 241, 0.8231, 0.9077)])  # fmt: skip
def test_wilsons_interval(right, count, low, high):
    assert metrics.wilson(right / count, count) == pytest.approx((low, high), abs=5e-4)


@pytest.mark.parametrize("rows", [np.array([[0.5, np.nan]]), np.zeros((0, 2))])
def test_what_cannot_be_judged_is_refused(rows):
    with pytest.raises(DataError, match=r"no numbers|no photos"):
        judged(rows, np.zeros(len(rows), int))


def test_every_figure_is_a_number_even_where_nothing_is_known():
    found = judged(np.full((2, 3), 0.4), np.full((2, 3), np.nan, np.float32))
    assert set(found.metrics) == {"map", "micro_f1", "exact", "label_accuracy", "macro_f1", "ece", "loss"}
    assert all(np.isfinite(value) for value in found.metrics.values())
