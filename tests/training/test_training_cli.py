"""`imago train` and `imago data` as a user meets them: bad options, bad folders, and the ImageNet bundle."""

import json

import pytest

from bundle import model
from bundle.store import find
from training import imagenet_labels


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "nowhere: no such folder or file; wanted a folder per class, a zip of one, .lst"),
        (["DATA", "--backbone", "resnet50", "--alpha", "0.5"], "--alpha 0.5: only a mobilenet has a width"),
        (["DATA", "--backbone", "inception_v3", "--size", "64"], "--size 64: inception_v3 needs at least 75 pixels"),
        (["DATA", "--weights", "gone.h5"], "gone.h5: no such weights file; --weights takes imagenet, none or"),
        (["DATA", "--weights", "none", "--golden", "gone"], "gone: 0 golden pictures; wanted a folder with 1 to 16"),
        (["DATA", "--validation", "gone"], "gone: no such folder"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence(imago, small, tmp_path, words, sentence):
    words = [str(small) if word == "DATA" else word for word in words]
    done = imago("train", "classifier", *words, "--out", tmp_path / "out", "--cache", tmp_path / "cache")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("imago: ")
    assert sentence in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--alpha", "2"], ["--name", "a/b"], ["--backbone", "vgg"], ["--weights"]])
def test_a_wrong_option_says_what_is_wanted(imago, words):
    done = imago("train", "classifier", "photos", *words)
    assert done.returncode == 2
    assert "Error:" in done.stderr


@pytest.fixture(scope="module")
def small(tmp_path_factory, photo):
    """Two classes of four photos."""
    folder = tmp_path_factory.mktemp("small") / "small"
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        for seed in range(4):
            (folder / label / f"{seed}.jpg").write_bytes(photo(seed=seed + 10 * (label == "b")))
    return folder


def test_no_photo_goes_into_a_bundle_that_must_have_none(imago, small, tmp_path, photo):
    flags = ["--weights", "none", "--epochs", 1, "--alpha", 0.25, "--size", 32, "--no-photos"]
    done = imago(
        "train",
        "classifier",
        small,
        "--validation",
        small,
        *flags,
        "--out",
        tmp_path,
        "--cache",
        tmp_path / "c",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (bundle,) = find(tmp_path)
    kept = {path.read_bytes() for path in (bundle / "golden").glob("*.[pj]*g")}
    assert len(kept) == 3
    assert not kept & {path.read_bytes() for path in small.rglob("*.jpg")}
    assert "note: 8 validation pictures are also training pictures" in done.stderr


def test_an_imagenet_bundle_answers_with_imagenet_labels(imago, data_dir, tmp_path):
    weights = data_dir / "weights" / "mobilenet_v1_0.25_128.weights.h5"
    flags = [
        "--backbone",
        "mobilenet",
        "--alpha",
        0.25,
        "--size",
        128,
        "--weights",
        weights,
        "--out",
        tmp_path,
        "--json",
    ]
    done = imago("train", "imagenet", *flags, timeout=120)
    assert done.returncode == 0, done.stderr
    opened = model.open(tmp_path / json.loads(done.stdout)["bundle"].rpartition("/")[2])
    shoes = sorted((data_dir / "clothing8" / "test" / "shoes").iterdir())[:20]
    rows = [opened.run(opened.prepare(path.read_bytes())[None])[0] for path in shoes]
    best = [" ".join(answer["label"].lower() for answer in opened.answer(row, 5)) for row in rows]
    assert sum(any(word in labels for word in ("shoe", "sandal", "loafer", "boot", "clog")) for labels in best) >= 10


def test_labels_that_do_not_fit_the_model_are_refused(imago, data_dir, tmp_path):
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    weights = data_dir / "weights" / "mobilenet_v1_0.25_128.weights.h5"
    flags = [
        "--alpha",
        0.25,
        "--size",
        128,
        "--weights",
        weights,
        "--labels",
        tmp_path / "labels.txt",
        "--out",
        tmp_path,
    ]
    done = imago("train", "imagenet", *flags, timeout=120)
    assert done.returncode == 1
    assert "labels.txt: 2 labels for a model with 1000 outputs" in done.stderr


def test_data_pieces_draws_a_folder_for_each_class(imago, tmp_path):
    done = imago("data", "pieces", tmp_path / "drawn", "--count", 2, "--size", 64, "--svg")
    assert done.returncode == 0, done.stderr
    assert sorted(path.suffix for path in (tmp_path / "drawn" / "sleeve").iterdir()) == [".png", ".png", ".svg", ".svg"]


def test_data_cache_shows_and_clears(imago, tmp_path):
    (tmp_path / "pixels").mkdir()
    (tmp_path / "pixels" / "x").write_bytes(bytes(1000))
    assert "1 files, 0.0 MB" in imago("data", "cache", "--cache", tmp_path).stdout
    assert "1 files removed" in imago("data", "cache", "--clear", "--cache", tmp_path).stdout
    assert not list(tmp_path.rglob("x"))


@pytest.mark.parametrize("text", ["a\nb\n", "  0  background\n  1  a\n  2  b", "0: a\n1: b\n", "background\na\nb\n"])
def test_lists_of_labels_may_be_numbered_and_begin_with_background(tmp_path, text):
    (tmp_path / "labels.txt").write_text(text)
    assert imagenet_labels.read(tmp_path / "labels.txt", "none", 2) == ("a", "b")


def test_a_label_that_is_there_twice_is_told_apart(tmp_path):
    (tmp_path / "labels.txt").write_text("crane\ntench\ncrane\n")
    assert imagenet_labels.read(tmp_path / "labels.txt", "none", 3) == ("crane", "tench", "crane (2)")
