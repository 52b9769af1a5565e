"""Where the pixels of a picture come to lie: turned upright, squashed, cropped, padded, shrunk while decoding."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from bundle import image
from bundle.image import Preprocess

TURN = Image.Transpose
# What a camera stores for an upright picture, by the EXIF orientation it writes.
STORED = {
    1: None,
    2: TURN.FLIP_LEFT_RIGHT,
    3: TURN.ROTATE_180,
    4: TURN.FLIP_TOP_BOTTOM,
    5: TURN.TRANSPOSE,
    6: TURN.ROTATE_90,
    7: TURN.TRANSVERSE,
    8: TURN.ROTATE_270,
}
CORNERS = {(0, 0): "red", (1, 0): "lime", (0, 1): "blue", (1, 1): "white"}


def spec(resize, width=8, height=8):
    return Preprocess(height=height, width=width, resize=resize, resample="bilinear", color="rgb")


def four_corners(width, height):
    """Each quarter in another colour."""
    drawn = Image.new("RGB", (width, height))
    for (x, y), color in CORNERS.items():
        half = (width // 2, height // 2)
        drawn.paste(color, (x * half[0], y * half[1], (x + 1) * half[0], (y + 1) * half[1]))
    return drawn


def stored(drawn, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = STORED[orientation]
    return (drawn if turn is None else drawn.transpose(turn)), exif


def off(found, wanted):
    """Largest difference at the middles of the quarters."""
    small = [np.asarray(one.resize((4, 4), Image.Resampling.BOX), int)[::3, ::3] for one in (found, wanted)]
    return np.abs(small[0] - small[1]).max()


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_exif_turns_a_picture_upright(encoded, form, orientation):
    upright = four_corners(48, 32)
    turned, exif = stored(upright, orientation)
    found = image.decode(encoded(turned, form, exif=exif, quality=95), spec("squash", 48, 32))
    assert (found.size, off(found, upright) <= 12) == (upright.size, True)


@pytest.mark.parametrize("orientation", STORED)
def test_exif_turns_a_jpeg_that_shrank_while_it_was_decoded(encoded, orientation):
    upright = four_corners(800, 480)
    turned, exif = stored(upright, orientation)
    found = image.decode(encoded(turned, "JPEG", exif=exif, quality=95), spec("crop", 40, 24))
    assert (found.size, off(found, upright) <= 12) == ((100, 60), True)


@pytest.mark.parametrize("orientation", STORED)
def test_draft_swaps_the_sides_that_exif_turns(encoded, orientation):
    turned, exif = stored(four_corners(800, 240), orientation)
    assert image.decode(encoded(turned, "JPEG", exif=exif), spec("squash", 100, 15)).size == (200, 60)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_orientation_that_does_not_exist_leaves_the_picture(encoded, value):
    upright, exif = four_corners(48, 32), Image.Exif()
    exif[0x0112] = value
    assert off(image.decode(encoded(upright, "PNG", exif=exif), spec("squash")), upright) == 0


def test_draft_leaves_twice_what_the_target_needs(photo):
    found = image.decode(photo(1600, 1200), spec("squash", 100, 100))
    assert found.size == (400, 300)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_shrinking_while_decoding_is_close_to_shrinking_afterwards(photo, resize):
    data, small = photo(1600, 1200, quality=95), spec(resize, 64, 64)
    full = image.preprocess(Image.open(BytesIO(data)).convert("RGB"), small)
    found = image.preprocess(image.decode(data, small), small)
    assert np.abs(found.astype(int) - full).mean() < 2


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", [(8, 8), (300, 7), (7, 300), (1, 1), (1, 900), (900, 1), (13, 12)])
def test_every_picture_gets_the_size_of_the_target(resize, size):
    found = image.preprocess(Image.new("RGB", size), spec(resize, 12, 4))
    assert (found.shape, found.dtype) == ((4, 12, 3), np.uint8)


def noise(width, height):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_picture_of_the_targets_size_stays_as_it_is(resize):
    assert (image.preprocess(Image.fromarray(noise(8, 8)), spec(resize)) == noise(8, 8)).all()


@pytest.mark.parametrize(
    ("size", "middle"), [((16, 8), np.s_[:, 4:12]), ((8, 16), np.s_[4:12, :]), ((18, 8), np.s_[:, 5:13])]
)
def test_crop_keeps_the_middle(size, middle):
    assert (image.preprocess(Image.fromarray(noise(*size)), spec("crop")) == noise(*size)[middle]).all()


@pytest.mark.parametrize(("size", "inside"), [((8, 4), np.s_[2:6, :]), ((4, 8), np.s_[:, 2:6])])
def test_pad_keeps_all_in_the_middle(size, inside):
    found = image.preprocess(Image.fromarray(noise(*size)), spec("pad"))
    assert (found[inside] == noise(*size)).all()


@pytest.mark.parametrize(("size", "outside"), [((8, 4), np.s_[[0, 1, 6, 7], :]), ((4, 8), np.s_[:, [0, 1, 6, 7]])])
def test_pad_is_white_outside(size, outside):
    assert (image.preprocess(Image.fromarray(noise(*size)), spec("pad"))[outside] == 255).all()


def ramp(width, height, step):
    return Image.fromarray(np.tile((np.arange(width) * step).astype(np.uint8)[None, :, None], (height, 1, 3)))


def test_squash_takes_each_pixel_from_its_share_of_the_width():
    found = image.preprocess(ramp(64, 8, 4), spec("squash"))[:, 1:-1, 0]
    assert np.abs(found - (32 * np.arange(1, 7) + 14.0)).max() <= 1


def test_crop_takes_each_pixel_from_its_share_of_the_middle():
    found = image.preprocess(ramp(24, 16, 8), spec("crop"))[:, 1:-1, 0]
    assert np.abs(found - (16 * np.arange(1, 7) + 36.0)).max() <= 1


def test_resizing_is_antialiased():
    checks = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)).convert("RGB")
    assert np.abs(image.preprocess(checks, spec("squash")) - 127.5).max() <= 2
