"""What numbers a network was trained on, and how 8-bit pixels become them."""

from dataclasses import dataclass

import numpy as np

from bundle.errors import BundleError

Three = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """(pixel - mean) / std, for red, green and blue."""

    mean: Three
    std: Three
    bgr: bool = False  # the network wants blue first; mean and std stand in its order

    @property
    def scale(self) -> Three:
        red, green, blue = self.std
        return 1 / red, 1 / green, 1 / blue

    @property
    def offset(self) -> Three:
        red, green, blue = (-mean / std for mean, std in zip(self.mean, self.std, strict=True))
        return red, green, blue

    @property
    def plain(self) -> bool:
        """Nothing is to be done but a cast."""
        return self == RAW


RAW = Pixels(mean=(0, 0, 0), std=(1, 1, 1))
# `caffe` and `torch` as keras.applications' preprocess_input has them.
NAMED = {
    "0..255": RAW,
    "0..1": Pixels(mean=(0, 0, 0), std=(255, 255, 255)),
    "-1..1": Pixels(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)),
    "caffe": Pixels(mean=(103.939, 116.779, 123.68), std=(1, 1, 1), bgr=True),
    "torch": Pixels(mean=(0.485 * 255, 0.456 * 255, 0.406 * 255), std=(0.229 * 255, 0.224 * 255, 0.225 * 255)),
}
CHOICES = (
    "0..255 (as they are), 0..1, -1..1, caffe (blue first, less ImageNet's means), torch (0..1, less ImageNet's means, over its "
    "deviations) or MEAN/STD of 0..255, such as 128/128"
)


def parse(text: str) -> Pixels:
    """One of the names, or MEAN/STD with a number, or three by commas, on each side. Raises BundleError."""
    if text in NAMED:
        return NAMED[text]
    mean, slash, std = text.partition("/")
    try:
        pixels = Pixels(mean=_three(mean), std=_three(std))
    except ValueError:
        raise BundleError(f"--pixels {text}: unknown; {CHOICES} wanted") from None
    if not slash or not np.isfinite([*pixels.mean, *pixels.std]).all() or min(pixels.std) <= 0:
        raise BundleError(f"--pixels {text}: finite numbers wanted, and deviations above 0")
    return pixels


def _three(text: str) -> Three:
    numbers = [float(number) for number in text.split(",")]
    red, green, blue = numbers * 3 if len(numbers) == 1 else numbers
    return red, green, blue


@dataclass(frozen=True, kw_only=True)
class Around:
    """What is put around a network, so that it keeps the contract."""

    pixels: Pixels
    size: tuple[int, int]  # height and width
    activation: str | None  # softmax or sigmoid behind logits
    pair: bool  # of one score p it makes (1 - p, p)
    outputs: int  # scores a picture after that


@dataclass(frozen=True)
class Line:
    """What a network does to its input first: scale * x + offset, averages over the colours."""

    scale: float = 1.0
    offset: float = 0.0

    def then(self, scale: float, offset: float) -> "Line":
        return Line(self.scale * scale, self.offset * scale + offset)


def told(line: Line) -> str | None:
    """The range that a network which begins so was made for, where there is no doubt: --pixels' word for it."""
    if line == Line() or line.scale <= 0:
        return None
    if line.scale <= 1 / 32 or line.offset / line.scale < -16:  # nothing is left of 0..1 then, or it is far below nil
        return "0..255"
    if -0.7 < line.offset / line.scale < -0.3:  # the middle of 0..1 becomes nil
        return "0..1"
    return None
