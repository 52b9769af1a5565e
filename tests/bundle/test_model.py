"""An answer: which labels, in which order, with what."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bundle import model


@pytest.fixture(scope="module")
def opened(tiny):
    return model.open(tiny, "onnx")


@pytest.fixture(scope="module")
def opened_multi(multi):
    return model.open(multi, "onnx")


def row(*scores):
    return np.array(scores, np.float32)


def named(answer):
    return [label["label"] for label in answer]


def test_best_label_comes_first(opened):
    assert named(opened.answer(row(0.2, 0.5, 0.3), 3)) == ["green", "blue", "red"]


def test_labels_with_equal_scores_keep_the_order_of_the_file(opened):
    assert named(opened.answer(row(0.25, 0.5, 0.25), 3)) == ["green", "red", "blue"]


@pytest.mark.parametrize(("top", "count"), [(1, 1), (2, 2), (3, 3), (1000, 3)])
def test_top_is_how_many_labels_come(opened, top, count):
    assert len(opened.answer(row(0.2, 0.5, 0.3), top)) == count


def test_answer_of_one_label_is_label_and_probability(opened):
    assert opened.answer(row(0.25, 0.5, 0.25), 1) == [{"label": "green", "probability": 0.5}]


def test_answer_of_several_labels_holds_all_of_them_with_present(opened_multi):
    assert opened_multi.answer(row(0.25, 0.75, 0.5), 1) == [
        {"label": "green", "probability": 0.75, "present": True},
        {"label": "blue", "probability": 0.5, "present": True},
        {"label": "red", "probability": 0.25, "present": False},
    ]


def test_each_label_has_its_own_threshold(opened_multi):
    own = replace(opened_multi, manifest=opened_multi.manifest.model_copy(update={"thresholds": (0.2, 0.8, 0.5)}))
    assert [label["present"] for label in own.answer(row(0.25, 0.75, 0.5), 1)] == [False, True, True]


@pytest.mark.parametrize("color", ["red", "lime", "blue"])
def test_picture_goes_all_the_way_to_its_label(opened, encoded, color):
    pixels = opened.prepare(encoded(Image.new("RGB", (20, 10), color), "PNG"))
    assert opened.answer(opened.run(pixels[None])[0], 1)[0]["label"] == {"lime": "green"}.get(color, color)


def test_prepare_gives_the_models_own_input(opened, jpeg):
    pixels = opened.prepare(jpeg)
    assert (pixels.shape, pixels.dtype) == ((8, 8, 3), np.uint8)


def test_probability_is_a_plain_float_for_json(opened):
    assert type(opened.answer(row(0.2, 0.5, 0.3), 1)[0]["probability"]) is float
