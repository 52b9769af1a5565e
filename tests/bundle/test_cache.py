"""The folder of pulled bundles holds the last few of each name, and nothing goes from it that is not a server's."""

import os
import time
from dataclasses import replace

import pytest

from bundle import cache, model, pull, store
from bundle.write import write

OLD_S = cache.FLOOR_S + 60


def aged(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def pulled(tmp_path):
    """(name, seconds since it was used): a bundle as `pull` leaves it."""

    def make(name, seconds):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
        cache.use(tmp_path, name)
        aged(tmp_path / ".pulled" / name, seconds)

    return make


def names(root):
    """Of the folders, and of the marks where they are others."""
    folders = {path.name for path in root.iterdir() if path.name != ".pulled"}
    return folders | {path.name for path in (root / ".pulled").glob("*")}


def test_five_of_a_name_stay_that_were_used_last(tmp_path, pulled):
    for at in range(8):
        pulled(f"shop-0000000{at}", OLD_S + 10 * at)
    cache.prune(tmp_path)
    assert names(tmp_path) == {f"shop-0000000{at}" for at in range(5)}


def test_names_are_counted_apart(tmp_path, pulled):
    everything = {f"{name}-0000000{at}" for name in ("shop", "shop-2", "other") for at in range(5)}
    for name in everything:
        pulled(name, OLD_S)
    cache.prune(tmp_path)
    assert names(tmp_path) == everything


def test_what_was_used_within_the_hour_stays(tmp_path, pulled):
    for at in range(8):
        pulled(f"shop-0000000{at}", cache.FLOOR_S - 60)
    cache.prune(tmp_path)
    assert len(names(tmp_path)) == 8


def test_folders_that_no_server_pulled_stay(tmp_path, pulled):
    for at in range(8):
        (tmp_path / f"shop-1000000{at}").mkdir()
        aged(tmp_path / f"shop-1000000{at}", 10 * OLD_S)
    pulled("shop-00000000", 2 * OLD_S)
    cache.prune(tmp_path)
    assert len(names(tmp_path)) == 9


def test_marks_of_pulls_that_failed_take_no_place(tmp_path, pulled):
    for at in range(5):
        pulled(f"shop-0000000{at}", OLD_S + 10 * at)
        cache.use(tmp_path, f"shop-1000000{at}")
        aged(tmp_path / ".pulled" / f"shop-1000000{at}", OLD_S)
    cache.prune(tmp_path)
    assert names(tmp_path) == {f"shop-0000000{at}" for at in range(5)}


@pytest.mark.parametrize(("seconds", "left"), [(cache.ABANDONED_S + 60, []), (60, [".tmp-x"])])
def test_pull_that_was_broken_off_goes_after_a_day(tmp_path, seconds, left):
    (tmp_path / ".tmp-x").mkdir()
    aged(tmp_path / ".tmp-x", seconds)
    cache.prune(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == left


def test_cache_that_is_not_there_is_empty(tmp_path):
    cache.prune(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


# ---- with S3 -------------------------------------------------------------------------------


@pytest.fixture
def versions(s3, parts, tmp_path):
    """The URIs of seven versions."""
    made = [write(tmp_path / "made", replace(parts, metrics={"accuracy": at / 10})) for at in range(7)]
    return [str(pull.push(one, f"s3://models/{tmp_path.name}")) for one in made]


def test_finding_keeps_the_last_five(versions, tmp_path):
    for at, uri in enumerate(versions):
        found = pull.find(uri, tmp_path / "cache")
        aged(tmp_path / "cache" / ".pulled" / found.path.name, OLD_S + 100 - at)
    pull.find(versions[0], tmp_path / "cache")
    assert names(tmp_path / "cache") == {uri.rpartition("/")[2] for uri in [versions[0], *versions[3:]]}


def test_bundle_that_is_verified_does_not_go_meanwhile(versions, tmp_path, monkeypatch):
    root, verify = tmp_path / "cache", store.verify
    for at, uri in enumerate(versions):
        aged(root / ".pulled" / pull.find(uri, root).path.name, OLD_S + 100 - at)

    def verified(directory):
        cache.prune(root)  # another server's
        return verify(directory)

    monkeypatch.setattr("bundle.store.verify", verified)
    before = (root / versions[2].rpartition("/")[2]).stat().st_ino
    assert pull.find(versions[2], root).path.stat().st_ino == before


def test_loaded_bundle_answers_when_its_folder_has_gone_and_is_pulled_again(versions, tmp_path, jpeg):
    root = tmp_path / "cache"
    found = pull.find(versions[0], root)
    opened = model.open(found.path, "onnx")
    aged(root / ".pulled" / found.path.name, 2 * OLD_S)
    for uri in versions[1:6]:
        pull.find(uri, root)
    assert not found.path.exists()
    assert opened.run(opened.prepare(jpeg)[None]).shape == (1, 3)
    assert pull.find(versions[0], root).path.is_dir()


def test_pulling_by_hand_removes_nothing(versions, tmp_path):
    for uri in versions:
        pull.pull(uri, tmp_path / "mine")
    assert len(list((tmp_path / "mine").iterdir())) == 7
