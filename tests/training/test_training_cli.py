"""`imago train` and `imago data` as a user meets them: bad options, bad folders, and the ImageNet bundle."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from bundle import model
from bundle.errors import DataError
from bundle.store import find
from training import checks, cli, imagenet_labels, knobs
from training.run import ALL_BLOCKS, COPIES, Run


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


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """(*words) -> the Run that they stand for; nothing is trained."""

    def run(*words):
        seen = []
        monkeypatch.setattr(
            "training.classifier.main", lambda run, progress: seen.append(run) or (_ for _ in ()).throw(KeyError)
        )
        result = CliRunner().invoke(cli.classifier, [str(word) for word in words], standalone_mode=False)
        if not seen:
            raise result.exception
        return seen[0]

    return run


def test_every_knob_is_an_option_with_the_run_s_own_default(asked):
    run, wanted = (
        asked("photos"),
        Run(data=Path("photos"), name="photos", out=Path("bundles"), cache=Path(), cache_bytes=0),
    )
    elsewhere = {"cache", "cache_bytes", "command"}
    for field in fields(Run):
        if field.name not in elsewhere:
            assert getattr(run, field.name) == getattr(wanted, field.name), field.name
    options = {knob.name for knob in knobs.CLASSIFIER}
    assert {field.name for field in fields(Run)} <= options | elsewhere | {"data", "photos_in_bundle"}


def test_help_stands_under_headings(imago):
    done = imago("train", "classifier", "--help")
    headings = [line[:-1] for line in done.stdout.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "Data",
        "Network",
        "Head",
        "Augmentation",
        "Fine-tuning",
        "Loss and answer",
        "What comes of it",
        "Help",
    ]
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "crop_color_transform" in done.stdout


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["p", "--val_dir", "v"], "validation", Path("v")),
        (["p", "--fine-tune", "all", "--mini_batch_size", "8"], "batch_size", 8),
        (["p", "--fine-tune", "3"], "fine_tune", 3),
        (["p", "--fine-tune", "all"], "fine_tune", ALL_BLOCKS),
        (["p", "--fine-tune", "none"], "fine_tune", 0),
        (["p", "--fine_tune", "2", "--learning_rate", "0.1"], "learning_rate", 0.1),
        (["p", "--fine-tune", "2", "--lr_scheduler_step", "10,20"], "lr_scheduler_step", (10, 20)),
        (["p", "--fine-tune", "2", "--lr_scheduler_step", "10,20"], "schedule", "step"),
        (["p", "--fine-tune", "2", "--early_stopping", "--early_stopping_patience", "2"], "early_stopping_patience", 2),
        (["p", "--random_crop", "10", "--flip_left_right"], "augment", "retrain"),
        (["p", "--random_crop=10", "--flip_left_right"], "random_crop", 10),
        (["p", "--augmentation_type", "crop_color"], "augment", "crop_color"),
        (["p", "--augment", "crop_color"], "copies", COPIES),
        (["p", "--augment", "crop_color", "--fine-tune", "2"], "copies", 0),
        (["p", "--augment", "grid", "--copies", "9"], "copies", 9),
        (["p", "--heads", "all"], "head", "all"),
        (["p", "--multi_label", "--use_weighted_loss"], "weighted_loss", True),
        (["p", "--single-label"], "multi_label", False),
        (["p", "--backbone", "mobilenet_v2", "--size", "96"], "backbone", "mobilenet_v2"),
        (["p", "--no-calibrate"], "calibrate", False),
    ],
    ids=str,
)
def test_options_are_called_as_older_systems_called_them(asked, monkeypatch, words, field, value):
    monkeypatch.setitem(__import__("training.backbones").backbones.PLANS, "mobilenet_v2", PLAN)
    assert getattr(asked(*words), field) == value


PLAN = __import__("training.backbones").backbones.PLANS["mobilenet"]


def test_train_dir_is_the_same_as_the_argument(asked):
    assert asked("--train_dir", "photos/train", "--val_dir", "photos/val").data == Path("photos/train")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "what to train on is missing: give DATA or --train-dir"),
        (["p", "--train_dir", "p"], "DATA and --train-dir are the same thing; give one of them"),
        (["p", "--copies", "-1"], "-1 is not in the range"),
        (["p", "--momentum", "1"], "1.0 is not in the range 0<=x<1"),
        (["p", "--assert-accuracy-at-least", "85"], "85.0 is not in the range 0<=x<=1"),
        (["p", "--fine-tune", "some"], "'some' is not a number of blocks, all or none"),
        (["p", "--lr_scheduler_step", "10;20"], "'10;20' is not a list of epochs such as 10,20"),
        (["p", "--augment", "mixup"], "'mixup' is not one of"),
    ],
)
def test_values_out_of_range_are_told_with_status_2(words, sentence):
    done = CliRunner().invoke(cli.classifier, words)
    assert done.exit_code == 2
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--copies", 3], "--copies 3: are copies of nothing new without --augment"),
        (
            ["--augment", "crop", "--random_crop", 5],
            "--random-crop: is part of --augment retrain, not of --augment crop",
        ),
        (["--augment", "retrain"], "--augment retrain: changes nothing by itself"),
        (["--augment", "crop", "--copies", 0], "--augment crop: does nothing with --copies 0 and no layer that learns"),
        (["--weights", "none", "--heads", "mlp"], "--heads: does nothing with --weights none"),
        (["--weights", "none", "--fine-tune", 2], "--fine-tune: does nothing with --weights none"),
        (["--epochs", 3], "--epochs: does nothing here, where only a linear head is fitted"),
        (["--fine-tune", 1, "--optimizer", "sgd", "--beta_1", 0.5], "--beta-1: is for --optimizer adam, not for sgd"),
        (["--fine-tune", 1, "--gamma", 0.5], "--gamma: is for --optimizer rmsprop, not for adam"),
        (
            ["--fine-tune", 1, "--early_stopping_patience", 3],
            "--early-stopping-patience: does nothing without --early-stopping",
        ),
        (
            ["--fine-tune", 1, "--lr_scheduler_factor", 0.5],
            "--lr-scheduler-factor: is for --schedule step, not for cosine",
        ),
        (["--fine-tune", 1, "--schedule", "step"], "--schedule step: wants --lr-scheduler-step"),
        (["--fine-tune", 1, "--lr_scheduler_step", "20,10"], "--lr-scheduler-step: wants epochs in ascending order"),
        (["--single-label", "--weighted-loss"], "--weighted-loss: is for several labels a photo"),
        (["--multi-label", "--class-weights"], "--class-weights: is for one label a photo"),
        (["--images", "x"], "--images x: is for a list of photos;"),
        (["--test", "DATA"], "is also what is trained on; it would judge nothing"),
        (["--validation", "v", "--test", "v"], "--test v: is also what validates; it would judge nothing"),
        (["--backbone", "resnet50", "--alpha", 0.5], "--alpha 0.5: only a mobilenet has a width"),
    ],
    ids=str,
)
def test_what_makes_no_sense_together_is_one_sentence(asked, tmp_path, words, sentence):
    words = [str(tmp_path) if word == "DATA" else word for word in words]
    with pytest.raises(DataError) as error:
        asked(tmp_path, *words)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("knob", "scores"), [("weighted_loss", "softmax"), ("class_weights", "sigmoid")])
def test_a_loss_for_other_data_is_refused_once_the_data_is_known(knob, scores):
    run = Run(data=Path(), name="x", out=Path(), cache=Path(), cache_bytes=0, **{knob: True})
    with pytest.raises(DataError, match=f"--{knob.replace('_', '-')}: is for photos with"):
        checks.checked(run, scores)
    other = "sigmoid" if scores == "softmax" else "softmax"
    assert checks.checked(run, other) is run


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
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    (bundle,) = find(tmp_path)
    kept = {path.read_bytes() for path in (bundle / "golden").glob("*.[pj]*g")}
    assert len(kept) == 3
    assert not kept & {path.read_bytes() for path in small.rglob("*.jpg")}
    assert "note: 8 validation pictures are also training pictures" in done.stderr


def test_a_bundle_that_is_not_good_enough_is_not_written_and_the_status_is_three(imago, small, tmp_path):
    flags = [
        "--weights",
        "none",
        "--epochs",
        1,
        "--alpha",
        0.25,
        "--size",
        32,
        "--assert-accuracy-at-least",
        1,
        "--name",
        "x",
    ]
    done = imago(
        *("train", "classifier", small, "--val_dir", small, *flags, "--out", tmp_path / "out"),
        *("--cache", tmp_path / "c", "--json"),
        timeout=600,
    )
    assert done.returncode == 3, done.stderr
    assert done.stderr.splitlines()[-1].startswith("imago: accuracy 0.")
    found = json.loads(done.stdout)
    assert found["bundle"] is None
    assert found["refused"] in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.report"]


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
    done = imago("train", "imagenet", *flags, timeout=600)
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
    done = imago("train", "imagenet", *flags, timeout=600)
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
