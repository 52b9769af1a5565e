"""Heads on features: what they learn, that folding changes nothing, and what labels count that nobody knows."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from training import choose, dense, gradient, heads, linear, losses
from training.run import Run

RUN = Run(data=Path("photos"), name="photos", out=Path("bundles"), cache=Path("cache"), cache_bytes=1)
KINDS = ("linear", "mlp", "retrain")


def clusters(labels, *, count=200, noise=0.3, seed=0):
    """Features of `labels` clusters, far from zero and of different spread, one of them constant; and whose they are."""
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % labels
    features = np.random.default_rng(9).normal(size=(labels, 12))[truth] + noise * rng.normal(size=(count, 12))
    features = features * np.logspace(-0.5, 0.5, 12) + 5
    features[:, 3] = 7.0
    return features.astype(np.float32), truth


def single(labels=5, *, noise=0.3):
    train, truth = clusters(labels, noise=noise)
    validation, validation_truth = clusters(labels, count=60, noise=noise, seed=1)
    return heads.Bank(
        scores="softmax",
        labels=labels,
        train=train,
        truth=truth,
        validation=validation,
        validation_truth=validation_truth,
    )


def several(labels=5, *, noise=0.3):
    """The same photos, each of which also has the label of the cluster behind its own."""
    bank = single(labels, noise=noise)
    hot = [np.eye(labels)[at] + np.eye(labels)[(at + 1) % labels] for at in (bank.truth, bank.validation_truth)]
    return replace(bank, scores="sigmoid", truth=hot[0].astype(np.float32), validation_truth=hot[1].astype(np.float32))


def rows(head, bank):
    return heads.rows(heads.logits(head, bank.validation), bank.scores)


def same(one, other):
    return all(
        np.array_equal(a.kernel, b.kernel) and np.array_equal(a.bias, b.bias)
        for a, b in zip(one.layers, other.layers, strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", [2, 5])
def test_a_head_tells_clusters_apart(kind, labels):
    bank = single(labels)
    assert (rows(heads.fit(kind, bank, RUN), bank).argmax(axis=1) == bank.validation_truth).mean() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_finds_each_of_several_labels(kind):
    bank = several()
    assert ((rows(heads.fit(kind, bank, RUN), bank) >= 0.5) == bank.validation_truth).mean() > 0.85


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [single, several])
def test_the_same_seed_gives_the_same_bits(kind, make):
    assert same(heads.fit(kind, make(), RUN), heads.fit(kind, make(), RUN))


@pytest.mark.parametrize("kind", ["mlp", "retrain"])
def test_another_seed_gives_another_head(kind):
    assert not same(heads.fit(kind, single(), RUN), heads.fit(kind, single(), replace(RUN, seed=1)))


@pytest.mark.parametrize(("kind", "shapes"), [("linear", [(12, 5)]), ("mlp", [(12, 256), (256, 5)])])
def test_layers_are_float32_and_end_in_the_labels(kind, shapes):
    layers = heads.fit(kind, single(), RUN).layers
    assert [layer.kernel.shape for layer in layers] == shapes
    assert {part.dtype.name for layer in layers for part in (layer.kernel, layer.bias)} == {"float32"}


def test_logits_go_through_relu_between_the_layers():
    layers = tuple(heads.Dense(np.float32([[weight]]), np.float32([bias])) for weight, bias in ((-1, 0), (2, 5)))
    head = heads.Head(kind="mlp", layers=layers, note="")
    assert heads.logits(head, np.float32([[1], [-3]])).tolist() == [[5], [11]]


def test_many_rows_are_answered_like_few():
    head = heads.fit("linear", single(), RUN)
    many = np.tile(single().train, (100, 1))[: 2 * dense.ROWS + 7]
    assert np.allclose(heads.logits(head, many)[-7:], heads.logits(head, many[-7:]), rtol=1e-12)


# ---- linear: against scikit-learn ----------------------------------------------------------


def direct(features, truth, strength, weights=None):
    """scikit-learn's probabilities of standardised features."""
    wide = features.astype(np.float64)
    spread = np.where(wide.std(axis=0) > 1e-6, wide.std(axis=0), 1)
    standard = (wide - wide.mean(axis=0)) / spread
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = LogisticRegression(C=strength, max_iter=2000, tol=1e-6).fit(standard, truth, weights)
    return model.predict_proba(standard)


def own(bank, run=RUN, penalty=0.1):
    """Ours at one penalty, on the photos it learned from."""
    weighing = losses.weighing(bank.truth, bank.labels, run)
    goal = losses.goal(bank.truth, weighing, run.label_smoothing)
    layers, note = linear.fit(bank.train, goal, lambda _: 0.0, (penalty,))
    assert note == f"penalty {penalty:.2g}"
    return heads.rows(dense.forward(layers, bank.train), bank.scores)


