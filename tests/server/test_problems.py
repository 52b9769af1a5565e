"""Whatever is wrong with a request, the answer is a problem object: what it was, what is wanted, and nothing of our insides."""

import base64
import io
import json
import re
import struct
import zlib

import pytest

IMAGE = "image/jpeg"


def giant_png():
    """13000 x 13000 by its header, which is all that is read of it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 13000, 13000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + (b"\0\0\0\x01IDATx" + struct.pack(">I", zlib.crc32(b"IDATx")))
    )


def picture(data, path="/classify"):
    return {"path": path, "method": "POST", "data": data, "content_type": IMAGE}


def body(data, kind):
    return {"path": "/classify", "method": "POST", "data": data, "content_type": kind}


def form(**parts):
    return {"path": "/classify", "method": "POST", "data": parts, "content_type": "multipart/form-data"}


def file(data, name="a.jpg"):
    return io.BytesIO(data), name


def bad_json(content):
    return body(content if isinstance(content, bytes) else json.dumps(content).encode(), "application/json")


CUT = base64.b64decode("/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkS")

# Name -> (how to make the request, status, code, words of the detail).
WRONG = {
    "empty body": (lambda: picture(b""), 415, "not-a-picture", "the picture is empty (0 bytes)"),
    "random bytes": (lambda: picture(bytes(range(256))), 415, "not-a-picture", "send one in JPEG, PNG, WebP"),
    "truncated JPEG": (lambda: picture(CUT), 422, "bad-picture", "the picture cannot be decoded"),
    "text named .jpg": (lambda: form(image=file(b"hello")), 415, "not-a-picture", "no picture that Imago reads"),
    "HTML": (lambda: picture(b"<html>404</html>"), 415, "not-a-picture", "no picture that Imago reads"),
    "HEIC": (lambda: picture(b"\0\0\0\x18ftypheic" + bytes(99)), 415, "not-a-picture", "save it as JPEG"),
    "giant PNG": (lambda: picture(giant_png()), 413, "too-many-pixels", "13000 x 13000 = 169 megapixels"),
    "bad base64": (lambda: bad_json({"image": "*** no ***"}), 400, "bad-request", "image is no base64"),
    "unpadded base64": (lambda: bad_json({"image": "/9j/4AA"}), 400, "bad-request", "image is no base64"),
    "base64 in other letters": (lambda: bad_json({"image": "größe"}), 400, "bad-request", "image is no base64"),
    "half a surrogate": (lambda: bad_json(b'{"image": "\\ud800"}'), 400, "bad-request", "half of a surrogate pair"),
    "empty base64": (lambda: bad_json({"image": ""}), 415, "not-a-picture", "the picture is empty"),
    "data URL without data": (
        lambda: bad_json({"image": "data:image/png"}),
        415,
        "not-a-picture",
        "the picture is empty",
    ),
    "no JSON": (lambda: bad_json(b"{image: 1}"), 400, "bad-request", "the body is no JSON"),
    "JSON not in UTF-8": (lambda: bad_json(b'{"image": "\xff"}'), 400, "bad-request", "the body is no JSON"),
    "JSON without end": (lambda: bad_json(b"[" * 100_000), 400, "bad-request", "the body is no JSON"),
    "JSON with a long number": (lambda: bad_json(b"1" * 5000), 400, "bad-request", "the body is no JSON"),
    "empty JSON": (lambda: bad_json(b""), 400, "bad-request", "the body is no JSON"),
    "JSON list": (lambda: bad_json(["aGVsbG8="]), 400, "bad-request", "an object whose image is a string"),
    "JSON null": (lambda: bad_json(None), 400, "bad-request", "an object whose image is a string"),
    "JSON without image": (lambda: bad_json({"picture": "x"}), 400, "bad-request", "an object whose image is a string"),
    "JSON with a number": (lambda: bad_json({"image": 7}), 400, "bad-request", "an object whose image is a string"),
    "text": (
        lambda: body(b"hi", "text/plain"),
        415,
        "unsupported-content-type",
        "a body of type text/plain is not read",
    ),
    "no type": (lambda: body(b"hi", None), 415, "unsupported-content-type", "a body of type none is not read"),
    "XML": (lambda: body(b"<a/>", "application/xml"), 415, "unsupported-content-type", "type application/xml"),
    "url-encoded form": (
        lambda: body(b"image=x", "application/x-www-form-urlencoded"),
        *(415, "unsupported-content-type", "send a multipart form with a part named image"),
    ),
    "form without a part": (lambda: form(), 400, "bad-request", "no picture in the form"),
    "form with another part": (lambda: form(photo=file(b"x")), 400, "bad-request", "in a part named image"),
    "form with a text part": (lambda: form(image="hello"), 400, "bad-request", "that has a file name"),
    "form without a boundary": (lambda: body(b"--x", "multipart/form-data"), 400, "bad-request", ""),
    "form that is cut off": (
        lambda: body(b'--x\r\nContent-Disposition: form-data; name="image"', "multipart/form-data; boundary=x"),
        *(400, "bad-request", "the form breaks off in the header of a part"),
    ),
    "form with too many parts": (
        lambda: form(**{f"part{at}": "x" for at in range(65)}),
        *(413, "too-large", "the form has too many parts; at most 64 wanted"),
    ),
    "large body": (lambda: picture(bytes((1 << 20) + 1)), 413, "too-large", "at most 1 MB wanted"),
    "unknown model": (lambda: picture(CUT, "/models/cats/classify"), 404, "unknown-model", "there are tiny, multi"),
    "unknown path": (lambda: picture(CUT, "/predict"), 404, "not-found", "nothing is at /predict; POST pictures to"),
    "long path": (lambda: picture(CUT, "/" + "a" * 2000), 404, "not-found", "nothing is at /aaa"),
    "path out of the package": (lambda: {"path": "/static/../app.py"}, 404, "not-found", "nothing is at "),
    "wrong method": (lambda: {"path": "/classify"}, 405, "method-not-allowed", "GET is not for /classify; wanted"),
    "DELETE": (lambda: {"path": "/", "method": "DELETE"}, 405, "method-not-allowed", "DELETE is not for /; wanted"),
    **{
        f"top={top[:12]}": (lambda top=top: picture(CUT, f"/classify?top={top}"), 400, "bad-request", "from 1 to 1000")
        for top in ("0", "1001", "-1", "1.5", "many", "", "%20", "%D9%A3", "1000001", "0001009999", "9" * 5000)
    },
}


@pytest.fixture(scope="module")
def small(serving, tiny, multi):
    """Takes 1 MB at most, so that too much is soon made."""
    with serving(tiny, multi, max_body_mb=1) as app:
        yield app


@pytest.fixture
def ask(small):
    return lambda request, **more: small.test_client().open(**request, **more)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_request_gets_its_status_code_and_sentence(ask, name):
    request, status, code, words = WRONG[name]
    answer = ask(request())
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert words in answer.json["detail"]


@pytest.mark.parametrize("name", WRONG)
def test_wrong_request_is_answered_with_a_whole_problem(ask, name):
    answer = ask(WRONG[name][0](), headers={"X-Request-ID": "me"})
    assert answer.content_type == "application/problem+json"
    assert list(answer.json) == ["type", "title", "status", "code", "detail", "request_id"]
    assert (answer.json["type"], answer.json["status"]) == ("about:blank", answer.status_code)
    assert (answer.json["request_id"], answer.headers["X-Request-ID"]) == ("me", "me")


@pytest.mark.parametrize("name", WRONG)
def test_problem_is_one_short_line_without_our_insides(ask, name):
    text = ask(WRONG[name][0]()).json["detail"]
    assert 0 < len(text) < 400
    assert not re.search(r"\n|Traceback|/work|/tmp|site-packages|0x[0-9a-f]{6}|<_io|\.pyc?\b, line", text)


def test_wrong_method_names_the_right_ones(ask):
    assert set(ask({"path": "/classify"}).headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


def test_page_names_its_methods(ask):
    allow = ask({"path": "/", "method": "DELETE"}).headers["Allow"]
    assert set(allow.split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}


def test_unexpected_error_is_told_without_a_word_of_what_it_was(serving, tiny, jpeg):
    with serving(tiny) as app:
        app.add_url_rule("/breaks", view_func=lambda: {}["secret"])
        answer = app.test_client().get("/breaks")
    assert (answer.status_code, answer.json["code"], "secret" in answer.text) == (500, "internal", False)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
