"""Hue, lightness and saturation on OpenCV's scale for 8 bits (hue 0 to 180, the others 0 to 255), as MXNet's augmenter shifts them."""

import numpy as np

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


def shifted(pixels: np.ndarray, *, hue: float, lightness: float, saturation: float) -> np.ndarray:
    """uint8 -> uint8 (h, w, 3), a number added to each of the three.

    Lightness and saturation stop at their ends. The hue goes round; MXNet stopped it too, which makes two colours of one red.
    """
    turned, lighter, stronger = of_rgb(pixels)
    return to_rgb(
        (turned + np.float32(hue)) % np.float32(180),
        np.clip(lighter + np.float32(lightness), 0, 255),
        np.clip(stronger + np.float32(saturation), 0, 255),
    )


def of_rgb(pixels: np.ndarray) -> Planes:
    """uint8 (h, w, 3) -> float32 (h, w) of hue, lightness and saturation; grey has hue 0."""
    r, g, b = np.ascontiguousarray(np.moveaxis(pixels, 2, 0)).astype(np.float32)
    most, least = np.maximum(np.maximum(r, g), b), np.minimum(np.minimum(r, g), b)
    chroma, double = most - least, most + least
    # At least 1, which it is wherever there is colour: levels are whole numbers.
    part = np.float32(30) / np.maximum(chroma, 1)
    hue = np.where(
        most == r, (g - b) * part % np.float32(180), np.where(most == g, 60 + (b - r) * part, 120 + (r - g) * part)
    )
    return hue, double / 2, 255 * chroma / np.maximum(np.minimum(double, 510 - double), 1)


def to_rgb(hue: np.ndarray, lightness: np.ndarray, saturation: np.ndarray) -> np.ndarray:
    """float32 (h, w) each -> uint8 (h, w, 3)."""
    chroma = saturation * np.minimum(lightness, 255 - lightness) * np.float32(2 / 255)
    least = lightness - chroma / 2 + np.float32(0.5)  # the half rounds
    turn = hue * np.float32(1 / 30)
    shares = (np.abs(turn - 3) - 1, 2 - np.abs(turn - 2), 2 - np.abs(turn - 4))
    pixels = np.empty((*hue.shape, 3), np.uint8)
    for channel, share in enumerate(shares):
        pixels[..., channel] = least + chroma * np.clip(share, 0, 1)
    return pixels
