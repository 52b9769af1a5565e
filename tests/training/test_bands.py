"""Pages are cut into bands and put together anew, picture and document alike."""

import numpy as np
import pytest

from bundle.xml import schema
from training import bands

ROW = frozenset({"row"})


@pytest.fixture
def cut(page, page_codec):
    """(pages) -> their pictures and cuts."""

    def cut(*given):
        drawn = [page(*one) for one in given]
        documents = [bands.document(page_codec.events(text.encode()), ROW) for _, text in drawn]
        return [pixels for pixels, _ in drawn], bands.cuts(documents, [bands.bands(p) for p, _ in drawn], 64)

    return cut


def test_the_schema_names_what_repeats(page_codec):
    assert bands.repeated(page_codec.grammar) == ROW


def test_a_schema_without_the_note_has_no_bands(page_codec):
    plain = page_codec.grammar.data.replace(b' i:bands="y"', b"")
    assert bands.repeated(schema.parse(plain)) is None


def test_bands_lie_between_rows_of_background(page):
    pixels, _ = page("red", ["green", "blue"])
    assert bands.bands(pixels) == [(4, 13), (17, 26), (30, 39)]


def test_light_grey_is_not_background_and_faint_noise_is():
    pixels = np.full((10, 8, 3), 255, np.uint8)
    pixels[4:6, 2:5] = 245
    pixels[8, 3] = 252
    assert bands.bands(pixels) == [(4, 6)]


def test_an_even_picture_has_no_bands():
    assert bands.bands(np.zeros((8, 8, 3), np.uint8)) == []


def test_a_page_that_shows_other_bands_than_its_document_says_is_not_cut(page, page_codec, cut):
    pictures, _ = cut(("red", ["green"]), ("red", ["blue", "green"]), ("blue", ["red"]))
    document = bands.document(page_codec.events(page("red", ["green"])[1].encode()), ROW)
    found = [bands.bands(picture) for picture in pictures]
    assert [one.at for one in bands.cuts([document] * 3, found, 64)] == [0, 2]


def test_a_page_put_together_shows_what_its_document_says(page, page_codec, cut):
    pictures, cuts = cut(("red", ["green", "blue"]), ("blue", ["red"]))
    plan = bands.Plan(cuts[0], [(cuts[1], 0), (cuts[0], 1)], cuts[1])
    pixels, text = page("red", ["red", "blue"])
    assert plan.events() == page_codec.events(text.encode())
    assert (plan.picture(lambda at: pictures[at]) == pixels).all()


def test_pages_drawn_by_chance_are_valid_and_have_room(page_codec, cut):
    _, cuts = cut(("red", ["green", "blue", "red"]), ("blue", ["red"]), ("blue", ["green", "green"]))
    rng = np.random.default_rng(0)
    plans = [plan for plan in (bands.draw(cuts, rng) for _ in range(50)) if plan]
    assert len(plans) > 40
    assert all(plan.length <= 1 for plan in plans)
    assert len({tuple(page_codec.tokens(plan.events())) for plan in plans}) > 10


def test_what_stands_below_the_items_comes_along(page, page_codec):
    drawn = [page("red", ["green"]), page("blue", ["red", "blue"])]
    for pixels, _ in drawn:
        pixels[60:62] = 0
    documents = [bands.document(page_codec.events(text.encode()), ROW) for _, text in drawn]
    cuts = bands.cuts(documents, [bands.bands(pixels) for pixels, _ in drawn], 64)
    plan = bands.Plan(cuts[0], [(cuts[0], 0)], cuts[1])
    picture = plan.picture(lambda at: drawn[at][0])
    assert picture.shape == (64, 64, 3)
    assert bands.bands(picture)[2] == (60, 62)
