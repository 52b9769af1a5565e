"""Whatever the bytes, decode gives an RGB picture or raises a PictureError."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bundle import image
from bundle.errors import PictureError

# Pillow warns of odd files; outside of tests a warning is no error.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")

STARTS = (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x20\0\0\0WEBP", b"GIF89a", b"BM", b"\0\0\0\x18ftypheic")
BOUNDED = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def survives(data, spec):
    try:
        picture = image.decode(data, spec)
    except PictureError:
        return
    assert isinstance(picture, Image.Image)
    assert picture.mode == "RGB"


@settings(BOUNDED, max_examples=300)
@given(st.sampled_from(STARTS), st.binary(max_size=400))
def test_any_bytes_give_a_picture_or_a_picture_error(spec, start, data):
    survives(start + data, spec)


@pytest.mark.parametrize("form", ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP"])
@settings(BOUNDED, max_examples=80)
@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=4)), min_size=1, max_size=5), st.data()
)
def test_changed_picture_gives_a_picture_or_a_picture_error(photo, spec, form, changes, data):
    changed = bytearray(photo(24, 16, form=form))
    for at, new in changes:
        changed[at % len(changed) : at % len(changed) + len(new)] = new
    survives(bytes(changed[: data.draw(st.integers(1, len(changed)), "length")]), spec)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@settings(BOUNDED, max_examples=60)
@given(st.integers(0, 80), st.binary(min_size=1, max_size=6))
def test_changed_header_gives_a_picture_or_a_picture_error(photo, spec, form, at, new):
    data = photo(24, 16, form=form)
    survives(data[:at] + new + data[at + len(new) :], spec)
