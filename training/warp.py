"""Pictures turned, shifted, cut and stretched, all in one step: each output pixel is looked up once, never twice interpolated."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

# What lies outside of the picture: the edge goes on, the picture in a mirror, the picture again, or black.
Fill = Literal["nearest", "reflect", "wrap", "black"]
PAD: dict[str, Literal["edge", "symmetric", "wrap"]] = {"nearest": "edge", "reflect": "symmetric", "wrap": "wrap"}

# Looking up single points of a picture that gets smaller by more than this leaves visible steps; it is made smaller before.
SHARP = 1.15

# The second step down, after the one of `preprocess`: of what neighbours differ by, this leaves 97 %, bilinear 86 %.
FILTER = Image.Resampling.BICUBIC


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the output looks in the picture. Read it from the picture's side: turned, shifted, sheared, stretched, cut, mirrored."""

    angle: float = 0.0  # degrees
    shift: tuple[float, float] = (0.0, 0.0)  # x, y, of the sides
    shear: float = 0.0  # x for each y
    stretch: tuple[float, float] = (1.0, 1.0)  # x, y; above 1 more of the picture is seen
    part: float = 1.0  # sides of the box that is seen, of the picture's sides
    at: tuple[float, float] = (0.5, 0.5)  # x, y of the box: 0 at the left or top edge, 1 at the other
    mirrored: bool = False  # left is right
    upside_down: bool = False
    fill: Fill = "reflect"


def placed(pixels: np.ndarray, size: tuple[int, int], placement: Placement) -> np.ndarray:
    """uint8 (h, w, 3) of `size` (height, width) from the same view in more pixels, or as many."""
    linear, offset = _lookup(pixels.shape, size, placement)
    corners, limit = _corners(linear, offset, size), np.array(pixels.shape[1::-1])
    within = (corners > -0.01).all() and (corners < limit + 0.01).all()  # of a pixel, for what floats lose
    if within and placement.angle == 0 == placement.shear:
        return _cut(pixels, size, placement, np.clip(corners, 0, limit))
    pixels, linear, offset = _smaller(pixels, linear, offset)
    if placement.fill in PAD:
        pixels, offset = _continued(pixels, placement.fill, offset, _corners(linear, offset, size))
    data = (*linear[0], offset[0], *linear[1], offset[1])
    turned = Image.fromarray(pixels).transform(size[::-1], Image.Transform.AFFINE, data, FILTER, fillcolor=0)
    return np.asarray(turned)


def _lookup(shape: tuple[int, ...], size: tuple[int, int], placement: Placement) -> tuple[np.ndarray, np.ndarray]:
    """A (2, 2) and b (2,): the output's point p, in pixels from its corner, shows the picture's point A p + b."""
    sides, angle = np.array(size[::-1], float), np.deg2rad(placement.angle)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flip = np.array([-1 if placement.mirrored else 1, -1 if placement.upside_down else 1])
    view = turn @ np.array([[1, placement.shear], [0, 1]]) @ np.diag(placement.stretch)
    box = (np.array(placement.at) - 0.5) * (1 - placement.part) * sides  # its middle, from the picture's
    scale = np.array(shape[1::-1]) / sides
    linear = scale[:, None] * view * placement.part * flip
    middle = scale * (sides / 2 + turn @ (np.array(placement.shift) * sides) + view @ box)
    return linear, middle - linear @ (sides / 2)


def _corners(linear: np.ndarray, offset: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(4, 2) of x, y in the picture."""
    height, width = size
    outer = np.array([(0, 0), (width, 0), (0, height), (width, height)])
    return np.asarray(outer @ linear.T + offset)


def _cut(pixels: np.ndarray, size: tuple[int, int], placement: Placement, corners: np.ndarray) -> np.ndarray:
    """An upright box within the picture, each of its pixels averaged in: what `preprocess` does, and faster."""
    box = (*corners.min(axis=0), *corners.max(axis=0))
    cut = np.asarray(Image.fromarray(pixels).resize(size[::-1], FILTER, box=box))
    cut = cut[:, ::-1] if placement.mirrored else cut
    return np.ascontiguousarray(cut[::-1] if placement.upside_down else cut)


def _smaller(pixels: np.ndarray, linear: np.ndarray, offset: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The picture with no more pixels along each side than the output has for it, and the lookup in that."""
    sides, steps = np.array(pixels.shape[1::-1]), np.linalg.norm(linear, axis=1)
    if steps.max() <= SHARP:
        return pixels, linear, offset
    wanted = np.ceil(sides / np.maximum(steps, 1)).astype(int)
    scale = wanted / sides
    small = np.asarray(Image.fromarray(pixels).resize((wanted[0], wanted[1]), FILTER))
    return small, linear * scale[:, None], offset * scale


def _continued(
    pixels: np.ndarray, fill: Fill, offset: np.ndarray, corners: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The picture with as much around it as the corners reach beyond it, and the offset in that."""
    low = np.maximum(1 - np.floor(corners.min(axis=0)).astype(int), 0)
    high = np.maximum(1 + np.ceil(corners.max(axis=0)).astype(int) - pixels.shape[1::-1], 0)
    return np.pad(pixels, ((low[1], high[1]), (low[0], high[0]), (0, 0)), mode=PAD[fill]), offset + low
