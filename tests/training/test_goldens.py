"""Golden pictures: drawn ones are the same each time, given ones keep their bytes."""

import pytest

from bundle.errors import DataError
from training import goldens


def test_drawn_pictures_are_the_same_each_time():
    assert goldens.drawn() == goldens.drawn()
    assert list(goldens.drawn()) == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize("count", [0, 17])
def test_a_folder_with_too_few_or_many_pictures_is_refused(tmp_path, count):
    for number in range(count):
        (tmp_path / f"{number}.png").write_bytes(b"x")
    with pytest.raises(DataError, match=f"{count} golden pictures; wanted a folder with 1 to 16"):
        goldens.from_folder(tmp_path)


def test_given_pictures_keep_their_bytes_and_lose_their_names(tmp_path):
    (tmp_path / "Aunt Mary.JPG").write_bytes(b"a face")
    assert goldens.from_folder(tmp_path) == {"0.jpg": b"a face"}
