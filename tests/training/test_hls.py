"""Hue, lightness and saturation: as the standard library has them, there and back, and shifted."""

import colorsys

import numpy as np
import pytest

from training import hls


@pytest.fixture
def pixels():
    drawn = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    drawn[0] = np.arange(32)[:, None] * 8  # greys
    drawn[1, :8] = [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)]
    return drawn


def test_every_pixel_has_the_hue_lightness_and_saturation_of_colorsys(pixels):
    ours = np.stack(hls.of_rgb(pixels), axis=-1) / (180, 255, 255)
    theirs = [colorsys.rgb_to_hls(*pixel) for pixel in (pixels / 255).reshape(-1, 3)]
    np.testing.assert_allclose(ours.reshape(-1, 3), theirs, atol=1e-5)


def test_any_colour_becomes_the_pixel_that_colorsys_gives():
    planes = np.random.default_rng(1).random((3, 20, 20)).astype(np.float32)
    ours = hls.to_rgb(planes[0] * 180, planes[1] * 255, planes[2] * 255)
    theirs = [colorsys.hls_to_rgb(*colour) for colour in planes.reshape(3, -1).T.astype(float)]
    assert np.abs(ours.reshape(-1, 3) - np.array(theirs) * 255).max() < 0.501


def test_a_shift_of_nothing_is_the_identity(pixels):
    assert (hls.shifted(pixels, hue=0, lightness=0, saturation=0) == pixels).all()


def test_the_hue_goes_round():
    red = np.array([[(255, 0, 0)]], np.uint8)
    green, blue = (hls.shifted(red, hue=by, lightness=0, saturation=0)[0, 0].tolist() for by in (60, -60))
    assert (green, blue) == ([0, 255, 0], [0, 0, 255])


def test_lightness_and_saturation_stop_at_their_ends():
    rose = np.array([[(200, 100, 100)]], np.uint8)
    assert hls.shifted(rose, hue=0, lightness=255, saturation=0).tolist() == [[[255, 255, 255]]]
    assert hls.shifted(rose, hue=0, lightness=-255, saturation=0).tolist() == [[[0, 0, 0]]]
    assert hls.shifted(rose, hue=0, lightness=0, saturation=-255).tolist() == [[[150, 150, 150]]]
