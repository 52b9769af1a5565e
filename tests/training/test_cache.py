"""The cache of decoded pictures: a photo is decoded once, and nothing half-written is ever read."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from bundle import image
from bundle.errors import BadPicture
from bundle.image import Preprocess
from training.data import cache as caches
from training.data.photos import Photo

SPEC = Preprocess(height=16, width=16, resize="crop", resample="bilinear", color="rgb")


@pytest.fixture
def cache(tmp_path):
    return caches.Cache(directory=tmp_path / "cache", spec=SPEC)


@pytest.fixture
def photo(tmp_path):
    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(out, "JPEG")
    (tmp_path / "a.jpg").write_bytes(out.getvalue())
    return Photo(path=tmp_path / "a.jpg", labels=(0,), sha256=hashlib.sha256(out.getvalue()).hexdigest())


def test_cached_pixels_are_the_decoded_ones(cache, photo):
    fresh = image.preprocess(image.decode(photo.path.read_bytes(), SPEC), SPEC)
    assert np.array_equal(cache.read(photo), fresh)
    assert np.array_equal(cache.read(photo), fresh)


def test_a_photo_is_decoded_once(cache, photo):
    cache.read(photo)
    photo.path.unlink()
    assert cache.read(photo).shape == (16, 16, 3)


def test_a_file_cut_short_is_decoded_again(cache, photo):
    wanted = cache.read(photo)
    kept = next(path for path in cache.directory.rglob("*") if path.is_file())
    kept.write_bytes(kept.read_bytes()[:100])
    assert np.array_equal(cache.read(photo), wanted)


def test_another_preprocessing_has_its_own_pixels(cache, photo):
    cache.read(photo)
    other = caches.Cache(directory=cache.directory, spec=SPEC.model_copy(update={"width": 8}))
    assert other.read(photo).shape == (16, 8, 3)


def test_a_bad_picture_is_refused_and_not_kept(cache, photo):
    photo.path.write_bytes(photo.path.read_bytes()[:300])
    with pytest.raises(BadPicture):
        cache.read(photo)
    assert not list(cache.directory.rglob("*"))


def test_fill_says_why_a_photo_is_unreadable(cache, photo, tmp_path):
    text = Photo(path=tmp_path / "b.jpg", labels=(0,), sha256="b" * 64)
    text.path.write_text("not a picture")
    gone = Photo(path=tmp_path / "gone.jpg", labels=(0,), sha256="c" * 64)
    reasons = [reason for _, reason in caches.fill([photo, text, gone], cache)]
    assert reasons[0] is None
    assert "no picture that Imago reads" in reasons[1]
    assert "No such file" in reasons[2]


def test_prune_keeps_the_cache_below_its_limit(cache, photo):
    for width in range(1, 9):
        caches.Cache(directory=cache.directory, spec=SPEC.model_copy(update={"width": width})).read(photo)
    assert caches.prune(cache.directory, 800) > 0
    assert sum(path.stat().st_size for path in cache.directory.rglob("*") if path.is_file()) <= 800


def test_a_cache_that_cannot_be_written_is_only_slow(photo, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert caches.Cache(directory=tmp_path / "file", spec=SPEC).read(photo).shape == (16, 16, 3)
