"""Pictures as clients might send them on a worse day: the bytes of one in, the bytes of a disturbed one out. For `--robust` alone, never for training."""

import io
import zlib
from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image

from bundle import image

# The side that "of 256" and "to 64 and back at 256" are meant of.
SIDE = 256
# Twice the size of a large picture must still be one that is read.
MOST_PIXELS = 24_000_000

Disturbance = Callable[[Image.Image, np.random.Generator], Image.Image]
# The largest that a manifest can ask for, so that a JPEG is not shrunk while it is decoded.
WHOLE = image.Preprocess(height=4096, width=4096, resize="squash", resample="bilinear", color="rgb")


def disturbed(name: str, data: bytes) -> bytes:
    """The picture's bytes after DISTURBANCES[name], the same each time. Raises PictureError."""
    picture = DISTURBANCES[name](image.decode(data, WHOLE), np.random.default_rng(zlib.crc32(data)))
    return _encoded(picture, "JPEG", quality=30) if name == "jpeg q30" else _encoded(picture, "PNG", compress_level=0)


def _same(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture


def _grain(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Sigma 10, for each pixel of the picture as it came."""
    grain = rng.standard_normal((picture.height, picture.width, 3), np.float32)
    return _clipped(np.asarray(picture, np.float32) + 10 * grain)


def _noise(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Sigma 10 at 256 pixels: in a large picture noise for each of its pixels is gone once it is made small."""
    return _grain(_sized(picture, min(1, SIDE / max(picture.size))), rng)


def _brightness(factor: float) -> Disturbance:
    return lambda picture, rng: _clipped(np.asarray(picture, np.float32) * factor)


def _shift(way: Literal["right", "down"]) -> Disturbance:
    """8 of 256; what was at the edge goes on there."""

    def shift(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        pixels, axis = np.asarray(picture), 1 if way == "right" else 0
        by = round(pixels.shape[axis] * 8 / SIDE)
        return Image.fromarray(np.take(pixels, np.maximum(np.arange(pixels.shape[axis]) - by, 0), axis))

    return shift


def _blur(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """To 64 pixels and back at 256."""
    return picture.resize((64, 64), Image.Resampling.BILINEAR).resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def _size(factor: float) -> Disturbance:
    return lambda picture, rng: _sized(picture, factor)


DISTURBANCES: dict[str, Disturbance] = {
    "jpeg q30": _same,
    "noise": _noise,
    "grain": _grain,
    "brightness x0.8": _brightness(0.8),
    "brightness x1.2": _brightness(1.2),
    "shift right": _shift("right"),
    "shift down": _shift("down"),
    "blur": _blur,
    "size x2": _size(2),
    "size x0.5": _size(0.5),
}


def _sized(picture: Image.Image, factor: float) -> Image.Image:
    factor = min(factor, (MOST_PIXELS / (picture.width * picture.height)) ** 0.5)
    width, height = (max(1, round(side * factor)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def _clipped(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))


def _encoded(picture: Image.Image, form: str, **save: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **save)
    return out.getvalue()
