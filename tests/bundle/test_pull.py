"""Bundles to and from S3: pinned, by a name that moves, verified, and never half of one."""

import json
import shutil
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bundle import manifest, pull, storage, store
from bundle.errors import BundleError, MissingExtra, Unreachable
from bundle.write import write


@pytest.fixture
def folder(s3, tmp_path):
    """A folder of the bucket for this test alone."""
    return f"s3://models/{tmp_path.name}"


@pytest.fixture
def pushed(folder, tiny):
    return pull.push(tiny, folder)


@pytest.fixture
def newer(parts, tmp_path):
    return write(tmp_path / "newer", replace(parts, metrics={"accuracy": 0.95}))


def put(s3, place, content):
    s3.put_object(Bucket=place.bucket, Key=place.key, Body=content)


def content_of(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_what_is_pulled_is_what_was_pushed(pushed, tiny, tmp_path):
    there = pull.pull(str(pushed), tmp_path / "cache")
    assert (there, content_of(there)) == (tmp_path / "cache" / tiny.name, content_of(tiny))
    assert there.stat().st_mode & 0o777 == 0o755


def test_second_pull_fetches_no_file(s3, pushed, tiny, tmp_path):
    first = pull.pull(str(pushed), tmp_path).stat()
    s3.delete_object(Bucket=pushed.bucket, Key=f"{pushed.key}/model.onnx")
    again = pull.pull(str(pushed), tmp_path).stat()
    assert (again.st_ino, again.st_mtime_ns) == (first.st_ino, first.st_mtime_ns)


def test_name_that_moves_is_followed(folder, pushed, newer, tmp_path):
    latest = str(pull.point(pushed))
    before = pull.find(latest, tmp_path)
    pull.point(pull.push(newer, folder))
    after = pull.find(latest, tmp_path)
    assert latest == f"{folder}/tiny.latest"
    assert (before.path.name, after.path.name) == (pushed.name, newer.name)
    assert before.mark != after.mark


def test_pinned_bundle_never_looks_different(pushed):
    assert pull.mark(str(pushed)) == str(pushed)


def test_directory_looks_different_when_a_file_of_it_does(tiny_copy):
    before = pull.mark(str(tiny_copy))
    (tiny_copy / "labels.txt").write_text("a\nb\nc\nd\n")
    assert pull.mark(str(tiny_copy)) != before


def test_link_is_resolved_once(tiny, tmp_path):
    (tmp_path / "current").symlink_to(tiny)
    assert pull.find(str(tmp_path / "current"), None).path == tiny.resolve()


def test_pushing_again_changes_nothing(s3, folder, pushed, tiny):
    before = s3.head_object(Bucket=pushed.bucket, Key=f"{pushed.key}/manifest.json")["LastModified"]
    assert pull.push(tiny, folder) == pushed
    assert s3.head_object(Bucket=pushed.bucket, Key=f"{pushed.key}/manifest.json")["LastModified"] == before


def test_another_bundle_of_that_name_is_not_overwritten(s3, folder, tiny):
    target = storage.place(folder) / tiny.name
    content = json.loads((tiny / "manifest.json").read_text()) | {"metrics": {"accuracy": 0.1}}
    put(s3, target / "manifest.json", json.dumps(content))
    with pytest.raises(BundleError, match="does not belong to this folder's id"):
        pull.push(tiny, folder)


def test_changed_bundle_is_not_pushed(folder, tiny_copy):
    (tiny_copy / "labels.txt").write_text("red\ngreen\ngrue\n")
    with pytest.raises(BundleError, match="its content was changed"):
        pull.push(tiny_copy, folder)


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        ("model.onnx", b"", r"model.onnx: 0 bytes, \d+ wanted"),
        (
            "labels.txt",
            b"red\nblue\ngreen\n",
            "^s3://.*/labels.txt: its content was changed .*; push the bundle again$",
        ),
        ("manifest.json", b"{}", "manifest.json: "),
        ("manifest.json", b" " * (store.MAX_TEXT_BYTES + 1), "at most"),
    ],
)
def test_changed_object_is_refused_and_leaves_nothing(s3, pushed, tmp_path, path, content, words):
    put(s3, pushed / path, content)
    with pytest.raises(BundleError, match=words):
        pull.pull(str(pushed), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["../evil", "/tmp/evil", "golden/../../evil", "a\\b", "a\nb", "manifest.json/evil"])
def test_path_that_leads_elsewhere_is_refused(s3, folder, tiny, tmp_path, path):
    content = json.loads((tiny / "manifest.json").read_text())
    content["files"][path] = {"sha256": "0" * 64, "size": 4}
    content["id"] = manifest.bundle_id(content)
    source = storage.place(folder) / f"tiny-{content['id'][:8]}"
    put(s3, source / "manifest.json", manifest.canonical(content))
    with pytest.raises(BundleError):
        pull.pull(str(source), tmp_path / "cache")
    assert [found for found in tmp_path.rglob("*") if found.name != "cache"] == []


def test_copy_that_was_changed_is_replaced(pushed, tiny, tmp_path):
    there = pull.pull(str(pushed), tmp_path)
    (there / "labels.txt").write_text("")
    assert content_of(pull.pull(str(pushed), tmp_path)) == content_of(tiny)


