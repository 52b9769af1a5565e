"""Writing a bundle: all of it or nothing, and the same content in the same place."""

from dataclasses import replace

import pytest

from bundle import store
from bundle.errors import BadPicture, BundleError
from bundle.write import write


def refusal(root, parts):
    with pytest.raises(BundleError) as caught:
        write(root, parts)
    return str(caught.value)


def test_directory_is_the_name_and_the_first_digits_of_the_id(parts, tmp_path):
    written = write(tmp_path, parts)
    assert written == tmp_path / f"tiny-{store.verify(written).id[:8]}"


def test_bundle_holds_what_the_manifest_says(parts, tmp_path):
    files = {path.relative_to(tmp_path).as_posix() for path in (write(tmp_path, parts)).rglob("*") if path.is_file()}
    assert {name.partition("/")[2] for name in files} == {
        *("manifest.json", "model.onnx", "labels.txt", "golden/0.png", "golden/expected.json")
    }


def test_same_parts_give_the_same_directory(parts, tmp_path):
    assert write(tmp_path, parts) == write(tmp_path, parts)


def test_same_parts_give_the_same_bytes_elsewhere(parts, tmp_path):
    first, second = (write(tmp_path / name, parts) for name in "ab")
    files = [sorted(path for path in bundle.rglob("*") if path.is_file()) for bundle in (first, second)]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


@pytest.mark.parametrize(
    "change",
    [{"metrics": {"accuracy": 0.8}}, {"labels": ("r", "g", "b")}, {"name": "other"}, {"tolerance": 1e-3}],
    ids=str,
)
def test_other_parts_give_another_id(parts, tmp_path, change):
    first, second = write(tmp_path, parts), write(tmp_path, replace(parts, **change))
    assert store.verify(first).id != store.verify(second).id


def test_whole_numbers_among_the_parts_are_good_too(parts, tmp_path):
    whole = replace(parts, metrics={"accuracy": 1}, tolerance=1)
    assert store.verify(write(tmp_path, whole)).metrics == {"accuracy": 1.0}


def test_directory_may_be_read_by_everybody(parts, tmp_path):
    assert write(tmp_path, parts).stat().st_mode & 0o777 == 0o755


def test_folder_of_bundles_is_made(parts, tmp_path):
    assert write(tmp_path / "deep" / "er", parts).is_dir()


def test_nothing_temporary_stays(parts, tmp_path):
    written = write(tmp_path, parts)
    assert list(tmp_path.iterdir()) == [written]


def test_golden_picture_that_cannot_be_decoded_leaves_nothing(parts, tmp_path, jpeg):
    with pytest.raises(BadPicture):
        write(tmp_path, replace(parts, pictures={"0.jpg": jpeg[:200]}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ("red", "green")},
        {"labels": ("red", "green", "red")},
        {"pictures": {}},
        {"models": {"model.onnx": b"no model"}},
        {"thresholds": (0.5,)},
        {"source": "keras"},
        {"tolerance": 0.0},
        {"labels": ("red", "green\nblue", "grey")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_parts_that_do_not_fit_leave_nothing(parts, tmp_path, change):
    assert "\n" not in refusal(tmp_path / "root", replace(parts, **change))
    assert [path for path in tmp_path.rglob("*") if path.name != "root"] == []


def test_metric_that_is_not_a_number_leaves_nothing(parts, tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(tmp_path, replace(parts, metrics={"accuracy": float("nan")}))
    assert list(tmp_path.iterdir()) == []


def test_wrong_number_of_labels_is_refused_with_both_numbers(parts, tmp_path):
    assert refusal(tmp_path, replace(parts, labels=("red", "green"))) == (
        "model.onnx: scores is ('tensor(float)', [3]), ('tensor(float)', [2]) wanted; train or import it again"
    )


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "a b", "ä", "-x", "a" * 65, "tiny\n", "a\0b"], ids=repr
)
def test_bad_name_is_refused_with_what_is_wanted(parts, tmp_path, name):
    assert refusal(tmp_path, replace(parts, name=name)) == (
        f"name {name!r}: letters, digits, '.', '_' and '-' wanted, 64 at most; choose one with --name"
    )


def test_changed_bundle_in_the_way_is_refused(parts, tmp_path):
    written = write(tmp_path, parts)
    (written / "labels.txt").write_text("red\ngreen\ngrue\n")
    assert refusal(tmp_path, parts).startswith(f"{written}/labels.txt: ")
    assert list(tmp_path.iterdir()) == [written]


def test_several_labels_a_picture_keep_their_thresholds(multi):
    assert store.verify(multi).thresholds == (0.5, 0.5, 0.5)
