"""Owns the pixels: the only place where bytes become model input, in training, serving and export checks alike."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from pydantic import BaseModel, ConfigDict, Field

from bundle import blocks
from bundle.errors import BadPicture, NotAPicture, TooManyPixels

# A limit of memory: what decoding holds is 8 bytes a pixel or more, 225 MB for a PNG of 25 megapixels.
MAX_HELD_PIXELS = 25_000_000
# Without transparency, which adds a third picture. WebP's decoder has two canvases and a copy of its own.
HELD = {"JPEG": 8, "PNG": 9, "GIF": 8, "BMP": 8}
HELD_OTHERS = 18
# Baseline JPEG shrinks up to 8 x 8 while it is decoded, so its header may say more.
MAX_SHRUNK_PIXELS = 200_000_000

READS = "JPEG, PNG, WebP, GIF or BMP"

_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}

# Orientation of EXIF 2.3, tag 0x0112 -> what makes the picture upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Preprocess(BaseModel):
    """How a picture becomes model input; part of the manifest, so it has no defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    height: int = Field(ge=1, le=4096)
    width: int = Field(ge=1, le=4096)
    # squash: both sides to the target; crop: the middle that has the target's shape; pad: all of it, on white.
    resize: Literal["squash", "crop", "pad"]
    resample: Literal["bilinear"]  # antialiased, as Pillow does it
    color: Literal["rgb"]


@dataclass(frozen=True)
class Header:
    """A picture that is known from its header and not decoded yet."""

    picture: ImageFile.ImageFile
    held: int  # bytes that decoding it takes, at most


def decode(data: bytes, spec: Preprocess) -> Image.Image:
    """RGB, upright, no more than about twice as large as `spec` needs where the format allows to decode less.

    Colour profiles are ignored, transparency lies on white, of an animation the first frame counts.
    Raises NotAPicture, TooManyPixels, BadPicture.
    """
    return load(header(data, spec))


def header(data: bytes, spec: Preprocess) -> Header:
    """For who wants to know what `load` will cost before it does. Raises as `decode`."""
    reader = _reader(data)
    with _refusing():
        blocks.check(data)
        _check_gif(data)
        picture = reader(BytesIO(data))
        _check_pixels(picture, data)
        kept = _coefficients(picture, data)
        _shrink(picture, spec)
        return Header(picture, kept + picture.width * picture.height * _bytes_a_pixel(picture))


def load(header: Header) -> Image.Image:
    """As `decode`, once."""
    with _refusing():
        picture = header.picture
        picture.load()
        turn = _orientation(picture)
        rgb = _rgb(picture)
        if rgb is not picture:
            picture.close()  # turning makes another one
        return _upright(rgb, turn)