def test_softmax_gives_what_scikit_learn_gives():
    bank = single(noise=1)
    assert np.abs(own(bank) - direct(bank.train, bank.truth, 1 / (0.1 * 200))).max() < 0.002


def test_sigmoid_gives_for_each_label_what_scikit_learn_gives():
    bank = several(noise=1)
    for label in range(5):
        wanted = direct(bank.train, bank.truth[:, label], 1 / (0.1 * 200))[:, 1]
        assert np.abs(own(bank)[:, label] - wanted).max() < 0.002


def test_unknown_photos_take_no_part_in_a_label():
    bank = several(noise=1)
    truth = bank.truth.copy()
    truth[50:, 2] = np.nan
    found = own(replace(bank, truth=truth))
    wide = bank.train.astype(np.float64)
    standard = (wide - wide.mean(axis=0)) / np.where(wide.std(axis=0) > 1e-6, wide.std(axis=0), 1)
    alone = LogisticRegression(C=1 / (0.1 * 50), max_iter=2000, tol=1e-6).fit(standard[:50], bank.truth[:50, 2])
    assert np.abs(found[:, 2] - alone.predict_proba(standard)[:, 1]).max() < 0.002
    assert np.abs(found[:, 1] - own(bank)[:, 1]).max() < 0.002


def test_class_weights_are_those_of_scikit_learn():
    bank = single(noise=1)
    chosen = (bank.truth > 0) | (np.arange(200) % 4 == 0)
    rare = replace(bank, train=bank.train[chosen], truth=bank.truth[chosen])
    counts = np.bincount(rare.truth)
    weights = (len(rare.truth) / (5 * counts))[rare.truth]
    wanted = direct(rare.train, rare.truth, 1 / (0.1 * len(rare.truth)), weights)
    assert np.abs(own(rare, replace(RUN, class_weights=True)) - wanted).max() < 0.002
    assert np.abs(own(rare) - wanted).max() > 0.02


def test_weighted_loss_counts_present_and_absent_alike():
    bank = several(noise=1)
    label = bank.truth[:, 0]
    weights = np.where(label == 1, 0.5 / (label == 1).mean(), 0.5 / (label == 0).mean())
    wanted = direct(bank.train, label, 1 / (0.1 * 200), weights)[:, 1]
    assert np.abs(own(bank, replace(RUN, weighted_loss=True))[:, 0] - wanted).max() < 0.002
    assert np.abs(own(bank)[:, 0] - wanted).max() > 0.02


@pytest.mark.parametrize("make", [single, several])
def test_label_smoothing_keeps_probabilities_from_the_ends(make):
    smooth = own(make(noise=0.01), replace(RUN, label_smoothing=0.2), penalty=1e-4)
    assert own(make(noise=0.01), penalty=1e-4).max() > 0.97
    assert smooth.max() < 0.95


def test_the_penalty_with_the_least_validation_loss_is_taken():
    asked = []

    def judge(layers):
        asked.append(layers)
        return [3, 1, 2, 2, 0][len(asked) - 1]

    bank = single()
    goal = losses.goal(bank.truth, losses.weighing(bank.truth, 5, RUN))
    layers, note = linear.fit(bank.train, goal, judge)
    assert note == f"penalty {linear.PENALTIES[1]:.2g}"
    assert layers is asked[1]
    assert len(asked) == 4  # two that were no better, and the rest is left out


# ---- labels that there is nothing to tell by -----------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0, 1])
def test_a_label_that_no_photo_has_or_every_one_gets_its_prior(kind, value):
    bank = several()
    bank.truth[:, 2] = value
    head = heads.fit(kind, bank, RUN)
    assert np.allclose(rows(head, bank)[:, 2], (200 * value + 0.5) / 201)
    assert head.note.endswith("; 1 label has no photos to tell by, and a fixed probability")


def test_a_class_without_a_photo_is_never_the_answer():
    bank = single(4)
    wider = replace(bank, labels=5)
    for kind in KINDS:
        found = rows(heads.fit(kind, wider, RUN), wider)
        assert found.shape == (60, 5)
        assert not (found.argmax(axis=1) == 4).any()


# ---- gradients -----------------------------------------------------------------------------


