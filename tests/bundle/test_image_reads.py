"""Every format and colour mode that people send gives the colours that they see."""

import io

import numpy as np
import pytest
from PIL import Image

from bundle import image

ORANGE = (200, 90, 30)
SEMI = (200, 90, 30, 128)  # on white: 255 - (255 - c) * 128 / 255


def pixels(data, spec):
    return image.preprocess(image.decode(data, spec), spec)


def color(data, spec):
    """The mean colour."""
    return tuple(pixels(data, spec).mean((0, 1)).round().astype(int).tolist())


def solid(mode, fill, size=(20, 12)):
    return Image.new(mode, size, fill)


@pytest.mark.parametrize(
    ("form", "save"),
    [("PNG", {}), ("WEBP", {"lossless": True}), ("GIF", {}), ("BMP", {}), ("MPO", {"quality": 95}), ("JPEG", {})],
)
def test_format_keeps_its_colour(encoded, spec, form, save):
    assert color(encoded(solid("RGB", ORANGE), form, **save), spec) == pytest.approx(ORANGE, abs=3)


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF"])
def test_lossless_format_keeps_every_pixel(encoded, spec, form):
    drawn = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).quantize(64).convert("RGB")
    assert (pixels(encoded(drawn, form), spec) == np.asarray(drawn)).all()


@pytest.mark.parametrize(
    ("mode", "fill", "form", "wanted"),
    [
        ("L", 77, "PNG", (77, 77, 77)),
        ("L", 77, "JPEG", (77, 77, 77)),
        ("1", 1, "PNG", (255, 255, 255)),
        ("1", 0, "BMP", (0, 0, 0)),
        ("I;16", 0x8040, "PNG", (128, 128, 128)),
        ("I;16", 0x00FF, "PNG", (0, 0, 0)),
        ("I;16", 0xFFFF, "PNG", (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), "JPEG", (255, 0, 0)),
        ("CMYK", (0, 0, 0, 255), "JPEG", (0, 0, 0)),
    ],
)
def test_mode_becomes_rgb(encoded, spec, mode, fill, form, wanted):
    assert color(encoded(solid(mode, fill), form), spec) == pytest.approx(wanted, abs=3)


@pytest.mark.parametrize(
    ("mode", "fill", "form", "wanted"),
    [
        ("RGBA", (*ORANGE, 0), "PNG", (255, 255, 255)),
        ("RGBA", (*ORANGE, 255), "PNG", ORANGE),
        ("RGBA", SEMI, "PNG", (227, 172, 142)),
        ("RGBA", SEMI, "WEBP", (227, 172, 142)),
        ("LA", (0, 128), "PNG", (127, 127, 127)),
        ("LA", (0, 0), "PNG", (255, 255, 255)),
    ],
)
def test_alpha_lies_on_white(encoded, spec, mode, fill, form, wanted):
    assert color(encoded(solid(mode, fill), form, **({"lossless": True} if form == "WEBP" else {})), spec) == (
        pytest.approx(wanted, abs=1)
    )


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_transparent_palette_colour_lies_on_white(encoded, spec, form):
    drawn = solid("P", 0)
    drawn.putpalette([*ORANGE, 0, 0, 0])
    assert color(encoded(drawn, form, transparency=0), spec) == (255, 255, 255)


@pytest.mark.parametrize(("mode", "fill", "key"), [("L", 9, 9), ("RGB", ORANGE, ORANGE), ("1", 0, 0)])
def test_transparent_colour_without_a_palette_lies_on_white(encoded, spec, mode, fill, key):
    assert color(encoded(solid(mode, fill), "PNG", transparency=key), spec) == (255, 255, 255)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation_counts(encoded, spec, form):
    frames = [solid("RGB", "red"), solid("RGB", "blue")]
    more = {"lossless": True} if form == "WEBP" else {}
    assert color(encoded(frames[0], form, save_all=True, append_images=frames[1:], **more), spec) == (255, 0, 0)


def test_first_picture_of_a_phones_mpo_counts(encoded, spec):
    two = encoded(solid("RGB", "red"), "MPO", save_all=True, append_images=[solid("RGB", "blue")])
    assert color(two, spec) == pytest.approx((254, 0, 0), abs=2)


@pytest.mark.parametrize("tail", [b"\0", b"\n" * 1000, b"\xff\xd8\xff\xe1 not a picture", b"PK\x03\x04" * 99])
def test_bytes_after_a_jpeg_change_nothing(jpeg, spec, tail):
    assert (pixels(jpeg + tail, spec) == pixels(jpeg, spec)).all()


def test_colour_profile_is_ignored(encoded, spec):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert color(encoded(solid("RGB", ORANGE), "PNG", icc_profile=profile), spec) == ORANGE


@pytest.mark.filterwarnings(
    "ignore:Corrupt EXIF data:UserWarning"
)  # Pillow's word to the log; no error outside of tests
def test_broken_exif_block_does_not_make_a_picture_bad(encoded, spec):
    plain, broken = (encoded(solid("RGB", ORANGE), "JPEG", **more) for more in ({}, {"exif": b"Exif\0\0MM\0*garbage"}))
    assert (pixels(broken, spec) == pixels(plain, spec)).all()


def test_one_pixel_is_a_picture(encoded, spec):
    assert color(encoded(solid("RGB", ORANGE, (1, 1)), "PNG"), spec) == ORANGE


def test_same_bytes_give_the_same_pixels(jpeg, spec):
    assert (pixels(jpeg, spec) == pixels(bytes(io.BytesIO(jpeg).read()), spec)).all()