def test_another_bundle_where_it_would_lie_is_left_alone(pushed, multi, tmp_path):
    shutil.copytree(multi, tmp_path / pushed.name)
    with pytest.raises(BundleError, match="another bundle has this name"):
        pull.pull(str(pushed), tmp_path)
    assert content_of(tmp_path / pushed.name) == content_of(multi)


@pytest.mark.parametrize(
    "text", ["", "tiny", "../tiny-12345678", "other-12345678", "tiny-12345678\nx", "é" * 90, "a" * 300]
)
def test_name_that_moves_to_nowhere_is_refused(s3, folder, tmp_path, text):
    put(s3, storage.place(folder) / "tiny.latest", text.encode())
    with pytest.raises(BundleError, match="tiny.latest: "):
        pull.find(f"{folder}/tiny.latest", tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://",
        "s3://b",
        "s3://B!/x",
        "s3:///x",
        "s3://models/../x-12345678",
        "s3://models/a\nb",
        f"s3://m/{'a' * 1025}",
    ],
)
def test_bad_uri_is_a_sentence(s3, uri, tmp_path):
    with pytest.raises(BundleError, match="wanted"):
        pull.pull(uri, tmp_path)


@pytest.mark.parametrize(
    ("uri", "words"), [("s3://models/gone-12345678", "NoSuchKey"), ("s3://nobody/gone-12345678", "NoSuchBucket")]
)
def test_what_is_not_there_is_said_at_once(s3, uri, words, tmp_path):
    with pytest.raises(BundleError, match=f"the storage says {words}; check the name") as caught:
        pull.pull(uri, tmp_path)
    assert not isinstance(caught.value, Unreachable)


def test_folder_that_cannot_be_written_is_a_sentence(pushed, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written"):
        pull.pull(str(pushed), tmp_path / "file")


# ---- storage that fails --------------------------------------------------------------------


@contextmanager
def failing(monkeypatch, answers):
    """One that gives the answers (status, body) in turn, the last for ever; yields what it was asked."""
    asked = []

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            status, body = answers[min(len(asked), len(answers) - 1)]
            asked.append((self.command, self.path))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if status == 200 else 0))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body[: 3 if body.endswith(b"cut") else None])

        def do_PUT(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((self.command, self.path))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    storage.client.cache_clear()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        storage.client.cache_clear()


@pytest.mark.parametrize("failure", [(503, b""), (500, b""), (200, b"tiny-1234cut")])
def test_storage_that_fails_twice_is_asked_again(s3, monkeypatch, failure):
    with failing(monkeypatch, [failure, failure, (200, b"tiny-12345678\n")]) as asked:
        assert pull.mark("s3://models/tiny.latest") == "s3://models/tiny-12345678"
    assert len(asked) == 3


def test_storage_that_never_answers_is_said_after_three_tries(s3, monkeypatch):
    with failing(monkeypatch, [(503, b"")]) as asked, pytest.raises(Unreachable, match="3 tries"):
        pull.mark("s3://models/tiny.latest")
    assert len(asked) == 3


def test_storage_that_nobody_listens_for_is_said(s3, monkeypatch, free_port):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port}")
    storage.client.cache_clear()
    with pytest.raises(Unreachable, match="EndpointConnectionError"):
        pull.mark("s3://models/tiny.latest")
    storage.client.cache_clear()


def test_manifest_is_pushed_last(s3, monkeypatch, tiny):
    with failing(monkeypatch, [(404, b"")]) as asked:
        pull.push(tiny, "s3://models/x")
    names = [path.removeprefix(f"/models/x/{tiny.name}/") for command, path in asked if command == "PUT"]
    assert sorted(names) == sorted(path.as_posix() for path in content_of(tiny))
    assert names[-1] == "manifest.json"


def test_endpoint_that_is_none_is_a_sentence(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    storage.client.cache_clear()
    with pytest.raises(BundleError, match="look at the AWS variables"):
        pull.mark("s3://models/tiny.latest")


def test_without_boto3_the_extra_is_named(monkeypatch):
    storage.client.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(MissingExtra, match=r"pip install 'imago\[serve\]'"):
        pull.mark("s3://models/tiny.latest")


# ---- commands ------------------------------------------------------------------------------


def test_commands_push_list_and_pull(imago, folder, tiny, tmp_path):
    pushed = imago("bundle", "push", tiny, folder, "--latest")
    listed = imago("bundle", "list", folder)
    pulled = imago("bundle", "pull", f"{folder}/tiny.latest", "--to", tmp_path)
    assert pushed.stdout == f"{folder}/{tiny.name}\n{folder}/tiny.latest\n"
    assert listed.stdout == f"{folder}/{tiny.name}  classifier, 3 labels, accuracy 90.0 %\n"
    assert (pulled.stdout, pulled.stderr) == (f"{tmp_path / tiny.name}\n", "")


def test_list_shows_a_broken_one_beside_the_others(s3, imago, folder, pushed):
    put(s3, storage.place(folder) / "bad-12345678/manifest.json", b"{")
    done = imago("bundle", "list", folder)
    assert done.returncode == 0
    assert [line.partition("  ")[0] for line in done.stdout.splitlines()][1] == str(pushed)


def test_bad_uri_is_one_line_for_people(s3, imago):
    done = imago("bundle", "pull", "s3://models/x")
    assert (done.returncode, done.stderr.count("\n"), "Traceback" in done.stderr) == (1, 1, False)
