"""What people say to answers: checked, kept as lists that training reads, and never in the way of answers."""

import base64
import hashlib
import json
import re
import resource
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from bundle import store
from bundle.write import write
from server import notebook
from server.cli import serve
from server.notebook import Bucket, Folder, Note
from training.data.cli import data

ROOT = Path(__file__).parents[2]
EVIL = '<script>alert("1")</script>\u2028\n]]>'


def said(directory, shown, /, **more):
    """A good body."""
    about = {
        "request_id": "r-1",
        "sha256": hashlib.sha256(shown).hexdigest(),
        "model": "tiny",
        "id": store.read_manifest(directory).id,
        "answer": "red",
        "label": "green",
        "right": False,
    }
    return {**about, **more}


def b64(data):
    return base64.b64encode(data).decode()


def lines(folder):
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "said"


@pytest.fixture
def open_to(serving, tiny, multi, folder, stack):
    """(**knobs) -> a client of a server that keeps feedback in `folder`."""
    folder.mkdir()
    return lambda **knobs: stack.enter_context(serving(tiny, multi, feedback=str(folder), **knobs)).test_client()


@pytest.fixture
def client(open_to):
    return open_to()


@pytest.fixture
def collecting(open_to):
    """One that keeps pictures too."""
    return open_to(feedback_pictures=True)


# ---- off and on ----------------------------------------------------------------------------


def test_by_default_feedback_is_a_404_with_a_sentence(app, tiny, jpeg):
    answer = app.test_client().post("/feedback", json=said(tiny, jpeg))
    assert (answer.status_code, answer.json["code"]) == (404, "not-found")
    assert answer.json["detail"] == "this server takes no feedback; its operator can switch it on with --feedback"


@pytest.mark.parametrize(("knobs", "offered"), [({}, "labels"), ({"feedback_pictures": True}, "pictures")])
def test_templates_know_what_may_be_said(open_to, knobs, offered):
    app = open_to(**knobs).application
    with app.test_request_context():
        assert app.jinja_env.from_string("{{ feedback }}").render(**processed(app)) == offered


def processed(app):
    found = {}
    app.update_template_context(found)
    return found


def test_templates_know_that_nothing_may_be_said(app):
    with app.test_request_context():
        assert processed(app)["feedback"] == ""


# ---- what is kept --------------------------------------------------------------------------


def test_line_is_a_manifest_s_with_one_label_attribute(client, folder, tiny, jpeg):
    answer = client.post("/feedback", json=said(tiny, jpeg))
    assert (answer.status_code, answer.json["taken"]) == (200, True)
    (row,) = lines(folder)
    about = row.pop("label-metadata")
    digest = hashlib.sha256(jpeg).hexdigest()
    assert row == {"source-ref": digest, "label": "green"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", about.pop("creation-date"))
    assert about == {
        "human-annotated": "yes",
        "job-name": "imago-feedback",
        "sha256": digest,
        "model": "tiny",
        "request_id": "r-1",
        "id": store.read_manifest(tiny).id,
        "answer": "red",
        "right": False,
    }


def test_list_is_one_a_model_and_day(client, folder, tiny, multi, jpeg):
    before = datetime.now(UTC)
    client.post("/feedback", json=said(tiny, jpeg))
    client.post("/feedback", json=said(multi, jpeg, model="multi", answer=["red"], label=["red", "blue"]))
    days = {f"{now:%Y-%m-%d}" for now in (before, datetime.now(UTC))}  # two at midnight
    assert {path.name.split(".")[1] for path in folder.iterdir()} <= days
    assert sorted(path.name.split(".")[::2] for path in folder.iterdir()) == [["multi", "jsonl"], ["tiny", "jsonl"]]


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "gif", "bmp"])
def test_picture_is_kept_once_under_its_digest_beside_the_list(collecting, folder, tiny, request, form):
    picture = request.getfixturevalue(form)
    for _ in range(2):
        assert collecting.post("/feedback", json=said(tiny, picture, picture=b64(picture))).status_code == 200
    name = f"{hashlib.sha256(picture).hexdigest()}.{form.replace('jpeg', 'jpg')}"
    assert [row["source-ref"] for row in lines(folder)] == [name, name]
    assert (folder / name).read_bytes() == picture
    assert len(list(folder.iterdir())) == 2