def preprocess(image: Image.Image, spec: Preprocess) -> np.ndarray:
    """uint8 (height, width, 3), RGB."""
    target = (spec.width, spec.height)
    if spec.resize == "squash":
        return _array(image.resize(target, Image.Resampling.BILINEAR))
    fitted = _fitted(image.size, spec)
    if spec.resize == "crop":
        box = _middle(image.size, fitted, target)
        return _array(image.resize(target, Image.Resampling.BILINEAR, box=box))
    sheet = Image.new("RGB", target, "white")
    corner = ((target[0] - fitted[0]) // 2, (target[1] - fitted[1]) // 2)
    sheet.paste(image.resize(fitted, Image.Resampling.BILINEAR), corner)
    return _array(sheet)


def whole(image: Image.Image, most: int) -> np.ndarray:
    """uint8 (h, w, 3), as it was decoded; averaged down by a whole number where a side is longer than `most`."""
    factor = -(-max(image.size) // most)
    return _array(image.reduce(factor) if factor > 1 else image)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (TooManyPixels, BadPicture, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise TooManyPixels(
            f"the picture has more than {MAX_HELD_PIXELS / 1e6:.0f} megapixels; send it smaller"
        ) from None
    except (
        Exception
    ) as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, EOFError, ... on bad bytes
        raise BadPicture(f"the picture cannot be decoded: {_reason(error)}; send it whole, or save it again") from error


def _reader(data: bytes) -> Callable[[BytesIO], ImageFile.ImageFile]:
    """The one decoder that the first bytes ask for; file names and content types are not believed."""
    if not data:
        raise NotAPicture(f"the picture is empty (0 bytes); send one in {READS}")
    if data[:3] == b"\xff\xd8\xff":
        return JpegImagePlugin.JpegImageFile  # a phone's MPO too: its first picture
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return PngImagePlugin.PngImageFile
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return GifImagePlugin.GifImageFile
    if data[:2] == b"BM":
        return BmpImagePlugin.BmpImageFile
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return _heif_reader()
    raise NotAPicture(f"the bytes are no picture that Imago reads; send one in {READS}")


def _heif_reader() -> Callable[[BytesIO], ImageFile.ImageFile]:
    try:
        import pillow_heif
    except ImportError:
        raise NotAPicture(
            "this is a HEIC picture, which is not read here; save it as JPEG (on an iPhone: Settings, Camera, Formats, "
            "Most Compatible), or install pillow-heif beside Imago"
        ) from None
    reader: Callable[[BytesIO], ImageFile.ImageFile] = pillow_heif.HeifImageFile
    return reader


def _check_pixels(picture: ImageFile.ImageFile, data: bytes) -> None:
    """From the header alone, before anything is decoded."""
    shrinks = isinstance(picture, JpegImagePlugin.JpegImageFile) and blocks.one_scan(data)
    limit = MAX_SHRUNK_PIXELS if shrinks else MAX_HELD_PIXELS
    if picture.width * picture.height > limit:
        way = "" if shrinks else ", or as baseline JPEG"
        raise TooManyPixels(f"{_too_many(picture.width, picture.height, limit)}; send it smaller{way}")


def _check_gif(data: bytes) -> None:
    """Pillow paints the first frame's area while it opens a GIF, so the header is read before it does (GIF89a, 17 to 23)."""
    if data[:3] != b"GIF":
        return
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    count = 0
    while data[at] == 0x21 and count <= blocks.MAX_BLOCKS:  # extensions: a label, then blocks up to an empty one
        at += 2
        while data[at] and count <= blocks.MAX_BLOCKS:
            at, count = at + data[at] + 1, count + 1
        at, count = at + 1, count + 1
    if count > blocks.MAX_BLOCKS:
        raise BadPicture(f"the picture has more than {blocks.MAX_BLOCKS} blocks of data; save it again")
    if data[at] == 0x2C:
        left, top, frame_width, frame_height = struct.unpack_from("<4H", data, at + 1)
        width, height = max(width, left + frame_width), max(height, top + frame_height)
    if width * height > MAX_HELD_PIXELS:
        raise TooManyPixels(_too_many(width, height, MAX_HELD_PIXELS) + "; send it smaller")


def _too_many(width: int, height: int, limit: int) -> str:
    pixels = width * height / 1e6
    return f"the picture has {width} x {height} = {pixels:.0f} megapixels, more than {limit / 1e6:.0f}"


def _shrink(picture: ImageFile.ImageFile, spec: Preprocess) -> None:
    """Sets a JPEG to decode at twice the size needed, in its own unturned frame; other formats only decode whole."""
    if not isinstance(picture, JpegImagePlugin.JpegImageFile):
        return  # and asking a PNG for its EXIF would decode it
    size = picture.size
    turned = _orientation(picture) >= 5
    width, height = _fitted(size[::-1] if turned else size, spec)
    picture.draft("RGB", (2 * height, 2 * width) if turned else (2 * width, 2 * height))
    if picture.width * picture.height > MAX_HELD_PIXELS:
        raise TooManyPixels(
            f"the picture is {size[0]} x {size[1]}, too long to shrink while it is decoded; send it smaller"
        )


def _coefficients(picture: ImageFile.ImageFile, data: bytes) -> int:
    """Bytes that libjpeg keeps of a picture in several scans: two for each colour of a pixel, at full size."""
    whole = not isinstance(picture, JpegImagePlugin.JpegImageFile) or blocks.one_scan(data)
    return 0 if whole else picture.width * picture.height * 2 * len(picture.getbands())


def _bytes_a_pixel(picture: ImageFile.ImageFile) -> int:
    """At the worst moment, measured; Pillow's pictures have 4 and there are two of them, or three."""
    if picture.format not in HELD:
        return HELD_OTHERS
    return HELD[picture.format] + (4 if picture.has_transparency_data else 0)


def _orientation(picture: ImageFile.ImageFile) -> int:
    """1 to 8 of EXIF; a broken EXIF block does not make a picture bad."""
    try:
        turn = picture.getexif().get(0x0112, 1)
    except Exception:  # Pillow's EXIF reader raises a dozen kinds on garbage
        return 1
    return turn if turn in _UPRIGHT else 1


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16"):  # Pillow clips 16-bit grey where it should scale
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    if picture.mode not in ("RGBA", "LA"):
        picture = picture.convert("RGBA")
    sheet = Image.new("RGB", picture.size, "white")
    sheet.paste(picture, mask=picture)
    return sheet


def _upright(picture: Image.Image, turn: int) -> Image.Image:
    return picture.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else picture


def _fitted(size: tuple[int, int], spec: Preprocess) -> tuple[int, int]:
    """The size that the whole picture gets: the target's own, or with its shape kept around (crop) or inside (pad) it."""
    if spec.resize == "squash":
        return spec.width, spec.height
    choose = max if spec.resize == "crop" else min
    scale = choose(spec.width / size[0], spec.height / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _middle(
    size: tuple[int, int], fitted: tuple[int, int], target: tuple[int, int]
) -> tuple[float, float, float, float]:
    """The box of the picture, in its own pixels, that fills the target."""
    width = min(size[0], size[0] * target[0] / fitted[0])
    height = min(size[1], size[1] * target[1] / fitted[1])
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return left, top, left + width, top + height


def _array(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.uint8)


def _reason(error: Exception) -> str:
    """The decoder's word in one short line, without the names of our own objects."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:120] if "0x" not in text else type(error).__name__
