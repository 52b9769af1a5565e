"""What is no picture, or too large a one, is refused with its class and one sentence, before memory is spent on it."""

import importlib.util
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from bundle import blocks, image
from bundle.errors import BadPicture, NotAPicture, PictureError, TooManyPixels

HTML = b"<!doctype html><html><body>404, not found</body></html>"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


def refused(data, spec):
    with pytest.raises(PictureError) as caught:
        image.decode(data, spec)
    return caught.value


def one_sentence(error):
    """As STYLE.md wants it: one short line, no full stop, nothing of our own insides."""
    text = str(error)
    return "\n" not in text and 20 < len(text) < 300 and not re.search(r"0x|<_io|Traceback|/work|\.$", text)


# ---- JPEG by hand --------------------------------------------------------------------------


def segments(jpeg):
    """Marker, start and end of each segment up to the first scan's data."""
    at = 2
    while True:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        yield jpeg[at + 1], at, end
        if jpeg[at + 1] == 0xDA:
            return
        at = end


def sized(jpeg, width, height):
    """The same file, with another size in its header."""
    start = next(start for marker, start, _ in segments(jpeg) if marker in (0xC0, 0xC1, 0xC2))
    return jpeg[: start + 5] + struct.pack(">HH", height, width) + jpeg[start + 9 :]


def several_scans(grey):
    """A baseline JPEG of three colours, each the same as `grey`, in a scan of its own."""
    scan, end = next((start, end) for marker, start, end in segments(grey) if marker == 0xDA)
    frame, after = next((start, end) for marker, start, end in segments(grey) if marker == 0xC0)
    three = b"\xff\xc0\0\x11" + grey[frame + 4 : frame + 9] + b"\3" + b"".join(bytes([n, 0x11, 0]) for n in (1, 2, 3))
    scans = b"".join(b"\xff\xda\0\x08\1" + bytes([n, 0, 0, 63, 0]) + grey[end:-2] for n in (1, 2, 3))
    return grey[:frame] + three + grey[after:scan] + scans + b"\xff\xd9"


@pytest.fixture(scope="module")
def grey(encoded):
    return encoded(Image.new("L", (64, 48), 128), "JPEG")


# ---- headers -------------------------------------------------------------------------------


def png_1_bit(side):
    """All of it, so that only the limit can refuse it; 20 KB for 169 megapixels."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + -(-side // 8))) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def png_of(width, height, png):
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def gif_of(width, height, gif):
    return gif[:6] + struct.pack("<HH", width, height) + gif[10:]


def gif_frame_of(width, height, gif):
    """The first frame reaches out of the screen, which Pillow lets grow."""
    at = gif.index(b"," + struct.pack("<HHHH", 0, 0, 64, 48))
    return gif[: at + 5] + struct.pack("<HH", width, height) + gif[at + 9 :]


def bmp_of(width, height, bmp):
    return bmp[:18] + struct.pack("<ii", width, height) + bmp[26:]


def webp_of(width, height, webp):
    """The size of a lossless WebP: 14 bits each behind the signature byte (RFC 9649, 3.4)."""
    at = webp.index(b"VP8L") + 9
    return webp[:at] + struct.pack("<I", (width - 1) | (height - 1) << 14) + webp[at + 4 :]


@pytest.fixture(scope="module")
def giants(jpeg, photo, grey, png, gif, bmp, webp):
    """Name -> a picture whose header says more than it may."""
    clearing = photo(form="GIF", disposal=2)
    return {
        "1-bit PNG": png_1_bit(13000),
        "PNG header": png_of(60000, 60000, png),
        "GIF": gif_of(60000, 60000, gif),
        "GIF frame": gif_frame_of(60000, 60000, gif),
        "GIF frame that is cleared": gif_frame_of(9000, 9000, clearing),
        "GIF just above": gif_of(5001, 5000, gif),
        "BMP": bmp_of(30000, 30000, bmp),
        "BMP, top row first": bmp_of(30000, -30000, bmp),
        "WebP": webp_of(13000, 13000, webp),
        "largest WebP": webp_of(16383, 16383, webp),
        "progressive JPEG": sized(photo(progressive=True), 6000, 6000),
        "JPEG in several scans": sized(several_scans(grey), 6000, 6000),
        "baseline JPEG": sized(jpeg, 16000, 16000),
    }


GIANTS = (
    "1-bit PNG",
    "PNG header",
    "GIF",
    "GIF frame",
    "GIF frame that is cleared",
    "GIF just above",
    "BMP",
    "BMP, top row first",
    "WebP",
    "largest WebP",
    "progressive JPEG",
    "JPEG in several scans",
    "baseline JPEG",
)


@pytest.mark.parametrize("name", GIANTS)
def test_giant_is_too_many_pixels(giants, spec, name):
    assert type(refused(giants[name], spec)) is TooManyPixels


@pytest.mark.parametrize("name", GIANTS)
def test_giant_is_refused_with_its_size_in_one_sentence(giants, spec, name):
    error = refused(giants[name], spec)
    assert one_sentence(error)
    assert "megapixels" in str(error)
    assert "send it smaller" in str(error)


PEAK = """
import pathlib, sys
from bundle import image
from bundle.errors import TooManyPixels
peak = lambda: int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
spec = image.Preprocess(height=8, width=8, resize="squash", resample="bilinear", color="rgb")
def refused(data):
    try:
        image.decode(data, spec)
    except TooManyPixels:
        return
    raise SystemExit("was decoded")
