"""Golden pictures: drawn ones are the same each time, those of the data keep their bytes."""

import struct

from training import goldens
from training.data.photos import Photo
from training.progress import Progress


def test_drawn_pictures_are_the_same_each_time():
    assert goldens.drawn() == goldens.drawn()
    assert list(goldens.drawn()) == ["0.png", "1.png", "2.png"]


def test_pictures_of_a_rec_are_named_by_what_they_are(tmp_path, jpeg, png):
    frames = [struct.pack("<IIIfQQ", 0xCED7230A, 24 + len(data), 0, 0, 0, 0) + data for data in (jpeg, png)]
    (tmp_path / "a.rec").write_bytes(frames[0].ljust(-(-len(frames[0]) // 4) * 4, b"\0") + frames[1] + b"\0\0\0")
    second = -(-len(frames[0]) // 4) * 4
    photos = [Photo(path=tmp_path / "a.rec", offset=at, sha256=f"{at}", labels=(0,)) for at in (0, second)]
    assert goldens.of_data(photos, Progress()) == {"0.jpg": jpeg, "1.png": png}
