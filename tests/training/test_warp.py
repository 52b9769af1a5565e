"""Where a picture is looked at: a piece, turned, stretched, mirrored; and what is seen beside it."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from training import warp
from training.warp import Placement

# Ours, and what scipy calls it.
MODES = {"nearest": "nearest", "reflect": "reflect", "wrap": "grid-wrap", "black": "grid-constant"}


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture
def soft():
    """Smooth, so that ways to look between pixels agree."""
    coarse = np.random.default_rng(1).integers(0, 256, (5, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC))


def test_a_picture_that_is_placed_as_it_is_stays_the_same(noise):
    assert (warp.placed(noise, (40, 60), Placement()) == noise).all()


@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_part_in_a_corner_is_cut_out_to_the_pixel(noise, x, y):
    cut = warp.placed(noise, (20, 30), Placement(part=0.5, at=(x, y)))
    assert (cut == noise[20 * y : 20 + 20 * y, 30 * x : 30 + 30 * x]).all()


def test_mirrors(noise):
    assert (warp.placed(noise, (40, 60), Placement(mirrored=True)) == noise[:, ::-1]).all()
    assert (warp.placed(noise, (40, 60), Placement(upside_down=True)) == noise[::-1]).all()


def test_a_half_turn_is_both_mirrors(noise):
    turned = warp.placed(noise, (40, 60), Placement(angle=180))
    off = np.abs(turned.astype(int) - noise[::-1, ::-1])
    assert off[1:-1, 1:-1].max() <= 1  # a point at the very edge is as near outside


def test_a_shift_sees_what_lies_beside(noise):
    black = warp.placed(noise, (40, 60), Placement(shift=(0.5, 0), fill="black"))
    assert (black[:, :30] == noise[:, 30:]).all()
    assert not black[:, 30:].any()
    mirror = warp.placed(noise, (40, 60), Placement(shift=(0.5, 0)))
    assert (mirror[:, 30:] == noise[:, :29:-1]).all()
    again = warp.placed(noise, (40, 60), Placement(shift=(0.5, 0), fill="wrap"))
    assert (again == np.roll(noise, 30, axis=1)).all()


def _as_scipy(pixels: np.ndarray, placement: Placement) -> np.ndarray:
    """The output's middle shows the picture's: turned of shifted of sheared of stretched, on rows and columns."""
    height, width = pixels.shape[:2]
    cos, sin = np.cos(np.deg2rad(placement.angle)), np.sin(np.deg2rad(placement.angle))
    turn = np.array([[cos, sin], [-sin, cos]])
    shear, stretch = np.array([[1, 0], [placement.shear, 1]]), np.diag(placement.stretch[::-1])
    matrix, middle = turn @ shear @ stretch, (np.array([height, width]) - 1) / 2
    offset = middle + turn @ (np.array(placement.shift[::-1]) * (height, width)) - matrix @ middle
    planes = [
        ndimage.affine_transform(pixels[..., at].astype(float), matrix, offset, order=1, mode=MODES[placement.fill])
        for at in range(3)
    ]
    return np.stack(planes, axis=-1)


@pytest.mark.parametrize("fill", MODES)
@pytest.mark.parametrize(
    "how",
    [
        {"angle": 25.0},
        {"angle": -110.0, "shift": (0.4, -0.2)},
        {"shear": 0.1, "stretch": (0.8, 1.1)},
        {"angle": 40.0, "shift": (-0.6, 0.6), "shear": 0.01, "stretch": (0.6, 1.0)},
    ],
)
def test_every_fill_goes_on_as_scipy_does_it(soft, fill, how):
    placement = Placement(**how, fill=fill)
    off = np.abs(warp.placed(soft, soft.shape[:2], placement) - _as_scipy(soft, placement))
    # Half a pixel at the edge of a colour, or at the seam of two copies, is looked up elsewhere.
    assert np.quantile(off, 0.9) < 3


def test_what_gets_smaller_is_averaged_not_skipped():
    stripes = np.zeros((240, 240, 3), np.uint8)
    stripes[:, ::2] = 255
    small = warp.placed(stripes, (40, 40), Placement(angle=10.0, part=0.5))
    assert abs(small.astype(int) - 127).max() < 12


def test_more_pixels_show_the_same_view(soft):
    twice = np.asarray(Image.fromarray(soft).resize((128, 96), Image.Resampling.BICUBIC))
    placement = Placement(angle=8.0, shear=0.05, part=0.7, at=(0.2, 0.9), stretch=(1.1, 0.9))
    one, two = (warp.placed(pixels, (48, 64), placement).astype(int) for pixels in (soft, twice))
    assert np.abs(one - two)[4:-4, 4:-4].mean() < 2
