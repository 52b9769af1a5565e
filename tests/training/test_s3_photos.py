"""Pictures from S3: fetched once, checked, gone on with after a break; what cannot be had is listed."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from bundle import storage
from bundle.errors import BundleError, DataError
from training.data import photos as sets
from training.data import s3 as pictures
from training.data.photos import Reading
from training.progress import Progress


@pytest.fixture
def bucket(s3, tmp_path, monkeypatch):
    """What fills a folder of the bucket photos for this test alone, and where it is."""
    storage.client.cache_clear()
    name = f"data-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"

    def run(files):
        for path, content in files.items():
            s3.put_object(Bucket="photos", Key=f"{name}/{path}", Body=content)
        return f"s3://photos/{name}"

    yield run
    storage.client.cache_clear()


@pytest.fixture
def asked(monkeypatch):
    """The kinds of requests, as they are sent."""
    sent = []
    client = pictures._s3

    def counted():
        found = client()
        found.meta.events.register("before-send.s3", lambda request, **_: sent.append(request.method), "count")
        return found

    monkeypatch.setattr(pictures, "_s3", counted)
    return sent


CLASSES = {
    f"train/{label}/{number}.jpg": f"{label} {number}".encode() for label in ("cat", "dog") for number in range(9)
}


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_folder_is_fetched_as_it_is_and_only_once(bucket, asked, tmp_path):
    uri = bucket({**CLASSES, "train/": b"", "other/cat/x.jpg": b"x"})
    progress = Progress()
    folder = pictures.local(f"{uri}/train", tmp_path, progress)
    assert content(folder) == {name.removeprefix("train/"): data for name, data in CLASSES.items()}
    assert folder.name == "train"
    assert (asked.count("GET"), progress.notes) == (1 + len(CLASSES), [])
    asked.clear()
    assert pictures.local(f"{uri}/train/", tmp_path, Progress()) == folder
    assert asked == ["GET"]  # the list of objects


def test_what_is_no_uri_is_a_path(tmp_path):
    assert pictures.local("photos/train", tmp_path, Progress()) == Path("photos/train")


def test_changed_object_alone_is_fetched_again(bucket, asked, tmp_path):
    uri = bucket(CLASSES)
    pictures.local(uri, tmp_path, Progress())
    bucket({"train/cat/0.jpg": b"another cat", "train/cat/new.jpg": b"a new one"})
    asked.clear()
    folder = pictures.local(uri, tmp_path, Progress())
    assert (folder / "train/cat/0.jpg").read_bytes() == b"another cat"
    assert len(asked) == 3


def test_object_that_is_gone_is_gone_from_the_folder_too(s3, bucket, tmp_path):
    uri = bucket(CLASSES)
    pictures.local(uri, tmp_path, Progress())
    key = f"{storage.place(uri).key}/train/cat/0.jpg"
    s3.delete_object(Bucket="photos", Key=key)
    assert "train/cat/0.jpg" not in content(pictures.local(uri, tmp_path, Progress()))


def test_fetched_folder_is_data(bucket, tmp_path):
    folder = pictures.local(f"{bucket(CLASSES)}/train", tmp_path, Progress())
    found = sets.load(folder)
    assert (found.labels, len(found.everything)) == (("cat", "dog"), 18)


def test_data_may_be_named_by_its_uri(bucket, tmp_path):
    uri, how = bucket(CLASSES), Reading(cache=tmp_path)
    by_string = sets.load(pictures.local(f"{uri}/train", tmp_path, Progress()))
    assert sets.digest(sets.load(Path(f"{uri}/train"), how=how)) == sets.digest(by_string)
    listed = tmp_path / "a.lst"
    listed.write_text("0\t0\tcat/0.jpg\n1\t1\tdog/0.jpg\n2\t0\tcat/1.jpg\n")
    there = sets.load(listed, how=Reading(cache=tmp_path, images=Path(f"{uri}/train")))
    assert {photo.read() for photo in there.everything} == {b"cat 0", b"dog 0", b"cat 1"}


def test_list_brings_the_pictures_that_it_names(bucket, asked, tmp_path):
    text = "filename,labels\n" + "".join(f"{name},{name.split('/')[1]}\n" for name in list(CLASSES)[::2])
    uri = bucket({**CLASSES, "few.csv": text.encode(), "labels.txt": b"dog\ncat\n"})
    found = sets.load(pictures.local(f"{uri}/few.csv", tmp_path, Progress()))
    assert (found.labels, len(found.everything)) == (("dog", "cat"), 9)
    assert asked.count("GET") == 1 + 9 + 2


def test_rec_brings_its_idx(bucket, tmp_path):
    path = pictures.local(f"{bucket({'a.rec': b'rec', 'a.idx': b'idx', 'b.rec': b'no'})}/a.rec", tmp_path, Progress())
    assert content(path.parent) == {"a.rec": b"rec", "a.idx": b"idx"}


def test_manifest_names_objects_and_what_cannot_be_had_is_listed(bucket, tmp_path):
    uri = bucket(CLASSES)
    refs = [*(f"{uri}/{name}" for name in CLASSES), f"{uri}/gone.jpg"]
    rows = [{"source-ref": ref, "class": ref.split("/")[-2]} for ref in refs[:-1]]
    path = tmp_path / "a.manifest"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"source-ref": refs[-1], "class": "cat"}]))
    found = sets.load(path, how=Reading(cache=tmp_path / "cache", progress=Progress()))
    assert {photo.read() for photo in found.everything} == set(CLASSES.values())
    assert found.skipped == ((refs[-1], f"{path}: line 19: the storage says 404"),)
    assert {photo.path.name for photo in found.everything} == {f"{number}.jpg" for number in range(9)}


def test_name_that_leads_elsewhere_is_left_out_with_a_note(bucket, tmp_path):
    progress = Progress()
    folder = pictures.local(bucket({"cat/a.jpg": b"a", "a\\b.jpg": b"b", "cat//c.jpg": b"c"}), tmp_path, progress)
    assert content(folder) == {"cat/a.jpg": b"a"}
    assert [note.partition(" is left out: ")[2] for note in progress.notes] == ["no plain name for a file"] * 2


def test_object_that_is_another_than_its_etag_says_is_never_kept(bucket, tmp_path, monkeypatch):
    uri, progress = bucket({"cat/a.jpg": b"good", "cat/b.jpg": b"bad"}), Progress()
    listed = pictures._listed

    def stale(*args):
        return [
            pictures.Object(item.place, "0" * 32 if item.size == 3 else item.etag, item.size) for item in listed(*args)
        ]

    monkeypatch.setattr(pictures, "_listed", stale)
    folder = pictures.local(uri, tmp_path, progress)
    assert content(folder) == {"cat/a.jpg": b"good"}
    assert progress.notes == [f"{uri}/cat/b.jpg is left out: it came damaged or changed 3 times"]
    assert not list(tmp_path.rglob(".tmp-*"))


@pytest.mark.parametrize(
    ("path", "kind", "sentence"),
    [
        ("s3://photos/nothing-here", DataError, "no objects there; check the name"),
        ("s3://photos/nothing-here/a.csv", DataError, "no such object"),
        ("s3://nobody-here/x", BundleError, "the storage says NoSuchBucket"),
        ("s3://P!/x", BundleError, "wanted s3://BUCKET/FOLDER"),
    ],
)
def test_place_that_is_not_there_is_one_sentence(bucket, tmp_path, path, kind, sentence):
    bucket({})
    with pytest.raises(kind, match=sentence):
        pictures.local(path, tmp_path, Progress())


def test_cache_that_cannot_be_written_is_one_sentence(bucket, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written .*name another with --cache"):
        pictures.local(bucket(CLASSES), tmp_path / "file", Progress())


FILL = """
import resource, sys
from pathlib import Path
from bundle.errors import ImagoError
from training.data import s3
from training.progress import Progress
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    print(s3.local(sys.argv[1], Path(sys.argv[2]), Progress()))
except ImagoError as error:
    print(error)
"""


def test_full_disk_is_one_sentence_and_what_came_is_not_fetched_again(bucket, tmp_path, asked):
    files = {f"cat/{number}.jpg": b"%d" % number * (2000 if number == 7 else 20) for number in range(8)}
    uri = bucket(files)
    command = [sys.executable, "-c", FILL, uri, str(tmp_path), "1000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=Path(__file__).parents[2])
    assert (
        done.stdout.strip() == f"{tmp_path}/s3/objects: the disk is full; free it and run again, what was fetched stays"
    )
    there = [path for path in (tmp_path / "s3" / "objects").rglob("*") if path.is_file()]
    assert all(path.read_bytes() in files.values() for path in there)
    assert content(pictures.local(uri, tmp_path, Progress())) == files
    assert len(asked) == 1 + 8 - len(there)


def test_client_is_one_for_all_objects(bucket, tmp_path, monkeypatch):
    made = []
    session = boto3.session.Session.client
    monkeypatch.setattr(
        boto3.session.Session, "client", lambda self, *args, **more: made.append(args) or session(self, *args, **more)
    )
    pictures.local(bucket(CLASSES), tmp_path, Progress())
    assert made == [("s3",)]