def test_none_of_these_is_a_null_label(client, folder, tiny, jpeg):
    assert client.post("/feedback", json=said(tiny, jpeg, label=None)).status_code == 200
    assert [row["label"] for row in lines(folder)] == [None]


def test_html_in_a_label_stays_text_in_one_line(serving, parts, tmp_path, folder, jpeg):
    folder.mkdir()
    evil = '<script>alert("1")</script>'
    bundle = write(tmp_path, replace(parts, name="evil", labels=(evil, "</ul>", "b")))
    with serving(bundle, feedback=str(folder)) as app:
        body = said(bundle, jpeg, model="evil", answer=evil, label=evil, right=True)
        answer = app.test_client().post("/feedback", json=body)
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert [row["label"] for row in lines(folder)] == [evil]


def test_lists_of_many_at_once_have_whole_lines_only(client, folder, tiny, jpeg):
    app, bodies = client.application, [said(tiny, jpeg, request_id=f"r-{n}") for n in range(60)]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda body: app.test_client().post("/feedback", json=body).status_code, bodies)
        assert set(found) == {200}
    assert {row["label-metadata"]["request_id"] for row in lines(folder)} == {f"r-{n}" for n in range(60)}


# ---- what is refused -----------------------------------------------------------------------

BAD = {
    "no object": (lambda good: [good], "the body"),
    "unknown key": (lambda good: {**good, "path": "../x"}, "path: Extra inputs are not permitted"),
    "missing key": (lambda good: {k: v for k, v in good.items() if k != "label"}, "label: Field required"),
    "sha256 in capitals": (lambda good: {**good, "sha256": good["sha256"].upper()}, "sha256: "),
    "sha256 as a path": (lambda good: {**good, "sha256": "../" * 20 + "etc0"}, "sha256: "),
    "sha256 with a line": (lambda good: {**good, "sha256": good["sha256"] + "\n"}, "sha256: "),
    "id": (lambda good: {**good, "id": "latest"}, "id: "),
    "request id": (lambda good: {**good, "request_id": "a\nb"}, "request_id: "),
    "long request id": (lambda good: {**good, "request_id": "a" * 65}, "request_id: "),
    "stranger's label": (lambda good: {**good, "label": EVIL}, "label: '<script>alert"),
    "stranger's answer": (lambda good: {**good, "answer": "cat"}, "answer: 'cat' is none of the labels of tiny"),
    "number": (lambda good: {**good, "label": 1}, "label: "),
    "list for one": (lambda good: {**good, "label": ["red"]}, "label: the model tiny wants one label"),
    "right that is wrong": (lambda good: {**good, "right": True}, "right does not fit"),
    "wrong that is right": (lambda good: {**good, "label": "red"}, "right does not fit"),
    "right as text": (lambda good: {**good, "right": "false"}, "right: "),
    "one for a list": (lambda good: {**good, "model": "multi"}, "answer: the model multi wants a list of labels"),
    "picture": (lambda good: {**good, "picture": "aGk="}, "picture: none are kept here"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_meant_is_a_sentence_and_leaves_nothing(client, folder, tiny, jpeg, name):
    change, words = BAD[name]
    answer = client.post("/feedback", json=change(said(tiny, jpeg)))
    assert (answer.status_code, answer.json["code"]) == (400, "bad-request")
    assert answer.json["detail"].startswith(words)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("model", ["cats", "../tiny", "", "boxes"])
def test_unknown_model_is_a_404(client, tiny, jpeg, model):
    answer = client.post("/feedback", json=said(tiny, jpeg, model=model))
    assert (answer.status_code, answer.json["code"]) == (404, "unknown-model")


def test_model_that_makes_xml_is_a_404_that_says_so(serving, boxes, folder, tiny, jpeg):
    folder.mkdir()
    with serving(boxes, feedback=str(folder)) as app:
        answer = app.test_client().post("/feedback", json=said(tiny, jpeg, model="boxes"))
    assert (answer.status_code, answer.json["code"]) == (404, "unknown-model")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_foreign_form_could_send_is_a_415(client, tiny, jpeg, kind):
    answer = client.post("/feedback", data=json.dumps(said(tiny, jpeg)), content_type=kind)
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported-content-type")


def test_huge_body_is_a_413_where_no_picture_is_kept(client, tiny, jpeg):
    answer = client.post("/feedback", json=said(tiny, jpeg, answer="x" * 70_000))
    assert (answer.status_code, answer.json["code"]) == (413, "too-large")


PICTURES = {
    "other digest": ("jpeg", b"", 400, "bad-request"),
    "no picture": ("text", None, 415, "not-a-picture"),
    "html": ("html", None, 415, "not-a-picture"),
    "cut": ("cut", None, 422, "bad-picture"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture_that_is_not_the_one_leaves_nothing(collecting, folder, tiny, jpeg, png, name):
    which, other, status, code = PICTURES[name]
    picture = {"jpeg": jpeg, "text": b"hello", "html": b"<html><script>", "cut": png[:20]}[which]
    body = said(tiny, picture if other is None else other, picture=b64(picture))
    answer = collecting.post("/feedback", json=body)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert list(folder.iterdir()) == []


def test_foreign_page_may_not_say_anything(client, folder, tiny, jpeg):
    answer = client.post("/feedback", json=said(tiny, jpeg), headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.json["code"], lines(folder)) == (403, "cross-origin", [])


def test_key_is_wanted_as_for_pictures(open_to, folder, tiny, jpeg, tmp_path):
    (tmp_path / "keys").write_text("0123456789abcdef\n")
    client = open_to(api_keys=tmp_path / "keys")
    headers = [{}, {"X-API-Key": "0123456789abcdef"}]
    statuses = [client.post("/feedback", json=said(tiny, jpeg), headers=one).status_code for one in headers]
    assert (statuses, len(lines(folder))) == ([401, 200], 1)


# ---- a disk that gives no room -------------------------------------------------------------


def test_folder_that_is_gone_is_a_503_and_counted_and_the_server_lives(client, folder, tiny, jpeg):
    folder.rmdir()
    answer = client.post("/feedback", json=said(tiny, jpeg))
    assert (answer.status_code, answer.json["code"], answer.headers["Retry-After"]) == (503, "not-kept", "1")
    assert answer.json["detail"].startswith("what you said cannot be kept now (No such file or directory)")
    assert client.post("/classify", data=jpeg, content_type="image/jpeg").status_code == 200
    assert 'imago_feedback_total{outcome="dropped"} 1.0' in client.get("/metrics").text


@pytest.fixture
def small_disk():
    """(bytes) -> files of this process can get no larger, which fails as a full disk does."""
    import signal

    before, told = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, told)


def test_line_that_does_not_fit_is_cut_off_again(client, folder, tiny, jpeg, small_disk):
    client.post("/feedback", json=said(tiny, jpeg))
    (path,) = folder.iterdir()
    before = path.read_bytes()
    small_disk(len(before) + 100)
    statuses = [client.post("/feedback", json=said(tiny, jpeg)).status_code for _ in range(2)]
    small_disk(1 << 20)
    assert (statuses, path.read_bytes()) == ([503, 503], before)
    assert client.post("/feedback", json=said(tiny, jpeg)).status_code == 200
    assert len(lines(folder)) == 2


def test_picture_that_does_not_fit_leaves_no_half_of_it(collecting, folder, tiny, png, small_disk):
    small_disk(1000)
    answer = collecting.post("/feedback", json=said(tiny, png, picture=b64(png)))
    small_disk(1 << 20)
    assert (answer.status_code, list(folder.iterdir())) == (503, [])


def test_full_disk_of_a_real_server_is_a_503_and_pictures_are_answered(start, tiny, folder, jpeg):
    """/dev/full is no folder, so a small file system stands for it where there is one to mount."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    try:
        with start(tiny, feedback=str(folder), feedback_pictures="true", unready_ms=0) as server:
            big = jpeg + bytes(64 << 10)
            answers = [
                requests.post(f"{server.url}/feedback", json=said(tiny, one, picture=b64(one)), timeout=60)
                for one in (big, jpeg, big)
            ]
            classified = requests.post(f"{server.url}/classify", files={"image": ("a.jpg", jpeg)}, timeout=60)
        kept = lines(folder)
    finally:
        subprocess.run(["umount", folder], check=True)
    assert [answer.status_code for answer in answers] == [503, 200, 503]
    assert "No space left on device" in answers[0].json()["detail"]
    assert (classified.status_code, len(kept)) == (200, 1)


@pytest.mark.parametrize("bad", ["file", "file/below"])
def test_directory_that_cannot_be_one_ends_the_command_before_anything_is_started(tiny, tmp_path, bad):
    (tmp_path / "file").touch()
    done = CliRunner().invoke(serve, ["--bundle", str(tiny), "--feedback", str(tmp_path / bad)])
    assert str(done.exception).startswith(f"--feedback: {tmp_path / bad}: cannot be written (")


# ---- a real server -------------------------------------------------------------------------


def test_two_processes_write_one_list(start, tiny, folder, jpeg):
    with start(tiny, feedback=str(folder), processes=2, unready_ms=0) as server:
        for n in range(20):
            answer = requests.post(f"{server.url}/feedback", json=said(tiny, jpeg, request_id=f"r{n}"), timeout=60)
            assert answer.status_code == 200
    assert len(lines(folder)) == 20
    assert len(list(folder.iterdir())) == 1


# ---- S3 ------------------------------------------------------------------------------------


def keys(s3, prefix):
    return [item["Key"] for item in s3.list_objects_v2(Bucket="photos", Prefix=prefix).get("Contents", ())]


def content(s3, key):
    return s3.get_object(Bucket="photos", Key=key)["Body"].read()


def test_bucket_gets_an_object_a_feedback_and_the_picture_once(s3, start, tiny, jpeg):
    name = f"{hashlib.sha256(jpeg).hexdigest()}.jpg"
    with start(tiny, feedback="s3://photos/shop/said", feedback_pictures="true", unready_ms=0) as server:
        for label in ("green", "blue"):
            body = said(tiny, jpeg, label=label, picture=b64(jpeg))
            assert requests.post(f"{server.url}/feedback", json=body, timeout=60).status_code == 200
    # The server has ended: what was taken is there.
    found = keys(s3, "shop/said/")
    rows = [json.loads(content(s3, key)) for key in found if key.endswith(".jsonl")]
    assert [row["label"] for row in rows] == ["green", "blue"]
    assert {row["source-ref"] for row in rows} == {f"s3://photos/shop/said/{name}"}
    assert content(s3, f"shop/said/{name}") == jpeg
    assert len(found) == 3


def note(**more):
    return Note(model="tiny", label="red", sha256="a" * 64, about={"request_id": "r-1"}, **more)


def test_bucket_that_is_not_there_drops_counts_and_logs(s3, caplog):
    counts = []
    bucket = Bucket(notebook.storage.place("s3://nowhere-at-all/said"), counts.append)
    bucket.keep(note())
    bucket.close()
    assert counts == ["dropped"]
    assert "feedback to request r-1 is dropped: s3://nowhere-at-all/said" in caplog.text
    assert "NoSuchBucket" in caplog.text


def test_storage_that_was_away_gets_it_later(s3, monkeypatch, until):
    counts, tried, put = [], [], notebook.storage.put

    def away_twice(*given):
        tried.append(given)
        if len(tried) < 3:
            raise notebook.Unreachable("away")
        put(*given)

    monkeypatch.setattr(notebook.storage, "put", away_twice)
    monkeypatch.setattr(notebook, "PAUSES_S", (0, 0.01, 0.01))
    bucket = Bucket(notebook.storage.place("s3://photos/later"), counts.append)
    bucket.keep(note())
    assert until(lambda: counts)
    bucket.close()
    assert (counts, len(keys(s3, "later/"))) == (["kept"], 1)


def test_storage_that_hangs_keeps_nobody_waiting(start, tiny, jpeg, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "test")
        with start(tiny, feedback="s3://photos/deaf", unready_ms=0) as server:
            for _ in range(20):
                answer = requests.post(f"{server.url}/feedback", json=said(tiny, jpeg), timeout=60)
                assert answer.status_code == 200
            assert requests.post(f"{server.url}/classify", files={"image": ("a", jpeg)}, timeout=60).ok
        assert server.log.read_text().count("is dropped: the server ends") == 20


def test_queue_is_bounded_and_says_so_at_once(monkeypatch):
    counts, go = [], threading.Event()
    monkeypatch.setattr(notebook, "MOST_WAITING", 3 * notebook.EACH)
    monkeypatch.setattr(Bucket, "_write", lambda *_: go.wait(60))
    bucket = Bucket(notebook.storage.place("s3://photos/slow"), counts.append)
    for _ in range(3):
        bucket.keep(note())
    with pytest.raises(notebook.NotKept, match="the storage is slow"):
        bucket.keep(note())
    go.set()
    bucket.close()
    assert counts == ["dropped"]


def test_end_waits_a_little_and_then_drops_what_is_left(monkeypatch):
    counts, go = [], threading.Event()
    monkeypatch.setattr(notebook, "CLOSE_S", 0.1)
    monkeypatch.setattr(Bucket, "_write", lambda *_: go.wait(60))
    bucket = Bucket(notebook.storage.place("s3://photos/slow"), counts.append)
    for _ in range(2):
        bucket.keep(note())
    bucket.close()
    go.set()
    assert counts == ["dropped"] * 2


# ---- the list that training reads ----------------------------------------------------------


def gathered(*arguments):
    done = CliRunner().invoke(data, ["feedback", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_list_of_all_days_has_the_last_word_on_each_picture(tmp_path, folder):
    folder.mkdir()
    book, days = Folder(folder, lambda _: None), [datetime(2026, 11, day, tzinfo=UTC) for day in (19, 20, 21)]
    for label, day in zip(("red", "blue", "green"), days, strict=True):
        book.keep(replace(note(time=day, picture=b"p", suffix=".png"), label=label))
    book.keep(replace(note(time=days[2]), sha256="b" * 64, label=None))
    book.keep(replace(note(time=days[2]), model="tiny.too", sha256="c" * 64))
    output = gathered(folder, tmp_path / "all.jsonl", "--model", "tiny")
    (row,) = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert (row["source-ref"], row["label"]) == (f"said/{'a' * 64}.png", "green")
    assert (tmp_path / row["source-ref"]).read_bytes() == b"p"
    assert "1 pictures with labels; 1 left out that have none of the labels" in output


def test_list_from_a_bucket_names_its_pictures_there(s3, tmp_path):
    bucket = Bucket(notebook.storage.place("s3://photos/list"), lambda _: None)
    bucket.keep(note(picture=b"p", suffix=".png"))
    bucket.keep(replace(note(), label="blue"))  # of one who did not send it
    bucket.keep(replace(note(), model="tiny.2026"))
    bucket.close()
    gathered("s3://photos/list", tmp_path / "all.jsonl", "--model", "tiny")
    (row,) = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert (row["source-ref"], row["label"]) == (f"s3://photos/list/{'a' * 64}.png", "blue")


def test_list_of_a_model_that_nobody_spoke_of_is_a_sentence(folder, tmp_path):
    folder.mkdir()
    done = CliRunner().invoke(data, ["feedback", str(folder), str(tmp_path / "x"), "--model", "tiny"])
    assert str(done.exception) == f"{folder}: nothing was said to a model tiny; look at what is there, and at --model"


def test_training_reads_a_day_s_list_as_it_stands(collecting, folder, tiny, jpeg, png, gif):
    lists = pytest.importorskip("training.data.lists", reason="training reads no lists yet")
    for picture, label in ((jpeg, "green"), (png, "red"), (gif, None)):
        body = said(tiny, picture, label=label, right=label == "red", picture=b64(picture))
        assert collecting.post("/feedback", json=body).status_code == 200
    (path,) = folder.glob("*.jsonl")
    found = lists.manifest(path, folder, None)
    assert [(item.path.read_bytes(), item.labels) for item in found.items] == [(jpeg, ("green",)), (png, ("red",))]
    assert len(found.skipped) == 1


def test_command_is_a_verb_of_imago():
    done = subprocess.run(
        [sys.executable, "-m", "imago", "data", "feedback", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, "--model" in done.stdout) == (0, True)
