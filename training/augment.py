"""Training pictures as they might have come: lighter, noisier, blurred, compressed, shifted. What they show stays the same.

Each function takes uint8 or float32 pixels (h, w, 3) of 0 to 255 and a random generator, and gives float32 of the same kind.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]

# Of the sides: a picture of 256 pixels that is shifted by 8 is within it.
SHIFT, STRETCH = 0.045, 0.04


def brightness(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return pixels * np.float32(rng.uniform(0.65, 1.35))


def contrast(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    middle = np.float32(pixels.mean())
    return (pixels - middle) * np.float32(rng.uniform(0.7, 1.3)) + middle


def colour(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another white: each channel a little more or less."""
    return pixels * rng.uniform(0.92, 1.08, 3).astype(np.float32) + rng.uniform(-8, 8, 3).astype(np.float32)


def noise(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return pixels + rng.standard_normal(pixels.shape, np.float32) * np.float32(rng.uniform(2, 16))


def blur(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As a picture is that was smaller once, by up to 2.5 times."""
    height, width = pixels.shape[:2]
    factor = rng.uniform(0.4, 0.9)
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    return _float(_image(pixels).resize(small, Image.Resampling.BILINEAR).resize((width, height), _filter(rng)))


def jpeg(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out = io.BytesIO()
    _image(pixels).save(out, "JPEG", quality=int(rng.integers(20, 80)))
    return _float(Image.open(out))


# How often each happens to a picture, in this order: light before what a camera and a file do.
TABLE: tuple[tuple[float, Change], ...] = (
    (0.6, brightness),
    (0.3, contrast),
    (0.3, colour),
    (0.2, blur),
    (0.3, noise),
    (0.2, jpeg),
)


def photometric(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 -> uint8 (h, w, 3): a fifth of the pictures as they are, the others with what the table's dice say."""
    if rng.random() < 0.2:
        return pixels
    for share, change in TABLE:
        if rng.random() < share:
            pixels = np.clip(change(pixels, rng), 0, 255)
    return np.asarray(pixels + 0.5 * (pixels.dtype != np.uint8), np.uint8)


def fitted(pixels: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """uint8 (h, w, 3) from a larger picture, `size` is (height, width): shifted and scaled a little, three times of four."""
    height, width = pixels.shape[:2]
    if rng.random() < 0.25:
        return np.asarray(_image(pixels).resize(size[::-1], _filter(rng)))
    margin = int(max(height, width) * (SHIFT + STRETCH)) + 1
    wide = _image(_framed(pixels, margin, rng))
    scale = 1 + rng.uniform(-STRETCH, STRETCH, 2)
    middle = np.array([width, height]) * (0.5 + rng.uniform(-SHIFT, SHIFT, 2)) + margin
    half = np.array([width, height]) * scale / 2
    low, high = np.maximum(middle - half, 0), np.minimum(middle + half, wide.size)
    return np.asarray(wide.resize(size[::-1], _filter(rng), box=(*low, *high)))


def _framed(pixels: np.ndarray, margin: int, rng: np.random.Generator) -> np.ndarray:
    """With more around it: the edge's pixels repeated, the other side's, or a plain grey."""
    pad = ((margin, margin), (margin, margin), (0, 0))
    way = rng.random()
    if way < 0.4:
        return np.pad(pixels, pad, mode="edge")
    if way < 0.5:
        return np.pad(pixels, pad, mode="wrap")
    grey = 255 if way < 0.8 else 0 if way < 0.9 else int(rng.integers(256))
    return np.pad(pixels, pad, constant_values=grey)


def _filter(rng: np.random.Generator) -> Image.Resampling:
    """Going down in two steps, one of them is a little softer than going down in one, the other a little sharper."""
    return Image.Resampling.BILINEAR if rng.random() < 0.5 else Image.Resampling.BOX


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels, np.uint8))


def _float(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.float32)


def smaller(pixels: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """uint8 (h, w, 3) from a larger picture, nothing moved."""
    return np.asarray(_image(pixels).resize(size[::-1], _filter(rng)))


def soft(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """uint8 (h, w, 3): colours that change slowly over the picture, as in a photograph that is out of focus, with grain."""
    coarse = rng.integers(0, 256, (int(rng.integers(2, 9)), int(rng.integers(2, 9)), 3), np.uint8)
    picture = _float(_image(coarse).resize(shape[1::-1], Image.Resampling.BICUBIC))
    return np.asarray(np.clip(noise(picture, rng), 0, 255), np.uint8)
