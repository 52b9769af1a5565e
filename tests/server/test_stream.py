"""/convert?stream=1 on a real server: pieces while the document is made, then the answer; nobody else waits for a slow reader."""

import io
import json
import socket
import time
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import requests
from PIL import Image

from bundle.write import write


@pytest.fixture(scope="module")
def picture():
    out = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def server(start, slow, boxes, tiny):
    with start(slow, boxes, tiny, engine_threads=1, request_threads=2, log="json") as server:
        yield server


def post(server, path, picture, **more):
    return requests.post(server.url + path, data=picture, headers={"Content-Type": "image/png"}, timeout=60, **more)


def events(answer):
    """(name, content) of each event, and when it came."""
    name = ""
    for line in answer.iter_lines(chunk_size=1):
        kind, _, value = line.decode().partition(": ")
        if kind == "event":
            name = value
        elif kind == "data":
            yield name, json.loads(value), time.monotonic()


def lines(server, **wanted):
    """Those of the log that say so."""
    found = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in found if wanted.items() <= line.items()]


@contextmanager
def reader(server, path, picture):
    """A connection that has asked, and reads nothing."""
    address = urlsplit(server.url)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(picture)}\r\n\r\n"
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(60)
        sock.connect((address.hostname, address.port))
        sock.sendall(head.encode() + picture)
        yield sock


def test_pieces_come_while_the_document_is_made_then_the_answer(server, picture):
    answer = post(server, "/convert?stream=1", picture, stream=True)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")
    *pieces, (last, content, end) = events(answer)
    assert ({name for name, _, _ in pieces}, last) == ({"piece"}, "answer")
    assert "".join(piece["text"] for _, piece, _ in pieces) == content["xml"]
    assert end - pieces[0][2] > 0.05  # the first one came long before
    assert content | {"request_id": ""} == post(server, "/convert", picture).json() | {"request_id": ""}


def test_connection_is_good_for_another_request(server, picture):
    with requests.Session() as session:
        for _ in range(3):
            answer = session.post(
                server.url + "/models/boxes/convert?stream=1", data=picture, headers={"Content-Type": "image/png"}
            )
            assert answer.text.count("event: answer") == 1


def test_client_of_http_1_0_reads_to_the_end(server, picture):
    head = f"POST /models/boxes/convert?stream=1 HTTP/1.0\r\nContent-Type: image/png\r\nContent-Length: {len(picture)}\r\n\r\n"
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as sock:
        sock.sendall(head.encode() + picture)
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    assert (b"Transfer-Encoding" in data, data.count(b"event: answer")) == (False, 1)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/convert?stream=1&beam=2", 400, "bad-request"),
        ("/models/tiny/convert?stream=1", 404, "unknown-model"),
    ],
)
def test_what_is_wrong_before_the_first_piece_is_a_problem_as_any(server, picture, path, status, code):
    answer = post(server, path, picture)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_bad_picture_is_a_problem_as_any(server):
    answer = post(server, "/convert?stream=1", b"no picture")
    assert (answer.status_code, answer.json()["code"]) == (415, "not-a-picture")


def test_several_pictures_are_400(server, picture):
    files = [("image", ("a.png", picture)), ("image", ("b.png", picture))]
    assert requests.post(server.url + "/convert?stream=1", files=files, timeout=60).status_code == 400


def test_log_has_the_whole_time_of_a_stream(server, picture, until):
    headers = {"Content-Type": "image/png", "X-Request-ID": "whole"}
    requests.post(server.url + "/convert?stream=1", data=picture, headers=headers, timeout=60)
    (line,) = until(lambda: lines(server, request_id="whole"))
    assert (line["status"], line["route"], line["model"], line["pictures"]) == (200, "/convert", "slow", 1)
    assert line["ms"] >= line["engine_ms"] > 50


def test_deadline_ends_a_stream_with_a_problem(start, slow, picture):
    for deadline_ms in (
        120,
        1000,
    ):  # where there is much else to do, the first piece takes longer, and so does the last
        with start(slow, deadline_ms=deadline_ms) as server:
            *pieces, (last, content, _) = [
                ("none",) * 3,
                *events(post(server, "/convert?stream=1", picture, stream=True)),
            ]
            metrics = requests.get(server.url + "/metrics", timeout=60).text
        if len(pieces) > 1:
            break
    assert (len(pieces) > 1, last, content["status"], content["code"]) == (True, "error", 504, "expired")
    assert 'imago_shed_total{reason="expired"} 1.0' in metrics


def test_client_that_leaves_frees_the_engine(start, slow_parts, tmp_path, picture):
    long = write(tmp_path, replace(slow_parts, name="long", most_tokens=75))

    def soon(server):
        """Whether it is answered sooner than five documents that nobody waits for would let it be."""
        for _ in range(5):
            with reader(server, "/convert?stream=1", picture) as sock:
                assert sock.recv(100).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        assert post(server, "/convert", picture).status_code == 200
        alone = time.monotonic()
        assert post(server, "/convert", picture).status_code == 200
        return alone - began < 4 * (time.monotonic() - alone)

    with start(long, engine_threads=1, request_threads=1) as server:
        assert any(soon(server) for _ in range(5))


@pytest.fixture(scope="module")
def large(tmp_path_factory, slow_parts):
    """Its documents have 40 values of 250 KB: more than the sockets of both sides and the server's own patience hold."""
    word = b"x" * 250_000
    schema = slow_parts.schema
    for color in (b"red", b"green", b"blue"):
        schema = schema.replace(b"<value>" + color, b"<value>" + word + color)
    return write(tmp_path_factory.mktemp("large"), replace(slow_parts, name="large", schema=schema))


def test_slow_reader_of_a_stream_holds_neither_thread_nor_memory(start, large, boxes, picture):
    with start(large, boxes, engine_threads=1, request_threads=1, log="json") as server:
        with reader(server, "/convert?stream=1", picture) as sock:
            assert sock.recv(100).startswith(b"HTTP/1.1 200")
            assert post(server, "/models/boxes/convert", picture).status_code == 200
            data = b"".join(iter(lambda: sock.recv(1 << 20), b""))
        assert b"event: answer" not in data
        assert post(server, "/convert", picture).status_code == 200


def test_slow_reader_that_reads_on_gets_everything(start, slow, picture):
    with (
        start(slow, engine_threads=1, request_threads=1) as server,
        reader(server, "/convert?stream=1", picture) as sock,
    ):
        time.sleep(1)
        data = b""
        while b"event: answer" not in data or not data.endswith(b"0\r\n\r\n"):
            data += sock.recv(100)
        assert data.count(b"event: piece") > 30