@given(seed=st.integers(0, 99), scores=st.sampled_from(["softmax", "sigmoid"]))
@settings(max_examples=20, deadline=None)
def test_slopes_are_how_the_entropy_changes(seed, scores):
    rng = np.random.default_rng(seed)
    logits, step = rng.normal(size=(4, 3)) * 3, 1e-5
    truth = rng.integers(3, size=4) if scores == "softmax" else rng.choice([0, 1, np.nan], (4, 3)).astype(np.float32)
    goal = losses.goal(truth, losses.Weighing(rng.random(3) + 0.5, rng.random(3) + 0.5), 0.1)
    for at in np.ndindex(4, 3):
        high, low = logits.copy(), logits.copy()
        high[at] += step
        low[at] -= step
        change = (goal.weights * (losses.entropies(high, goal) - losses.entropies(low, goal))).sum() / (2 * step)
        assert abs(change - losses.slopes(logits, goal)[at]) < 1e-5


@pytest.mark.parametrize("make", [single, several])
def test_gradients_of_both_layers_are_how_the_loss_changes(make):
    bank, step = make(), 1e-3
    seen, goal = bank.train[:20] / 10, losses.goal(bank.truth[:20], losses.Weighing(np.ones(5), np.ones(5)))
    weights, slope = gradient.Weights.zeros(12, 5), gradient.Weights.zeros(12, 5)
    weights.begin(np.random.default_rng(0), np.zeros(5))
    gradient.backward(weights, seen, goal, np.ones((20, gradient.HIDDEN), np.float32), slope)

    def cost():
        layers = (heads.Dense(weights.first, weights.first_bias), heads.Dense(weights.last, weights.last_bias))
        return losses.entropies(dense.forward(layers, seen), goal).sum() / 20

    for at in np.random.default_rng(1).integers(len(weights.flat), size=60):
        kept, there = weights.flat[at], []
        for side in (1, -1):
            weights.flat[at] = kept + side * step
            there.append(cost())
        weights.flat[at] = kept
        assert (there[0] - there[1]) / (2 * step) == pytest.approx(slope.flat[at], rel=0.02, abs=2e-4)


def test_dropout_leaves_the_mean_as_it_is():
    kept = gradient.kept_units(np.random.default_rng(0), 1000, 0.4)
    assert kept.mean() == pytest.approx(1, abs=0.01)
    assert (kept == 0).mean() == pytest.approx(0.4, abs=0.01)
    assert kept.dtype == np.float32


def test_the_hidden_layer_learns_what_no_line_can_tell():
    rng = np.random.default_rng(0)
    seen = rng.choice([-1, 1], (600, 2)) + 0.2 * rng.normal(size=(600, 2))
    truth = (seen.prod(axis=1) > 0).astype(int)
    seen = seen.astype(np.float32)
    bank = heads.Bank(
        scores="softmax", labels=2, train=seen[:400], truth=truth[:400], validation=seen[400:], validation_truth=truth[400:]
    )  # fmt: skip
    right = {kind: (rows(heads.fit(kind, bank, RUN), bank).argmax(axis=1) == truth[400:]).mean() for kind in KINDS}
    assert right["mlp"] > 0.95
    assert right["linear"] < 0.7


def test_the_hidden_layer_stops_where_validation_gets_no_better():
    bank = single(noise=3)
    shuffled = replace(bank, truth=np.random.default_rng(0).permutation(bank.truth))
    assert " of 7" in heads.fit("mlp", shuffled, RUN).note


def test_retrain_draws_rare_labels_as_often_as_frequent_ones():
    truth = np.repeat([0, 1], [990, 10])
    goal = losses.goal(truth, losses.Weighing(np.ones(2), np.ones(2)))
    draw = gradient.drawing(np.random.default_rng(0), goal)
    drawn = np.concatenate([draw() for _ in range(100)])
    assert abs(truth[drawn].mean() - 0.5) < 0.03
    assert set(drawn[truth[drawn] == 1]) == set(range(990, 1000))


def test_class_weights_do_not_count_twice_in_retrain():
    bank = single()
    rare = replace(bank, train=bank.train[::3][:50], truth=bank.truth[::3][:50])
    assert same(heads.fit("retrain", rare, RUN), heads.fit("retrain", rare, replace(RUN, class_weights=True)))


# ---- choosing ------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "figure"), [(single, "accuracy"), (several, "map")])
def test_all_trains_every_head_and_the_least_validation_loss_is_first(make, figure):
    found = choose.candidates(make(noise=1), replace(RUN, head="all"))
    order = [one.metrics["loss"] for one in found]
    assert {one.head.kind for one in found} == set(KINDS)
    assert order == sorted(order)
    assert all(one.metrics.keys() == {"loss", figure} and one.seconds > 0 for one in found)


def test_one_head_is_one_candidate_and_stays_hot_without_calibration():
    (found,) = choose.candidates(single(noise=1), replace(RUN, head="mlp", calibrate=False))
    assert (found.head.kind, found.temperature) == ("mlp", 1.0)
