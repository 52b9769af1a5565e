"""S01, S07 to S10: bodies that are empty, endless, compressed, nested or lie about their length."""

import base64
import gzip
import json
import time
import zlib

import pytest


def form(*parts):
    """(name, file name or None, content) each -> body and type of a multipart form."""
    body = b""
    for name, file, content in parts:
        named = f'name="{name}"' + (f'; filename="{file}"' if file else "")
        body += f"--b\r\nContent-Disposition: form-data; {named}\r\n\r\n".encode() + content + b"\r\n"
    return body + b"--b--\r\n", "multipart/form-data; boundary=b"


def code(answer):
    return answer.status, json.loads(answer.body)["code"]


S01 = {
    "empty body": ((b"", "image/jpeg"), {415}),
    "part of 0 bytes": (form(("image", "a.jpg", b"")), {415}),
    "another field": (form(("photo", "a.jpg", b"x")), {400}),
    "1001 parts": (form(*[("image", "a.jpg", b"x")] * 1001), {413}),
    "10,000 text fields": (form(*[("a", None, b"x")] * 10_000), {413}),
    "no end": ((b"--b\r\n" * 10_000, "multipart/form-data; boundary=b"), {400, 413}),
    "boundary of 1 KB": ((b"--", "multipart/form-data; boundary=" + "b" * 1024), {400}),
    "1 MB of part header": (
        (b"--b\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n--b--", "multipart/form-data; boundary=b"),
        {400, 413},
    ),
}


@pytest.mark.parametrize("name", S01)
def test_s01_odd_form_is_refused_without_much_work(target, post, used_s, name):
    sent, wanted = S01[name]
    before = used_s(target)
    answer = post(target.url, *sent)
    assert answer.status in wanted, answer.body
    assert used_s(target) - before < 1


def test_s01_two_pictures_are_two_results(target, post, jpeg, png):
    answer = post(target.url, *form(("image", "a", jpeg), ("image", "b", png)))
    assert len(json.loads(answer.body)["results"]) == 2


# ---- S07: lengths that lie -------------------------------------------------------------------

HEAD = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
LIMIT = 32 << 20


def test_s07_length_over_the_limit_is_refused_before_a_byte_of_the_body(target, send):
    answer = send(target.url, HEAD + b"Content-Length: %d\r\n\r\n" % (LIMIT + 1))
    assert code(answer) == (413, "too-large")


@pytest.mark.parametrize("length", [b"9" * 19, b"9" * 4000])
def test_s07_absurd_length_is_refused(target, send, length):
    assert send(target.url, HEAD + b"Content-Length: " + length + b"\r\n\r\n").status in (400, 413)


def test_s07_chunks_past_the_limit_are_refused_and_not_kept(target, send, peak):
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    with peak(target) as grown:
        answer = send(target.url, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 150)
    print(f"\n150 MB in chunks: worker grew by {grown[0]:.0f} MB")
    assert code(answer) == (413, "too-large")
    assert grown[0] < 2 * 32 + 20


def test_s07_150_mb_body_costs_no_memory(target, post, peak):
    with peak(target) as grown:
        answer = post(target.url, bytes(150 << 20))
    print(f"\n150 MB body: worker grew by {grown[0]:.0f} MB")
    assert code(answer) == (413, "too-large")
    assert grown[0] < 8


def test_s07_short_length_cuts_the_picture_and_the_rest_is_no_request(target, connect, read, jpeg):
    with connect(target.url) as sock:
        sock.sendall(HEAD + b"Content-Length: 300\r\n\r\n" + jpeg)
        assert read(sock).status == 422
        assert sock.recv(100).startswith((b"HTTP/1.1 400", b"HTTP/1.1 431", b""))


def test_s07_long_length_is_given_up_at_the_deadline(target, send, jpeg):
    start = time.monotonic()
    answer = send(target.url, HEAD + b"Content-Length: 99999\r\n\r\n" + jpeg)
    assert code(answer) == (408, "too-slow")
    assert 1.9 < time.monotonic() - start < 9  # ten seconds are what it would have by default


def test_s07_body_of_one_byte_chunks_is_given_up(target, send):
    answer = send(target.url, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000)
    assert code(answer) == (400, "bad-request")


