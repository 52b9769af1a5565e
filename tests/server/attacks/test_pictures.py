"""S02 to S06 and S14: files that are no picture, broken ones, bombs, and odd but good ones."""

import io
import json
import pickle
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits=1, color=0, *more):
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    row = bytes((width * bits * {0: 1, 2: 3, 6: 4}[color] + 7) // 8 + 1)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(more) + chunk(b"IDAT", pixels) + chunk(b"IEND")


def with_size(data, at, form, *size):
    """The same file with another size in its header."""
    changed = bytearray(data)
    struct.pack_into(form, changed, at, *size)
    return bytes(changed)


def jpeg_of(data, width, height, progressive=False):
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    return with_size(data, frame + 5, ">HH", height, width)


S02 = {
    "2 KB of noise": np.random.default_rng(1).bytes(2048),
    "HTML": b"<!doctype html><script>alert(1)</script>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "PDF": b"%PDF-1.7\n",
    "ZIP": b"PK\x03\x04" + bytes(99),
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "PSD": b"8BPS\0\1" + bytes(40),
    "ICNS": b"icns\0\0\0\x10",
    "TIFF": b"II*\0\x08\0\0\0",
    "GD": struct.pack(">HHHBI", 65535, 65000, 65000, 1, 0xFFFFFFFF),
    "FLI": b"\0\0\0\0\x12\xaf" + bytes(200),
    "pickle": pickle.dumps({"a": 1}),
}


@pytest.mark.parametrize("name", S02)
def test_s02_what_is_no_picture_is_a_415(target, post, name):
    answer = post(target.url, S02[name])
    assert (answer.status, json.loads(answer.body)["code"]) == (415, "not-a-picture")


# ---- S03: broken ones ------------------------------------------------------------------------


def many_scans(photo, count):
    """A progressive JPEG of 4000 x 4000 with its last scan again and again."""
    data = photo(4000, 4000, progressive=True, quality=30)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + b"\xff\xd9"


BROKEN = {
    "cut at 10 %": lambda photo: photo(300, 200)[:300],
    "cut at 50 %": lambda photo: photo(300, 200)[: len(photo(300, 200)) // 2],
    "cut at 99 %": lambda photo: photo(300, 200, quality=95)[:-200],
    "PNG with a wrong sum": lambda photo: with_size(photo(form="PNG"), 29, ">I", 7),
    "1000 scans": lambda photo: many_scans(photo, 1000),
    "60,000 empty JPEG segments": lambda photo: photo()[:2] + b"\xff\xfe\0\2" * 60_000 + photo()[2:],
    "2 million empty PNG chunks": lambda photo: photo(form="PNG")[:33] + chunk(b"abCd") * 2_000_000,
    "million empty GIF blocks": lambda photo: photo(form="GIF")[:13] + b"\x21\xfe" + b"\1x" * 1_000_000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_s03_broken_picture_is_a_422_without_much_work(target, post, photo, used_s, name):
    data = BROKEN[name](photo)
    before = used_s(target)
    answer = post(target.url, data)
    assert (answer.status, json.loads(answer.body)["code"]) == (422, "bad-picture")
    assert used_s(target) - before < 1


def test_s03_jpeg_with_trailing_bytes_is_a_good_one(target, post, photo):
    plain = json.loads(post(target.url, photo()).body)
    trailed = json.loads(post(target.url, photo() + np.random.default_rng(2).bytes(10 << 20)).body)
    assert trailed["predictions"] == plain["predictions"]


# ---- S04: more pixels than bytes -------------------------------------------------------------

GIANT = {
    "13000 x 13000 1-bit PNG": lambda photo: png(13000, 13000),
    "20000 x 20000 1-bit PNG": lambda photo: png(20000, 20000),
    "PNG of 4 billion x 1": lambda photo: with_size(png(9, 9), 16, ">II", 2**31 - 1, 1),
    "BMP by its header": lambda photo: with_size(photo(form="BMP"), 18, "<ii", 60000, 60000),
    "GIF by its header": lambda photo: with_size(photo(form="GIF"), 6, "<HH", 65535, 65535),
    "lossless WebP by its header": lambda photo: with_size(photo(form="WEBP", lossless=True), 21, "<I", 0x0FFFFFFF),
    "JPEG by its header": lambda photo: jpeg_of(photo(), 65500, 65500),
    "progressive JPEG by its header": lambda photo: jpeg_of(photo(progressive=True), 10000, 10000, True),
}


@pytest.mark.parametrize("name", GIANT)
def test_s04_giant_picture_is_refused_from_its_header(target, post, photo, peak, used_s, name):
    data = GIANT[name](photo)
    before = used_s(target)
    with peak(target) as grown:
        answer = post(target.url, data)
    print(f"\n{name}: {answer.status}, grew by {grown[0]:.1f} MB")
    assert answer.status in (413, 422)
    assert grown[0] < 20
    assert used_s(target) - before < 1


@pytest.mark.parametrize("size", [(65535, 1), (1, 65535)])
def test_s04_very_long_picture_is_a_good_one(target, post, size):
    assert post(target.url, png(*size)).status == 200


# ---- S05: bombs beside the pixels ------------------------------------------------------------


def text_bomb(kind):
    return chunk(kind, b"a\0\0" + zlib.compress(bytes(50 << 20), 9))


def looping_exif():
    """An IFD whose next IFD is itself, and whose EXIF and GPS parts are it too."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, 8) for tag in (0x8769, 0x8825, 0xA005))
    return b"Exif\0\0II*\0\x08\0\0\0\x03\0" + entries + struct.pack("<I", 8) + bytes(60_000)


def frames(form, count):
    out, first = io.BytesIO(), Image.new("P", (4, 4))
    others = [Image.new("P", (4, 4), at % 2) for at in range(count)]
    first.save(out, form, save_all=True, append_images=others)
    return out.getvalue()


BOMBS = {
    "zTXt": lambda photo: png(9, 9, 8, 2, text_bomb(b"zTXt")),
    "iTXt": lambda photo: png(9, 9, 8, 2, chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(50 << 20), 9))),
    "iCCP": lambda photo: png(9, 9, 8, 2, text_bomb(b"iCCP")),
    "GIF of 2,000 frames": lambda photo: frames("GIF", 2000),
    "APNG of 2,000 frames": lambda photo: frames("PNG", 2000),
    "EXIF that loops": lambda photo: photo(exif=looping_exif()),
}


@pytest.mark.parametrize("name", BOMBS)
def test_s05_bomb_beside_the_pixels_is_bounded(target, post, photo, peak, used_s, name):
    data = BOMBS[name](photo)
    before = used_s(target)
    with peak(target) as grown:
        answer = post(target.url, data)
    assert answer.status in (200, 422)
    assert grown[0] < 40
    assert used_s(target) - before < 1


@pytest.mark.parametrize("turn", range(1, 9))
def test_s05_orientation_is_honoured(target, post, encoded, turn):
    picture = Image.new("RGB", (40, 20))
    picture.paste((255, 0, 0), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = turn
    from bundle.image import _UPRIGHT

    upright = picture.transpose(_UPRIGHT[turn]) if turn > 1 else picture
    given, wanted = encoded(picture, "PNG", exif=exif), encoded(upright, "PNG")
    found = [json.loads(post(target.url, data).body)["predictions"] for data in (given, wanted)]
    assert found[0] == found[1]


# ---- S06: odd but good -----------------------------------------------------------------------


def alpha_palette():
    picture = Image.new("P", (9, 9), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    return picture


ODD = {
    "CMYK": lambda encoded: encoded(Image.new("CMYK", (9, 9), (0, 200, 200, 0)), "JPEG"),
    "16-bit grey": lambda encoded: encoded(Image.fromarray(np.full((9, 9), 40_000, np.uint16)), "PNG"),
    "palette with transparency": lambda encoded: encoded(alpha_palette(), "PNG", transparency=0),
    "grey with alpha": lambda encoded: encoded(Image.new("LA", (9, 9), (10, 128)), "PNG"),
    "1 x 1": lambda encoded: encoded(Image.new("RGB", (1, 1), "lime"), "PNG"),
    "1-bit": lambda encoded: encoded(Image.new("1", (9, 9), 1), "PNG"),
    "two pictures in a JPEG": lambda encoded: encoded(
        Image.new("RGB", (9, 9), "red"), "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9), "blue")]
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_s06_odd_picture_is_answered_as_the_reference_says(target, tiny, post, encoded, name):
    from bundle import model

    data, opened = ODD[name](encoded), model.open(tiny, "onnx")
    wanted = opened.answer(opened.run(opened.prepare(data)[None])[0], 5)
    assert json.loads(post(target.url, data).body)["predictions"] == wanted


# ---- S14: what would be run if it were unpacked ----------------------------------------------


class Touch:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


KINDS = ["application/vnd.bentoml+pickle", "application/x-pickle", "application/x-npy", "application/octet-stream"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["pickle", "npy"])
def test_s14_pickled_body_is_a_415_and_is_not_unpacked(target, post, tmp_path, kind, form):
    data = pickle.dumps(Touch(tmp_path / "run"))
    if form == "npy":
        out = io.BytesIO()
        np.save(out, np.array([Touch(tmp_path / "run")], object), allow_pickle=True)
        data = out.getvalue()
    assert post(target.url, data, kind).status == 415
    time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []
