"""Disturbed pictures are what their name says, as bytes that a client could send."""

import numpy as np
import pytest
from PIL import Image

from bundle import image
from bundle.image import Preprocess
from training.disturb import DISTURBANCES, WHOLE, disturbed


@pytest.fixture(scope="module")
def picture():
    """Grey, 512 x 256, with a black bar from left to right a quarter down."""
    pixels = np.full((256, 512, 3), 200, np.uint8)
    pixels[64:72] = 0
    return Image.fromarray(pixels)


@pytest.fixture
def change(picture, encoded):
    return lambda name: np.asarray(image.decode(disturbed(name, encoded(picture, "PNG")), WHOLE)).astype(int)


@pytest.mark.parametrize("name", DISTURBANCES)
def test_disturbance_gives_a_picture_that_is_read_and_the_same_each_time(name, photo):
    spec = Preprocess(height=32, width=32, resize="squash", resample="bilinear", color="rgb")
    data = photo(300, 200)
    assert image.preprocess(image.decode(disturbed(name, data), spec), spec).shape == (32, 32, 3)
    assert disturbed(name, data) == disturbed(name, data) != data


def test_brightness_multiplies(change):
    assert change("brightness x0.8")[0, 0].tolist() == [160, 160, 160]
    assert change("brightness x1.2")[0, 0].tolist() == [240, 240, 240]


def test_shift_is_eight_of_256_and_the_edge_goes_on(change, picture):
    assert np.array_equal(change("shift right"), np.asarray(picture))  # the bar runs to the edges
    down = change("shift down")
    assert down.shape == (256, 512, 3)
    assert np.flatnonzero(down[:, 0, 0] == 0).tolist() == list(range(72, 80))


def test_noise_has_a_sigma_of_ten(change):
    noise, grain = change("noise"), change("grain")
    assert noise.shape == (128, 256, 3)
    assert grain.shape == (256, 512, 3)
    assert np.std(grain[80:] - 200) == pytest.approx(10, rel=0.03)
    assert np.std(noise[50:] - 200) == pytest.approx(10, rel=0.03)


def test_sizes_are_changed(change):
    assert change("size x2").shape == (512, 1024, 3)
    assert change("size x0.5").shape == (128, 256, 3)


def test_blur_ends_at_256(change):
    blurred = change("blur")
    assert blurred.shape == (256, 256, 3)
    assert 0 < blurred[60:76].min() < 150  # the bar is grey now


def test_large_picture_is_not_made_one_that_is_refused(encoded):
    data = disturbed("size x2", encoded(Image.new("L", (4000, 3000)), "PNG"))
    assert image.decode(data, WHOLE).size == (5657, 4243)


def test_jpeg_is_sent_as_jpeg(photo):
    assert disturbed("jpeg q30", photo(form="PNG")).startswith(b"\xff\xd8\xff")
