"""Figures of documents, against values that were worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from bundle.xml import codec
from training import xml_metrics

SCHEMAS = Path(__file__).parents[2] / "training" / "schemas"

TRUE = b'<a><b c="x y"/><b c="z"/></a>'  # <a <b c=x c=y > <b c=z > >
SAID = b'<a><b c="x y"/></a>'  # <a <b c=x c=y > >


def svg(*paths):
    drawn = "".join(f'<path class="cut" d="{d}"/>' for d in paths)
    head = '<svg xmlns="http://www.w3.org/2000/svg" version="1.1" viewBox="0 0 256 256">'
    return f"{head}{drawn}</svg>".encode()


def square(left, top, right, low):
    return f"M {left} {top} L {right} {top} L {right} {low} L {left} {low} Z"


@pytest.fixture(scope="module")
def patterns():
    return codec.load(SCHEMAS / "pattern.rng")


def test_events_are_starts_words_and_ends():
    assert xml_metrics.events(TRUE) == ["<a", "<b", "c=x", "c=y", ">", "<b", "c=z", ">", ">"]


def test_text_is_words_too():
    assert xml_metrics.events(b"<a>one two</a>") == ["<a", "=one", "=two", ">"]


def test_what_is_no_xml_has_no_events():
    assert xml_metrics.events(b"<a>") == []


@pytest.mark.parametrize(
    ("said", "true", "error"),
    [
        ("abcd", "abcd", 0),
        ("abcd", "abcx", 1 / 4),
        ("bcd", "abcd", 1),  # three places differ, and one is missing
        ("abcdef", "abcd", 2 / 4),
        ("", "abcd", 1),
        ("xxxxxxxx", "abcd", 2),
    ],
)
def test_token_error_counts_places_that_differ_and_the_difference_in_length(said, true, error):
    assert xml_metrics.token_error(said, true) == error


@pytest.mark.parametrize(
    ("said", "true", "error"),
    [("bcd", "abcd", 1 / 4), ("axbcd", "abcd", 1 / 4), ("", "abcd", 1), ("abdc", "abcd", 0.5)],
)
def test_edit_error_is_the_least_number_of_edits(said, true, error):
    assert xml_metrics.edit_error(list(said), list(true)) == error


def test_bleu_of_the_same_is_one():
    assert xml_metrics.bleu([list("abcde")], [list("abcde")]) == pytest.approx(1)


def test_bleu_is_the_mean_of_precisions_times_the_penalty_of_what_is_short():
    # a b c d e against a b c d f g: 4/5, 3/4, 2/3, 1/2 of the n-grams, and one word too few
    wanted = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25 * np.exp(1 - 6 / 5)
    assert xml_metrics.bleu([list("abcde")], [list("abcdfg")]) == pytest.approx(wanted)


def test_tree_counts_nodes_to_be_changed():
    # a, b, c, b, c: five nodes; two of them are missing
    assert xml_metrics.tree(SAID, TRUE) == pytest.approx(1 - 2 / 5)
    assert xml_metrics.tree(TRUE.replace(b'"z"', b'"w"'), TRUE) == pytest.approx(1 - 1 / 5)


def test_trees_that_share_nothing_are_worth_nothing():
    assert xml_metrics.tree(b"<x/>", TRUE) == 0


def test_iou_is_of_the_areas_that_are_enclosed():
    # 100 x 100 and its right half moved out by 50: 5,000 of 15,000 are shared
    one, other = svg(square(0, 0, 100, 100)), svg(square(50, 0, 150, 100))
    assert xml_metrics.iou(one, other) == pytest.approx(1 / 3, abs=0.002)


def test_path_left_open_encloses_as_svg_fills_it():
    assert xml_metrics.iou(svg("M 0 0 L 100 0 L 100 100 L 0 100"), svg(square(0, 0, 100, 100))) == 1


def test_two_drawings_without_an_area_agree():
    assert xml_metrics.iou(svg("M 0 0 L 9 0"), svg("M 0 9 L 9 9")) == 1


def test_commands_are_letters():
    assert xml_metrics.commands(svg(square(0, 0, 9, 9), "M 0 0 C 1 2 3 4 5 6")) == 7


def test_ssim_of_flat_pictures_is_what_the_formula_says():
    one, other = np.full((20, 20), 100, np.uint8), np.full((20, 20), 150, np.uint8)
    c1 = (0.01 * 255) ** 2
    wanted = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert xml_metrics.ssim(one, other) == pytest.approx(wanted)
    assert xml_metrics.ssim(one, one) == 1


def test_score_compares_canonical_documents(patterns):
    turned = svg("M 9 9 L 0 9 L 0 0 L 9 0 Z")  # the same square from another corner, with blanks of its own
    score = xml_metrics.score(patterns, turned.replace(b"><", b">\n  <"), svg(square(0, 0, 9, 9)))
    assert score == xml_metrics.Score(
        exact=True, valid=True, token_error=0, edit_error=0, tree=1, iou=1, ssim=1, command_ratio=1
    )
    assert not score.wrong


def test_score_of_a_drawing_that_is_near_enough_is_not_wrong(patterns):
    near = xml_metrics.score(patterns, svg(square(0, 0, 200, 198)), svg(square(0, 0, 200, 200)))
    far = xml_metrics.score(patterns, svg(square(0, 0, 200, 150)), svg(square(0, 0, 200, 200)))
    assert not near.exact
    assert (near.wrong, far.wrong) == (False, True)


def test_document_that_breaks_the_schema_is_told(patterns):
    score = xml_metrics.score(patterns, svg("M 0 0 L 999 0"), svg("M 0 0 L 9 0"))
    assert not score.valid
    assert not score.exact


def test_summary_tells_a_model_that_always_says_the_same():
    scores = [
        xml_metrics.Score(
            exact=at == 0, valid=True, token_error=at, edit_error=at, tree=0, iou=None, ssim=None, command_ratio=None
        )
        for at in (0, 1)
    ]
    found = xml_metrics.summary(scores, [TRUE, TRUE], [TRUE, SAID])
    assert (found["exact"], found["token_error"], found["distinct"], found["distinct_true"]) == (0.5, 0.5, 0.5, 1)
    assert "iou" not in found


def test_interval_is_wilsons():
    # 1 of 100, by the formula: 0.18 % to 5.45 %
    assert xml_metrics.interval(1, 100) == pytest.approx((0.00177, 0.05449), abs=1e-5)
    assert xml_metrics.interval(0, 100) == (0, pytest.approx(0.03699, abs=1e-5))
    assert xml_metrics.interval(0, 0) == (0, 1)


def test_sureness_counts_wrong_ones_among_the_sure():
    found = xml_metrics.sureness([True, True, False, False], [True, False, True, False])
    assert (found["sure"], found["sure_wrong"]) == (0.5, 0.5)
    assert xml_metrics.sureness([False], [True])["sure_wrong"] == 0
