"""Varied pictures: the same for the same seed, of the same shape, and never of something else."""

import numpy as np
import pytest
from lxml import etree

from bundle.xml import codec as codecs
from training import augment, redraw
from training.data.pairs import SCHEMAS

DRAWING = b"""<svg xmlns="http://www.w3.org/2000/svg" version="1.1" viewBox="0 0 256 256">
  <path class="cut" d="M 40 30 L 200 30 L 200 220 C 150 220 100 200 40 150 Z"/></svg>"""


@pytest.fixture(scope="module")
def codec():
    return codecs.load(SCHEMAS / "pattern.rng")


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.mark.parametrize("change", [change for _, change in augment.TABLE], ids=lambda change: change.__name__)
def test_every_change_keeps_the_shape_and_hangs_on_the_generator_alone(picture, change):
    first, again, other = (change(picture, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == picture.shape
    assert (first == again).all()
    assert (first != other).any()


def test_some_pictures_stay_as_they_are(picture):
    rng = np.random.default_rng(0)
    same = [np.array_equal(augment.photometric(picture, rng), picture) for _ in range(40)]
    assert any(same)
    assert not all(same)


def test_a_shifted_picture_has_the_wanted_size_and_its_middle(picture):
    rng = np.random.default_rng(0)
    white = np.full((64, 64, 3), 255, np.uint8)
    white[24:40, 24:40] = 0
    for _ in range(40):
        small = augment.fitted(white, (32, 32), rng)
        assert small.shape == (32, 32, 3)
        assert small[16, 16].max() == 0


def test_soft_pictures_differ():
    rng = np.random.default_rng(0)
    assert len({augment.soft((16, 20, 3), rng).tobytes() for _ in range(5)}) == 5


# ---- drawings --------------------------------------------------------------------------------


def test_a_drawing_made_anew_shows_its_own_document(codec):
    rng = np.random.default_rng(0)
    for _ in range(10):
        pixels, events = redraw.redrawn(codec, codec.events(DRAWING), 256, rng)
        document = codec.write(events)
        assert codec.valid(document)
        drawn = redraw.draw(document, 256, stroke=1).min(axis=2) < 128
        paper = np.median(pixels.reshape(-1, 3), axis=0)
        inked = np.abs(pixels.astype(int) - paper).max(axis=2)
        assert (inked[drawn] > 0).mean() > 0.95


def test_drawings_made_anew_keep_their_curves(codec):
    """A straight line back is what Z draws, so which line that is hangs on where the path begins."""
    _, events = redraw.redrawn(codec, codec.events(DRAWING), 64, np.random.default_rng(1))
    d = etree.fromstring(codec.write(events))[0].get("d")
    assert [d.count(letter) for letter in "MCZ"] == [1, 1, 1]


def test_only_a_square_from_zero_is_drawn():
    assert redraw.square(DRAWING) == 256
    assert redraw.square(DRAWING.replace(b"0 0 256 256", b"0 0 256 128")) is None
    assert redraw.square(b"<page/>") is None