# ---- S08: compressed bodies ------------------------------------------------------------------

BOMB = gzip.compress(bytes(300 << 20), 9)
S08 = {
    "gzip": BOMB,
    "GZIP": BOMB,
    "x-gzip": BOMB,
    "gzip, gzip": gzip.compress(BOMB),
    "deflate": zlib.compress(bytes(10 << 20)),
    "br": b"\x1b\xff\xff",
    "zstd": b"(\xb5/\xfd",
}


@pytest.mark.parametrize("coding", S08)
def test_s08_compressed_body_is_refused_and_not_unpacked(target, post, peak, coding):
    with peak(target) as grown:
        answer = post(target.url, S08[coding], Content_Encoding=coding)
    assert code(answer) == (415, "unsupported-content-type")
    assert grown[0] < 8


def test_s08_compressed_transfer_is_refused(target, send):
    answer = send(
        target.url, HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + b"%x\r\n" % len(BOMB) + BOMB + b"\r\n"
    )
    assert code(answer) == (400, "bad-request")


# ---- S09: base64 -----------------------------------------------------------------------------


def as_json(text):
    return json.dumps({"image": text}).encode()


S09 = {
    "letters of no base64": (lambda b64: as_json("***" + b64), 400),
    "line breaks": (lambda b64: as_json("\n".join(b64[at : at + 76] for at in range(0, len(b64), 76))), 200),
    "url-safe letters": (lambda b64: as_json(b64.replace("+", "-").replace("/", "_")), 200),
    "data URL": (lambda b64: as_json("data:image/jpeg;base64," + b64), 200),
    "data URL without base64": (lambda b64: as_json("data:image/jpeg," + b64[:40] + "%%%"), 400),
    "base64 of base64": (lambda b64: as_json(base64.b64encode(b64.encode()).decode()), 415),
    "NUL inside": (lambda b64: as_json(b64[:40] + "\0" + b64[40:]), 400),
    "padding only": (lambda b64: as_json("===="), 400),
    "as it should be": (as_json, 200),
}


@pytest.mark.parametrize("name", S09)
def test_s09_base64_is_read_or_refused_as_documented(target, post, jpeg, name):
    make, wanted = S09[name]
    assert post(target.url, make(base64.b64encode(jpeg).decode()), "application/json").status == wanted


def test_s09_100_mb_of_base64_is_refused_before_it_is_read(target, post, peak):
    with peak(target) as grown:
        answer = post(target.url, as_json("QUJD" * (25 << 20)), "application/json")
    assert code(answer) == (413, "too-large")
    assert grown[0] < 8


# ---- S10: JSON -------------------------------------------------------------------------------

S10 = {
    "200,000 lists": b"[" * 200_000,
    "200,000 objects": b'{"a":' * 200_000,
    "NaN": b'{"image": NaN}',
    "Infinity": b'{"image": -Infinity}',
    "1e400": b'{"image": 1e400}',
    "5000 digits": b'{"image": ' + b"9" * 5000 + b"}",
    "10 MB key": b'{"' + b"k" * (10 << 20) + b'": 1}',
    "lone surrogate": b'{"image": "\\ud800"}',
    "lone surrogate as a key": b'{"\\udfff": "x"}',
    "UTF-16": '{"image": 1}'.encode("utf-16"),
    "UTF-32": '{"image": 1}'.encode("utf-32"),
    "BOM": b"\xef\xbb\xbf" + b'{"image": 1}',
    "two values": b'{"image": "x"} {}',
    "duplicate keys": b'{"image": "x", "image": 1}',
    "comment": b'{"image": "x" /* */}',
    "NUL": b"\0",
}


@pytest.mark.parametrize("name", S10)
def test_s10_hostile_json_is_a_400(target, post, name):
    answer = post(target.url, S10[name], "application/json")
    assert code(answer) == (400, "bad-request")
    assert b"\\ud800" not in answer.body


def test_s10_worker_that_read_all_that_is_still_the_same(target, worker, post, jpeg):
    before = worker(target)
    for body in S10.values():
        post(target.url, body, "application/json")
    assert (worker(target), post(target.url, jpeg).status) == (before, 200)
