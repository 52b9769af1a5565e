"""Folders of photos: classes, the split, and what is said about them."""

import io
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bundle.errors import DataError
from training.data import alike
from training.data import cache as caches
from training.data import photos as sets
from training.data.split import split


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
    (folder / "Zebra" / "a.jpg").write_bytes(b"zebra")
    (folder / ".hidden").mkdir()
    assert sets.load(folder).labels == ("Zebra", "cat", "dog")


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
        (lambda folder: shutil.rmtree(folder), "no such folder or file"),
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


def test_two_classes_are_needed_once_pictures_are_decoded(folder):
    found = sets.load(folder, None)
    bad = [(photo, "cut short") for photo in found.everything if photo.label == 1]
    with pytest.raises(
        DataError, match=r"no readable training picture of dog; the first of 30 left out: .*: cut short"
    ):
        sets.decoded(found, bad, {})


def test_class_without_a_picture_is_left_out_and_spoken_of(folder):
    (folder / "bee").mkdir()
    found = sets.load(folder, None)
    assert (found.labels, found.empty) == (("cat", "dog"), ("bee",))
    assert found.notes[0] == "no training picture of bee: the model will not know them"
    assert {photo.label for photo in found.everything} == {0, 1}


def test_judges_of_a_class_that_training_lacks_are_listed(folder, tmp_path_factory):
    judges = tmp_path_factory.mktemp("judges")
    for label in ("bee", "cat"):
        (judges / label).mkdir()
        (judges / label / "a.jpg").write_bytes(label.encode())
    (folder / "bee").mkdir()
    found = sets.load(folder, judges)
    assert found.skipped == ((str(judges / "bee" / "a.jpg"), "no training picture of bee"),)
    assert [found.labels[photo.label] for photo in found.validation] == ["cat"]


def test_test_pictures_neither_train_nor_judge(folder, tmp_path_factory):
    before = sets.load(folder, None)
    test = tmp_path_factory.mktemp("test")
    for label in ("cat", "dog"):
        shutil.copytree(folder / label, test / label)
    (test / "cat" / "own.jpg").write_bytes(b"own")
    after = sets.load(folder, None, test=test)
    assert (after.train, after.validation, len(after.test)) == (before.train, before.validation, 61)
    assert f"{len(after.train)} test pictures are also training pictures" in after.notes[0]
    assert sets.digest(after) == sets.digest(before)


def test_labels_of_a_file_are_in_its_order(folder, tmp_path_factory):
    names = tmp_path_factory.mktemp("names") / "labels.txt"
    names.write_text("dog\ncat\n")
    assert sets.load(folder, None, how=sets.Reading(labels=names)).labels == ("dog", "cat")
    names.write_text("dog\ncow\n")
    with pytest.raises(DataError, match="classes cat are not in"):
        sets.load(folder, None, how=sets.Reading(labels=names))


def test_truth_has_an_index_or_a_mark_for_each_label():
    photos = [
        sets.Photo(path=Path("a"), sha256="a", labels=(1,)),
        sets.Photo(path=Path("b"), sha256="b", labels=(0,), unknown=(2,)),
    ]
    common = {"labels": ("x", "y", "z"), "train": (), "validation": ()}
    single, multi = (sets.Photos(scores=scores, **common).truth(photos) for scores in ("softmax", "sigmoid"))
    assert (single.dtype, single.tolist()) == (np.int64, [1, 0])
    assert multi.dtype == np.float32
    assert np.array_equal(multi, [[0, 1, 0], [1, 0, np.nan]], equal_nan=True)


def test_judging_takes_the_labels_of_a_model(folder):
    how = sets.Reading()
    found = sets.judging(folder, ("ant", "cat", "dog"), "softmax", how)
    assert Counter(photo.label for photo in found.validation) == {1: 30, 2: 30}
    with pytest.raises(DataError, match="classes dog are not in the model"):
        sets.judging(folder, ("ant", "cat"), "softmax", how)


# ---- what looks alike ----------------------------------------------------------------------


def seen(folder, cache):
    """As a run does it: found, decoded, settled."""
    found = sets.load(folder, None)
    small = caches.thumbnails(cache)
    reasons = list(caches.fill(found.everything, small))
    thumbs = {photo.sha256: small.read(photo) for photo, reason in reasons if not reason}
    return sets.decoded(found, [(photo, reason) for photo, reason in reasons if reason], thumbs)


@pytest.fixture
def real(tmp_path, photo):
    """Two classes with 20 photo-like pictures each."""
    for number in range(40):
        path = tmp_path / "real" / ("cat", "dog")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(256, 192, seed=number, quality=90))
    return tmp_path / "real"


