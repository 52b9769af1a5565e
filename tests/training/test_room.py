"""Whether there is room is known before a run."""

from pathlib import Path

import pytest

from bundle.errors import DataError
from training.data import room
from training.data.cache import Cache, thumbnails
from training.data.photos import Photo
from training.run import Run


@pytest.fixture
def run(tmp_path):
    def made(**knobs):
        return Run(
            data=tmp_path, name="x", out=tmp_path / "deep" / "out", cache=tmp_path / "cache", cache_bytes=1, **knobs
        )

    return made


def many(count):
    return [Photo(path=Path("a"), sha256=f"{at:064}", labels=(0,)) for at in range(count)]


def test_pixels_are_most_of_it(run):
    asked = run(size=128, alpha=0.25)
    need = room.needed(many(1000), asked)[asked.cache]
    assert 1000 * 128 * 128 * 3 < need < 1.3 * 1000 * 128 * 128 * 3


def test_copies_and_checkpoints_need_more(run):
    plain, copied, tuned = (
        sum(room.needed(many(10), run(**knobs)).values()) for knobs in ({}, {"copies": 4}, {"fine_tune": 3})
    )
    assert plain < copied < tuned


@pytest.mark.parametrize(
    ("knobs", "side"),
    [
        ({"augment": "crop"}, 50),
        ({"augment": "grid"}, 60),
        ({"flip_left_right": True}, 40),
        ({"random_scale": 100}, 80),
    ],
)
def test_photos_that_are_varied_lie_there_larger_too(run, knobs, side):
    plain, varied = (run(size=40, **more) for more in ({}, knobs))
    need = room.needed(many(10), varied)[varied.cache] - room.needed(many(10), plain)[plain.cache]
    assert need == 10 * side * side * 3


def test_what_is_in_the_cache_needs_no_more_room(run, tmp_path, jpeg):
    asked = run(size=32)
    before = room.needed(many(1), asked)[asked.cache]
    (tmp_path / "a.jpg").write_bytes(jpeg)
    photo = Photo(path=tmp_path / "a.jpg", sha256=f"{0:064}", labels=(0,))
    for cache in (Cache(directory=asked.cache, spec=asked.preprocess), thumbnails(asked.cache)):
        cache.read(photo)
    assert room.needed(many(1), asked)[asked.cache] == before - 32 * 32 * 3 - 4096


def test_run_that_fits_is_let_through(run):
    room.check(many(3), run())


def test_run_that_fills_the_disk_is_one_sentence(run, monkeypatch):
    asked = run(size=1024, copies=10**9)
    with pytest.raises(
        DataError, match=r"the run needs about \d+\.\d\d GB of disk and \d+\.\d\d GB are free; free it, or name"
    ):
        room.check(many(1000), asked)