data = pathlib.Path(sys.argv[1]).read_bytes()
before = peak()
refused(data)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", ["1-bit PNG", "GIF", "GIF frame that is cleared", "BMP", "WebP", "progressive JPEG"])
def test_giant_is_refused_before_memory_is_spent_on_it(giants, tmp_path, name):
    (tmp_path / "giant").write_bytes(giants[name])
    done = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "giant"], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) < 20_000


def test_large_baseline_jpeg_is_read(encoded, spec):
    data = encoded(Image.new("L", (12000, 12000), 77), "JPEG")
    assert image.decode(data, spec).size == (1500, 1500)


def test_largest_picture_held_is_25_megapixels(gif, spec):
    assert image.decode(gif_of(5000, 5000, gif), spec).size == (5000, 5000)


def test_baseline_jpeg_that_cannot_shrink_enough_is_refused(jpeg, spec):
    long = sized(jpeg, 60000, 3000)
    error = refused(long, spec.model_copy(update={"width": 4096, "height": 4096}))
    assert "too long to shrink" in str(error)


# ---- one scan or several -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_baseline_jpeg_is_one_scan(encoded, mode):
    assert blocks.one_scan(encoded(Image.new(mode, (9, 9)), "JPEG"))


def test_progressive_jpeg_is_not_one_scan(photo):
    assert not blocks.one_scan(photo(progressive=True))


def test_jpeg_in_several_scans_is_not_one_scan(grey):
    assert not blocks.one_scan(several_scans(grey))


def test_jpeg_in_several_scans_is_read(grey, spec):
    assert (image.preprocess(image.decode(several_scans(grey), spec), spec) == 128).all()


def test_fill_bytes_before_a_marker_are_passed_over(jpeg):
    start = next(start for marker, start, _ in segments(jpeg) if marker == 0xC0)
    assert blocks.one_scan(jpeg[:start] + b"\xff\xff\xff" + jpeg[start:])


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xc0", b"\xff\xd8\xff\xda\0\0", b"x" * 99]
)
def test_ruins_of_a_jpeg_are_not_one_scan(data):
    assert not blocks.one_scan(data)


# ---- no picture ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", NotAPicture),
        (b"a picture of a cat", NotAPicture),
        (HTML, NotAPicture),
        (bytes(1000), NotAPicture),
        (b"\xff\xd8", NotAPicture),
        (b"%PDF-1.7", NotAPicture),
        (b"II*\0\x08\0\0\0", NotAPicture),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', NotAPicture),
        (b"P6 1 1 255\nabc", NotAPicture),
        (HEIC[:8] + b"avif", NotAPicture),
        (b"\xff\xd8\xff", BadPicture),
        (b"\xff\xd8\xff\xe0" + bytes(500), BadPicture),
        (b"\x89PNG\r\n\x1a\n", BadPicture),
        (b"RIFF\0\0\0\0WEBP", BadPicture),
        (b"GIF89a", BadPicture),
        (b"BM", BadPicture),
    ],
    ids=repr,
)
def test_bytes_that_are_no_picture_are_refused(spec, data, kind):
    assert type(refused(data, spec)) is kind


@pytest.mark.parametrize(
    "data", [b"", HTML, b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"BM"]
)
def test_refusal_is_one_sentence(spec, data):
    assert one_sentence(refused(data, spec))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_picture_is_bad_in_one_sentence(photo, spec, form, share):
    data = photo(form=form)
    error = refused(data[: int(len(data) * share)], spec)
    assert (type(error), one_sentence(error)) == (BadPicture, True)


def test_corrupt_png_is_bad(png, spec):
    middle = len(png) // 2
    assert type(refused(png[:middle] + bytes(64) + png[middle + 64 :], spec)) is BadPicture


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif"), reason="pillow-heif reads these")
def test_heic_is_told_how_to_become_a_jpeg(spec):
    error = refused(HEIC, spec)
    assert type(error) is NotAPicture
    assert "save it as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible)" in str(error)
