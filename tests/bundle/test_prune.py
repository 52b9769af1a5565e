"""Old bundles go from a folder, in S3 and on a disk; those in use, and what is no whole bundle, stay."""

import os
import shutil
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner

from bundle import prune, pull, storage
from bundle.cli import bundle
from bundle.errors import BundleError
from bundle.write import write

DAY_S = 86_400


@pytest.fixture(scope="module")
def three(parts, tmp_path_factory):
    """Three bundles of one name."""
    folder = tmp_path_factory.mktemp("three")
    return [write(folder, replace(parts, metrics={"accuracy": score})) for score in (0.7, 0.8, 0.9)]


@pytest.fixture
def disk(three, multi, tmp_path):
    """Three of one name, written 3, 2 and 1 days ago, and one of another, older still."""
    for days, source in zip((3, 2, 1, 9), [*three, multi], strict=True):
        copy = shutil.copytree(source, tmp_path / source.name)
        then = time.time() - days * DAY_S
        os.utime(copy / "manifest.json", (then, then))
    return tmp_path


@pytest.fixture
def folder(s3, three, tmp_path, monkeypatch):
    """The three in S3, which has no way to say that an object is old: their times are those of `three`."""
    uri = f"s3://models/{tmp_path.name}"
    ages = {str(pull.push(path, uri) / "manifest.json"): days for path, days in zip(three, (3, 2, 1), strict=True)}
    monkeypatch.setattr(prune, "modified", lambda _, source: time.time() - ages[str(source)] * DAY_S)
    return uri


def going(root, **knobs):
    return [row.where.name for row in prune.plan(str(root), **{"keep": 1} | knobs) if not row.stays]


def keys(s3, uri):
    found = s3.list_objects_v2(Bucket="models", Prefix=storage.place(uri).key + "/")
    return {item["Key"] for item in found.get("Contents", ())}


def test_all_but_the_newest_of_each_name_may_go(disk, folder, three):
    assert going(disk) == going(folder) == [three[1].name, three[0].name]


def test_what_is_not_old_enough_stays(disk, folder, three):
    assert going(disk, older_than_days=2.5) == going(folder, older_than_days=2.5) == [three[0].name]


def test_what_a_name_that_moves_points_to_stays(disk, folder, three):
    (disk / "current").symlink_to(three[0].name)
    pull.point(storage.place(folder) / three[0].name)
    assert going(disk) == going(folder) == [three[1].name]


@pytest.mark.parametrize("used", ["{name}", "{digits}", "{root}/{name}"])
def test_what_is_in_use_stays(disk, folder, three, used):
    name = three[0].name
    for root in (str(disk), folder):
        given = used.format(name=name, digits=name[-8:], root=root)
        gone = f"s3://elsewhere/tiny-12345678,{root}/tiny-12345678,{root}/tiny.latest"  # as old ConfigMaps name them
        assert going(root, used=(given, gone)) == [three[1].name]


@pytest.mark.parametrize(
    ("used", "words"), [("tiny", "wanted an id"), ("tiny-1234567", "wanted an id"), ("12345678", "nothing was removed")]
)
def test_a_slip_of_the_pen_is_refused(disk, used, words):
    with pytest.raises(BundleError, match=words):
        prune.plan(str(disk), keep=1, used=(used,))


def test_a_name_that_leads_to_nowhere_stops_everything(s3, folder):
    s3.put_object(Bucket="models", Key=f"{storage.place(folder).key}/tiny.latest", Body=b"nonsense")
    with pytest.raises(BundleError, match=r"tiny.latest: holds 'nonsense'"):
        prune.plan(folder, keep=1)


def test_the_manifest_goes_first(s3, folder, three):
    asked = []
    s3_client = storage.client()
    s3_client.meta.events.register(
        "before-call.s3.DeleteObject", lambda params, **_: asked.append(params["url_path"]), unique_id="asked"
    )
    prune.remove(prune.plan(folder, keep=1)[1])
    s3_client.meta.events.unregister("before-call.s3.DeleteObject", unique_id="asked")
    assert [path.endswith("manifest.json") for path in asked] == [True] + [False] * (len(asked) - 1)
    assert not any(three[1].name in key for key in keys(s3, folder))


def test_half_a_bundle_and_what_is_none_stay(s3, disk, folder, three):
    (disk / three[0].name / "manifest.json").unlink()
    key = f"{storage.place(folder).key}/{three[0].name}/manifest.json"
    s3.delete_object(Bucket="models", Key=key)
    s3.put_object(Bucket="models", Key=f"{storage.place(folder).key}/backup-20261121/all.zip", Body=b"mine")
    assert going(disk) == going(folder) == [three[1].name]


def test_a_stranger_s_file_stays(disk, three):
    note = disk / three[1].name / "golden" / "note.txt"
    note.write_text("mine")
    prune.remove(prune.plan(str(disk), keep=1)[2])
    assert [path for path in (disk / three[1].name).rglob("*") if path.is_file()] == [note]


def test_command_shows_first_and_then_does_it(disk, three, multi):
    words = ["prune", str(disk), "--keep", "2"]
    shown = CliRunner().invoke(bundle, [*words, "--dry-run"])
    assert [(line.split()[0], line.rpartition("MB  ")[2]) for line in shown.stdout.splitlines()] == [
        (multi.name, "stays: of the newest 2"),
        (three[2].name, "stays: of the newest 2"),
        (three[1].name, "stays: of the newest 2"),
        (three[0].name, "goes"),
    ]
    done = CliRunner().invoke(bundle, words)
    assert (done.stdout, done.stderr) == (f"removed {disk / three[0].name}\n", "1 of 4 removed, 0.0 MB\n")
    assert {path.name for path in disk.iterdir()} == {three[1].name, three[2].name, multi.name}


def test_command_prunes_a_folder_of_s3(s3, imago, three, tmp_path):
    uri = f"s3://models/{tmp_path.name}"
    for path in three:
        pull.push(path, uri)
        time.sleep(1)  # S3 tells seconds
    done = imago("bundle", "prune", uri, "--keep", "1")
    assert done.stdout.splitlines() == [f"removed {uri}/{path.name}" for path in (three[1], three[0])]
    assert {key.split("/")[1] for key in keys(s3, uri)} == {three[2].name}


def test_manifest_that_was_changed_is_left_and_told(disk, three):
    (disk / three[0].name / "manifest.json").write_text("{}")
    done = CliRunner().invoke(bundle, ["prune", str(disk), "--keep", "1"])
    assert f"left: {disk}/{three[0].name}/manifest.json: " in done.stderr
    assert (disk / three[0].name).is_dir()
