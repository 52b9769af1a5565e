"""Checkpoints: whole, of the right shape, or none."""

import numpy as np
import pytest

from bundle.errors import DataError
from training import checkpoint

ARRAYS = {"variable": [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7)], "best": [np.ones(2)]}
STATE = {"step": 3, "loss": 0.1 + 0.2}


@pytest.fixture
def path(tmp_path):
    checkpoint.save(tmp_path / "kept" / "a.npz", ARRAYS, STATE)
    return tmp_path / "kept" / "a.npz"


def test_what_is_saved_is_loaded_to_the_bit(path):
    arrays, state = checkpoint.load(path, ARRAYS)
    assert state == STATE
    for name, group in ARRAYS.items():
        assert all(np.array_equal(one, two) for one, two in zip(arrays[name], group, strict=True))
    assert [file.name for file in path.parent.iterdir()] == ["a.npz"]


def test_where_nothing_was_saved_there_is_none(tmp_path):
    assert checkpoint.load(tmp_path / "a.npz", ARRAYS) is None


@pytest.mark.parametrize("kept", [0, 10, 200, -30])
def test_a_file_cut_short_is_none(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    assert checkpoint.load(path, ARRAYS) is None


@pytest.mark.parametrize(
    "other",
    [
        {**ARRAYS, "best": [np.ones(3)]},
        {**ARRAYS, "best": [np.ones(2), np.ones(2)]},
        {**ARRAYS, "best": [np.ones(2, np.float32)]},
        {**ARRAYS, "best": []},
    ],
)
def test_one_of_another_network_is_none(path, other):
    assert checkpoint.load(path, other) is None


def test_one_that_cannot_be_written_is_one_sentence_and_leaves_nothing(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"a\.npz: the checkpoint cannot be written: .*; make room and run it again"):
        checkpoint.save(tmp_path / "file" / "a.npz", ARRAYS, STATE)
    (tmp_path / "a.npz").mkdir()
    with pytest.raises(DataError):
        checkpoint.save(tmp_path / "a.npz", ARRAYS, STATE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "file"]
