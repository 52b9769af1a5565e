"""Figures against hand-counted ones."""

import numpy as np

from training import metrics

ROWS = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.4, 0.1], [0.2, 0.3, 0.5]])
TRUTH = np.array([0, 1, 1, 1])


def test_accuracy_counts_the_best_answer():
    assert metrics.accuracy(ROWS, TRUTH) == 0.5


def test_top_2_counts_the_second_answer_too():
    assert metrics.top_k(ROWS, TRUTH, 2) == 1.0


def test_confusion_has_truth_by_row():
    assert metrics.confusion(ROWS, TRUTH).tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]


def test_a_class_without_photos_has_no_recall():
    first, _, last = metrics.evaluate(ROWS, TRUTH, ("a", "b", "c"), scores="softmax").classes
    assert (first["label"], first["photos"], first["recall"], first["precision"]) == ("a", 1, 1.0, 0.5)
    assert (last["label"], last["photos"], last["recall"], last["precision"]) == ("c", 0, None, 0.0)
