"""Augmentation for classifiers, as data: what the old systems did to a photo, each named by its numbers.

A policy works on the photo as serving would see it, in more pixels, so that cutting a piece out of it never makes pixels up.
It knows nothing of normalisation, which is in the network.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, radians, tan
from typing import Literal

import numpy as np
from PIL import Image

from bundle.errors import DataError
from bundle.image import Preprocess
from training import hls, warp
from training.run import Augmentation, Run
from training.warp import Fill, Placement

# Part of every key: raised when the same numbers come to give other pixels.
EDITION = 1

# SageMaker says no more than "random crop"; validation chose how much (training/LOG.md).
CROP = (1.0, 1.25)

# Of the grid: photos have seldom more pixels than this, and its zoom, up to ten times, would want ten times as many.
GRID_MARGIN = 1.5

Flip = Literal["mirrored", "upside_down"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One of the notebook's generators, in the words of Keras' ImageDataGenerator: each number is how far it draws to both sides."""

    rotation: float  # degrees
    shift: float  # of width and height; also degrees of shear, as the notebook had it
    zoom: float  # of 1, for each side by itself
    flip: Flip  # half of the time
    fill: Fill


FLIPS: tuple[Flip, ...] = ("mirrored", "upside_down")
FILLS: tuple[Fill, ...] = ("black", "nearest", "reflect", "wrap")
GRID = tuple(
    Cell(rotation=rotation, shift=shift, zoom=zoom, flip=flip, fill=fill)
    for rotation in (0.0, 60.0, 120.0)
    for shift in (0.0, 0.3, 0.6)
    for zoom in (0.0, 0.3, 0.6, 0.9)
    for flip in FLIPS
    for fill in FILLS
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is done to one picture: drawn numbers, no dice left."""

    placement: Placement = Placement()
    brightness: float = 1.0  # times every pixel
    hue: float = 0.0
    saturation: float = 0.0
    lightness: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How far each number may go. With the defaults nothing is changed."""

    name: Augmentation
    spec: Preprocess  # what the network is given
    # The photo is made so many times as large, then a box of the input's size is cut out of it.
    enlarged: tuple[float, float] = (1.0, 1.0)
    flip: bool = False  # left is right, half of the time
    brightness: float = 0.0  # the next are +-
    hue: float = 0.0
    saturation: float = 0.0
    lightness: float = 0.0
    rotation: float = 0.0  # degrees
    shear: float = 0.0  # x for each y
    aspect: float = 0.0  # of width over height
    # MXNet left white corners. In a mirror they are no edge to learn, and it trains better (training/LOG.md).
    fill: Fill = "reflect"
    cells: tuple[Cell, ...] = ()  # where there are any, one of them says all

    @property
    def fitted(self) -> Preprocess:
        """Of the picture that `apply` and `plain` are given: the same view, in as many pixels as the smallest box needs."""
        # An aspect of 0.75 stretches the width by 1 / 0.875, of 1.25 the height by 1 / 0.9.
        margin = GRID_MARGIN if self.cells else self.enlarged[1] / (1 - self.aspect / 2)
        height, width = (ceil(side * margin - 1e-6) for side in (self.spec.height, self.spec.width))
        return self.spec.model_copy(update={"height": height, "width": width})

    @property
    def key(self) -> str:
        """Another for each other number; names what was made by this policy."""
        return hashlib.sha256(f"{EDITION} {self!r}".encode()).hexdigest()[:16]

    def draw(self, rng: np.random.Generator) -> Change:
        if self.cells:
            # With replacement, as the notebook drew: a photo's copies know nothing of each other.
            return Change(placement=_of_cell(self.cells[rng.integers(len(self.cells))], rng))
        ratio = rng.uniform(1 - self.aspect, 1 + self.aspect)  # width over height
        placement = Placement(
            part=1 / rng.uniform(*self.enlarged),
            at=(rng.random(), rng.random()),
            mirrored=bool(rng.random() < 0.5) and self.flip,
            angle=_around(self.rotation, rng),
            # MXNet shears what it has stretched already.
            shear=_around(self.shear, rng) * ratio,
            stretch=((1 + ratio) / 2, (1 + 1 / ratio) / 2),
            fill=self.fill,
        )
        return Change(
            placement=placement,
            brightness=1 + _around(self.brightness, rng),
            hue=_around(self.hue, rng),
            saturation=_around(self.saturation, rng),
            lightness=_around(self.lightness, rng),
        )

    def apply(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """uint8 of `fitted` -> uint8 of `spec`, (h, w, 3), changed by chance."""
        return changed(pixels, self.spec, self.draw(rng))

    def plain(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 of `fitted` -> uint8 of `spec`, (h, w, 3): what serving sees, but for a level or two of going down in two steps."""
        return changed(pixels, self.spec, Change())


def policy(run: Run) -> Policy:
    """Of `run.augment`; the flags of retrain.py ask for it without its name. Raises DataError."""
    percents = {name: getattr(run, name) for name in ("random_crop", "random_scale", "random_brightness")}
    for name, percent in percents.items():
        if not 0 <= percent <= 100:
            raise DataError(f"--{name} is {percent:g}, a percentage from 0 to 100 is wanted")
    flags = run.flip_left_right or any(percents.values())
    if flags and run.augment not in ("none", "retrain"):
        raise DataError(
            f"--flip_left_right, --random_crop, --random_scale and --random_brightness belong to --augment retrain, "
            f"not {run.augment}; leave one out"
        )
    if flags:
        return _retrain(run)
    return named(run.augment, run.preprocess)


def named(name: Augmentation, spec: Preprocess) -> Policy:
    """With the numbers that the name stands for; retrain has none of its own."""
    if name == "grid":
        return Policy(name=name, spec=spec, cells=GRID)
    if name in ("none", "retrain"):
        return Policy(name=name, spec=spec)
    crop = Policy(name=name, spec=spec, enlarged=CROP, flip=True)
    if name == "crop":
        return crop
    colour = replace(crop, hue=36.0, saturation=50.0, lightness=50.0)  # of OpenCV's 180, 255, 255
    if name == "crop_color":
        return colour
    return replace(colour, rotation=10.0, shear=0.1, aspect=0.25)


def changed(pixels: np.ndarray, spec: Preprocess, change: Change) -> np.ndarray:
    """uint8 -> uint8 (height, width, 3) of `spec`. First the place, so that the colours of no more pixels than needed are changed."""
    pixels = warp.placed(pixels, (spec.height, spec.width), change.placement)
    if change.hue or change.saturation or change.lightness:
        pixels = hls.shifted(pixels, hue=change.hue, lightness=change.lightness, saturation=change.saturation)
    if change.brightness != 1:
        levels = np.clip(np.arange(256) * change.brightness + 0.5, 0, 255).astype(np.uint8)
        pixels = levels[pixels]
    return pixels


def sheet(policy: Policy, pictures: Sequence[np.ndarray], rng: np.random.Generator, *, side: int = 96) -> Image.Image:
    """One row a photo, from uint8 pictures of `policy.fitted`: in front as it is, then seven samples; each `side` pixels at most."""
    gap = 4
    height, width = policy.spec.height, policy.spec.width
    scale = min(1, side / max(height, width))
    step_x, step_y = round(width * scale) + gap, round(height * scale) + gap
    drawn = Image.new("RGB", (8 * step_x + 2 * gap, len(pictures) * step_y + gap), "white")
    for row, pixels in enumerate(pictures):
        samples = [policy.plain(pixels), *(policy.apply(pixels, rng) for _ in range(7))]
        for column, sample in enumerate(samples):
            small = warp.placed(sample, (step_y - gap, step_x - gap), Placement())
            drawn.paste(Image.fromarray(small), (gap + column * step_x + gap * (column > 0), gap + row * step_y))
    return drawn


def _retrain(run: Run) -> Policy:
    """What its flags say: the photo is made 1 + crop % as large, and 1 to 1 + scale % times that; then the input's size is cut."""
    margin, scale = 1 + run.random_crop / 100, 1 + run.random_scale / 100
    return Policy(
        name="retrain",
        spec=run.preprocess,
        enlarged=(margin, margin * scale),
        flip=run.flip_left_right,
        brightness=run.random_brightness / 100,
    )


def _of_cell(cell: Cell, rng: np.random.Generator) -> Placement:
    """As ImageDataGenerator draws it."""
    flipped = bool(rng.random() < 0.5)
    return Placement(
        angle=_around(cell.rotation, rng),
        shift=(_around(cell.shift, rng), _around(cell.shift, rng)),
        shear=tan(radians(_around(cell.shift, rng))),
        stretch=(1 + _around(cell.zoom, rng), 1 + _around(cell.zoom, rng)),
        mirrored=flipped and cell.flip == "mirrored",
        upside_down=flipped and cell.flip == "upside_down",
        fill=cell.fill,
    )


def _around(most: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(-most, most))