def test_a_photo_saved_again_stays_on_its_own_side(real, photo, tmp_path):
    for number in range(40):
        path = real / ("cat", "dog")[number % 2] / f"again-{number}.jpg"
        path.write_bytes(photo(256, 192, seed=number, quality=50))
    found = seen(real, tmp_path)
    sides = [{p.path.name.removeprefix("again-") for p in part} for part in (found.train, found.validation)]
    assert (len(found.train) + len(found.validation), sides[0] & sides[1]) == (80, set())
    assert found.validation


def test_adding_pictures_moves_none_but_those_that_look_like_them(real, photo, tmp_path):
    before = {p.sha256 for p in seen(real, tmp_path).validation}
    for number in range(40, 60):
        (real / "cat" / f"{number}.jpg").write_bytes(photo(256, 192, seed=number))
    found = seen(real, tmp_path)
    assert before <= {p.sha256 for p in found.validation}
    assert len(found.everything) == 60


def test_small_set_has_a_judge(tmp_path, photo):
    for label, seeds in (("cat", (1, 2)), ("dog", (3,))):
        (tmp_path / label).mkdir()
        for seed in seeds:
            (tmp_path / label / f"{seed}.jpg").write_bytes(photo(seed=seed))
    found = sets.load(tmp_path, None)
    assert {photo.label for photo in found.train} == {0, 1}
    assert [photo.label for photo in found.validation] == [0]


def test_a_photo_for_each_class_is_too_few_to_judge(tmp_path, photo):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.jpg").write_bytes(label.encode())
    with pytest.raises(DataError, match="no readable validation picture"):
        sets.load(tmp_path, None)


@given(
    hashes=st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=30, unique=True),
    labels=st.lists(st.sets(st.integers(0, 3)), min_size=30, max_size=30),
)
def test_every_label_that_somebody_has_is_trained_on(hashes, labels):
    photos = [
        sets.Photo(path=Path(str(at)), sha256=f"{number:08x}".ljust(64, "0"), labels=tuple(sorted(having)))
        for at, (number, having) in enumerate(zip(hashes, labels, strict=False))
    ]
    train, judges = split(photos, {}, 4)
    assert {label for photo in train for label in photo.labels} == {label for photo in photos for label in photo.labels}
    assert sorted(train + judges, key=str) == sorted(photos, key=str)


@given(st.integers(0, 10**6), st.floats(0.1, 20))
def test_near_rows_are_those_that_brute_force_finds(seed, limit):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 60, (25, 48)).astype(np.uint8)
    rows[5:10] = np.clip(rows[:5] + rng.integers(0, 3, (5, 48)), 0, 255)
    found = {tuple(sorted(pair)) for pair in alike.near(rows, limit)}
    apart = np.abs(rows[:, None].astype(float) - rows[None]).mean(axis=2)
    assert found == {(a, b) for a in range(25) for b in range(a + 1, 25) if apart[a, b] < limit}


# ---- bad pictures --------------------------------------------------------------------------


def odd_pictures(photo, encoded):
    """name -> bytes, of what can be read after all, and of what cannot."""
    picture = Image.open(io.BytesIO(photo(80, 60)))
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = [Image.new("P", (20, 20), colour) for colour in (1, 2, 3)]
    good = {
        "grey.jpg": encoded(picture.convert("L"), "JPEG"),
        "rgba.png": encoded(picture.convert("RGBA"), "PNG"),
        "cmyk.jpg": encoded(picture.convert("CMYK"), "JPEG"),
        "16-bit.png": encoded(Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50), "PNG"),
        "turned.jpg": encoded(picture, "JPEG", exif=turned),
        "animated.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "png-called.jpg": encoded(picture, "PNG"),
        "no-suffix": encoded(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "PNG"),
    }
    bad = {
        "cut.jpg": photo(256, 192)[:-200],
        "cut.png": good["rgba.png"][:-200],
        "empty.jpg": b"",
        "text-called.jpg": b"this is no picture",
    }
    return good, bad


def test_odd_pictures_are_read_and_bad_ones_listed_with_their_cause(real, tmp_path, photo, encoded):
    good, bad = odd_pictures(photo, encoded)
    for name, data in (good | bad).items():
        (real / "cat" / name).write_bytes(data)
    (real / "cat" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    found = seen(real, tmp_path)
    assert {photo.path.name for photo in found.everything} >= good.keys()
    reasons = {Path(name).name: reason for name, reason in found.skipped}
    assert reasons.keys() == bad.keys()
    assert "truncated" in reasons["cut.jpg"]
    assert "empty" in reasons["empty.jpg"]
    assert "no picture that Imago reads" in reasons["text-called.jpg"]


def test_file_that_cannot_be_read_is_listed(folder):
    listed = folder / "list.csv"
    listed.write_text("filename,labels\ncat/0.jpg,cat\ncat/1.jpg,cat\ndog/0.jpg,dog\ndog/gone.jpg,dog\n")
    found = sets.load(listed)
    assert found.skipped == (
        (str(folder / "dog/gone.jpg"), f"{listed}: line 5: cannot be read: No such file or directory"),
    )
