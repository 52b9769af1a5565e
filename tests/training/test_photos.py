"""Folders of photos: classes, the split, and what is said about them."""

import shutil
from collections import Counter

import pytest

from bundle.errors import DataError
from training.data import photos as sets


@pytest.fixture
def folder(tmp_path):
    """Two classes with 30 files each; what is in them does not matter here."""
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(30):
            (tmp_path / label / f"{number}.jpg").write_bytes(f"{label} {number}".encode())
    return tmp_path


def test_classes_are_the_folders_in_order_of_their_characters(folder):
    (folder / "Zebra").mkdir()
    (folder / ".hidden").mkdir()
    assert sets.class_names(folder) == ("Zebra", "cat", "dog")


def test_every_photo_is_either_trained_on_or_judges(folder):
    found = sets.load(folder, None)
    assert len(found.train) + len(found.validation) == 60
    assert 4 <= len(found.validation) <= 20


def test_adding_photos_moves_none_of_the_others(folder):
    before = {photo.sha256 for photo in sets.load(folder, None).validation}
    for number in range(30, 60):
        (folder / "cat" / f"{number}.jpg").write_bytes(f"new {number}".encode())
    after = {photo.sha256 for photo in sets.load(folder, None).validation}
    assert before <= after


def test_renaming_photos_changes_neither_split_nor_digest(folder):
    before = sets.load(folder, None)
    for path in list((folder / "cat").iterdir()):
        path.rename(path.with_name(f"renamed-{path.name}"))
    after = sets.load(folder, None)
    assert sets.digest(after) == sets.digest(before)
    assert [p.sha256 for p in after.train] == [p.sha256 for p in before.train]


def test_a_class_with_one_photo_keeps_it_for_training(folder):
    (folder / "eel").mkdir()
    (folder / "eel" / "only.jpg").write_bytes(b"0")
    assert Counter(photo.label for photo in sets.load(folder, None).train)[2] == 1


def test_hidden_files_and_litter_are_no_photos(folder):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / "cat" / name).write_bytes(b"x")
    assert len(sets.load(folder, None).train + sets.load(folder, None).validation) == 60


def test_photos_in_both_sets_are_spoken_of(folder, tmp_path):
    judges = tmp_path / "judges"
    shutil.copytree(folder / "cat", judges / "cat")
    shutil.copytree(folder / "dog", judges / "dog")
    (folder / "train").mkdir()
    for label in ("cat", "dog"):
        shutil.move(folder / label, folder / "train" / label)
    assert "60 validation pictures are also training pictures" in sets.load(folder / "train", judges).notes[0]


def test_a_picture_in_two_classes_is_spoken_of(folder):
    shutil.copy(folder / "cat" / "0.jpg", folder / "dog" / "same.jpg")
    assert "1 pictures lie in more than one class" in sets.load(folder, None).notes


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: shutil.rmtree(folder), "no such folder"),
        (lambda folder: shutil.rmtree(folder / "cat"), "only the class 'dog'"),
        (lambda folder: [shutil.rmtree(folder / "cat"), shutil.rmtree(folder / "dog")], "no sub-folders"),
        (lambda folder: (folder / "CAT").mkdir(), "several spellings"),
    ],
)
def test_folders_that_nothing_can_be_learned_from_are_refused(folder, make, sentence):
    make(folder)
    with pytest.raises(DataError, match=sentence):
        sets.load(folder, None)


def test_validation_classes_that_training_lacks_are_refused(folder, tmp_path):
    for label in ("cat", "wolf"):
        (tmp_path / "judges" / label).mkdir(parents=True)
    with pytest.raises(DataError, match="classes wolf are not in"):
        sets.load(folder, tmp_path / "judges")


def test_a_class_without_a_readable_photo_is_refused(folder):
    found = sets.load(folder, None)
    bad = {photo.path for photo in found.train if photo.label == 1}
    with pytest.raises(DataError, match="no readable training picture of dog"):
        sets.without(found, bad)
