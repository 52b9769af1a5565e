"""The linear head: what it learns, and that folding the standardisation into it changes nothing."""

import numpy as np
import pytest

from training import heads


@pytest.fixture(params=[2, 5])
def bank(request):
    """Features of `k` clusters, far from zero and of very different spread, one of them constant."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % request.param
    centres = rng.normal(size=(request.param, 12))
    features = centres[labels] + 0.3 * rng.normal(size=(200, 12))
    features = features * np.logspace(-2, 2, 12) + 50
    features[:, 3] = 7.0
    return features.astype(np.float32), labels


def test_a_head_tells_clusters_apart(bank):
    features, labels = bank
    head, _ = heads.linear(features[:150], labels[:150], features[150:], labels[150:])
    assert (heads.scores(head, features[150:]).argmax(axis=1) == labels[150:]).mean() > 0.9


def test_the_head_has_a_column_for_each_label(bank):
    features, labels = bank
    head, _ = heads.linear(features, labels, features, labels)
    assert head.kernel.shape == (12, labels.max() + 1)
    assert head.bias.shape == (labels.max() + 1,)
    assert head.kernel.dtype == head.bias.dtype == np.float32


def test_the_folded_head_gives_what_scikit_learn_gives(bank):
    from sklearn.linear_model import LogisticRegression

    features, labels = bank
    head, _ = heads.linear(features, labels, features, labels)
    wide = features.astype(np.float64)
    spread = np.where(wide.std(axis=0) > 1e-6, wide.std(axis=0), 1)
    standard = (wide - wide.mean(axis=0)) / spread
    direct = LogisticRegression(C=head.strength, max_iter=500, tol=1e-6).fit(standard, labels).predict_proba(standard)
    assert np.abs(heads.scores(head, features) - direct).max() < 0.02


def test_the_strength_with_the_least_validation_loss_is_taken(bank):
    features, labels = bank
    head, losses = heads.linear(features[:150], labels[:150], features[150:], labels[150:])
    assert losses[head.strength] == min(losses.values())


def test_scores_are_probabilities(bank):
    features, labels = bank
    head, _ = heads.linear(features, labels, features, labels)
    assert np.allclose(heads.scores(head, features).sum(axis=1), 1)
