"""Owns the pixels: the only place where bytes become model input, in training, serving and export checks alike."""

import re
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import islice
from typing import Literal

import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from pydantic import BaseModel, ConfigDict, Field

from bundle.errors import BadPicture, NotAPicture, TooManyPixels

# A limit of memory: what Pillow holds is 4 bytes a pixel, 100 MB for 25 megapixels.
MAX_HELD_PIXELS = 25_000_000
# Baseline JPEG shrinks up to 8 x 8 while it is decoded, so its header may say more.
MAX_SHRUNK_PIXELS = 200_000_000

# More than an honest file has. Pillow looks at each block in Python, so 32 MB of empty ones took it 17 s; libjpeg goes
# over the whole picture once a scan, and savers of progressive JPEG write about 10.
MAX_BLOCKS = 20_000
MAX_SCANS = 200

READS = "JPEG, PNG, WebP, GIF or BMP"

_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}

# Of a JPEG, with the fill bytes before it; not a stuffed zero, a restart or anything else that has no length.
_MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd8\xff])")

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


def decode(data: bytes, spec: Preprocess) -> Image.Image:
    """RGB, upright, no more than about twice as large as `spec` needs where the format allows to decode less.

    Colour profiles are ignored, transparency lies on white, of an animation the first frame counts.
    Raises NotAPicture, TooManyPixels, BadPicture.
    """
    reader = _reader(data)
    try:
        _check_blocks(data)
        _check_gif(data)
        picture = reader(BytesIO(data))
        _check_pixels(picture, data)
        _shrink(picture, spec)
        picture.load()
        return _upright(_rgb(picture), _orientation(picture))
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
    shrinks = isinstance(picture, JpegImagePlugin.JpegImageFile) and _one_scan(data)
    limit = MAX_SHRUNK_PIXELS if shrinks else MAX_HELD_PIXELS
    if picture.width * picture.height > limit:
        way = "" if shrinks else ", or as baseline JPEG"
        raise TooManyPixels(f"{_too_many(picture.width, picture.height, limit)}; send it smaller{way}")


def _check_blocks(data: bytes) -> None:
    """Neither more blocks nor more scans than a decoder gets through in a moment."""
    blocks = scans = 0
    for scan in _blocks(data):
        blocks, scans = blocks + 1, scans + scan
        if blocks > MAX_BLOCKS or scans > MAX_SCANS:
            what = f"{MAX_SCANS} scans" if scans > MAX_SCANS else f"{MAX_BLOCKS} blocks of data"
            raise BadPicture(f"the picture has more than {what}; save it again")


def _blocks(data: bytes) -> Iterator[bool]:
    """Every block that a decoder meets on its way through a JPEG or PNG; True for one that starts a JPEG's scan."""
    if data[:2] == b"\xff\xd8":
        whole = _one_scan(data)
        for marker, _ in _segments(data):
            yield marker == 0xDA
            if whole and marker == 0xDA:
                return
    at = 8
    while data[:4] == b"\x89PNG" and at + 8 <= len(data) and data[at + 4 : at + 8] != b"IEND":
        yield False
        at += 12 + int.from_bytes(data[at : at + 4])


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place (of the length behind it) of a JPEG's segments, to the end of the image (ITU T.81, B.1)."""
    at = 2
    while (found := _MARKER.search(data, at)) and found[1] != b"\xd9":
        at = found.end()
        yield found[1][0], at
        at += int.from_bytes(data[at : at + 2])


def _check_gif(data: bytes) -> None:
    """Pillow paints the first frame's area while it opens a GIF, so the header is read before it does (GIF89a, 17 to 23)."""
    if data[:3] != b"GIF":
        return
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    blocks = 0
    while data[at] == 0x21 and blocks <= MAX_BLOCKS:  # extensions: a label, then blocks up to an empty one
        at += 2
        while data[at] and blocks <= MAX_BLOCKS:
            at, blocks = at + data[at] + 1, blocks + 1
        at, blocks = at + 1, blocks + 1
    if blocks > MAX_BLOCKS:
        raise BadPicture(f"the picture has more than {MAX_BLOCKS} blocks of data; save it again")
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


def _one_scan(data: bytes) -> bool:
    """Whether a JPEG holds all colours in one sequential scan; only then does it decode (and shrink) row by row.

    Otherwise libjpeg keeps all coefficients of the full picture in memory, whatever the scale (ITU T.81, B.2).
    """
    colours = 0
    for marker, at in islice(_segments(data), MAX_BLOCKS):
        if marker in (0xC0, 0xC1) and at + 7 < len(data):
            colours = data[at + 7]
        if marker == 0xDA:
            return colours > 0 and at + 2 < len(data) and data[at + 2] == colours
    return False


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
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    sheet = Image.new("RGB", picture.size, "white")
    sheet.paste(picture, mask=picture.getchannel("A"))
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
