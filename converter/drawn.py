"""Golden pictures for what came without any: drawn, since what they show matters less than that it stays the same."""

import io

import numpy as np
from PIL import Image

SIDE = 256


def pictures() -> dict[str, bytes]:
    """Three PNGs: soft colours, shapes with edges, stripes that get finer."""
    down, right = np.mgrid[0:SIDE, 0:SIDE]
    soft = np.stack([right, down, 255 - (right + down) // 2], axis=-1)
    middle = (down - SIDE // 2) ** 2 + (right - SIDE // 2) ** 2
    shapes = np.full((SIDE, SIDE, 3), 235)
    shapes[middle < 90**2] = (200, 60, 40)
    shapes[40:110, 60:230] = (30, 90, 160)
    fine = np.where((right * right // 512 + down // 16) % 2, 210, 45)
    stripes = np.stack([fine, fine // 2 + 60, 255 - fine], axis=-1)
    return {f"{at}.png": _png(pixels) for at, pixels in enumerate((soft, shapes, stripes))}


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()
