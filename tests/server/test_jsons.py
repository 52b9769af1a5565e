"""JSON from strangers: what is no plain, flat, honest JSON is a 400 with a sentence, and base64 in its usual spellings is taken."""

import base64
import json

import pytest
import requests

from server import jsons
from server.errors import BadRequest

DATA = bytes(range(256)) * 3
DEEP = jsons.MAX_DEPTH

BAD = {
    "not closed": (b"[" * 200_000, "as many brackets are wanted to close as to open"),
    "too deep": (b"[" * 200_000 + b"]" * 200_000, "nested deeper than 32 levels"),
    "too deep by one": (b"[" * (DEEP + 1) + b"]" * (DEEP + 1), "nested deeper than 32 levels"),
    "too deep in objects": (b'{"a":' * 33 + b"1" + b"}" * 33, "nested deeper than 32 levels"),
    "closed before it is opened": (b"][", "nested deeper than 32 levels"),
    "wrong bracket": (b"[}", "the body is no JSON"),
    "empty": (b"", "the body is no JSON"),
    "two values": (b"{} {}", "the body is no JSON"),
    "comma at the end": (b'{"a": 1,}', "the body is no JSON"),
    "quote that is not closed": (b'{"a": "}', "as many brackets"),
    "control character": (b'{"a": "\n"}', "the body is no JSON"),
    "not UTF-8": (b'{"a": "\xff"}', "no JSON in UTF-8"),
    "byte order mark": (b"\xef\xbb\xbf{}", "without a byte order mark"),
    "UTF-16": ('{"a": 1}'.encode("utf-16-le"), "the body is no JSON"),
    "UTF-16 with a mark": ('{"a": 1}'.encode("utf-16"), "no JSON in UTF-8"),
    "UTF-32": ('{"a": 1}'.encode("utf-32-be"), "the body is no JSON"),
    "key twice": (b'{"a": 1, "a": 1}', "the key 'a' twice"),
    "key twice, in two spellings": (b'{"a": 1, "\\u0061": 1}', "the key 'a' twice"),
    "key of 10 MB": (b'{"' + b"k" * (10 << 20) + b'": 1}', "a key of more than 256 letters"),
    "NaN": (b"[NaN]", "NaN is no number in JSON"),
    "Infinity": (b"[-Infinity]", "-Infinity is no number in JSON"),
    "number over 64 bits": (b"[1e400]", "1e400 is too large for a number"),
    "number of 5000 digits": (b"9" * 5000, "the body is no JSON"),
    "8 million lists": (b"[" + b"[]," * (8 << 20) + b"1]", "too many lists and objects"),
    "8 million objects": (b"[" + b"{}," * (8 << 20) + b"1]", "too many lists and objects"),
    "8 million numbers": (b"[" + b"0," * (8 << 20) + b"1]", "too many values"),
    "8 million strings": (b"[" + b'"",' * (8 << 20) + b"1]", "too many strings"),
    "8 million quotes": (b'"' * (8 << 20), "too many strings"),
    "half of a surrogate pair": (b'["\\ud800"]', "half of a surrogate pair"),
    "other half, in a key": (b'{"\\udc00": 1}', "half of a surrogate pair"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_json_is_a_bad_request_with_a_short_sentence(name):
    body, words = BAD[name]
    with pytest.raises(BadRequest) as caught:
        jsons.read(body)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "content", [{"a": [1, 2.5, None, True, "ü€😀"]}, [], "[[[", '\\"[', "a\\\\", "\\", '"', 7, None]
)
def test_good_json_is_read_as_it_is(content):
    assert jsons.read(json.dumps(content).encode()) == content
    assert jsons.read(json.dumps(content, ensure_ascii=False).encode()) == content


def test_brackets_in_strings_are_no_levels():
    text = '[{"' * 10 + '\\"' + "[" * 99
    assert jsons.read(json.dumps({"a": text, "b": [text]}).encode()) == {"a": text, "b": [text]}


def test_deepest_good_json_is_read():
    content = jsons.read(b"[" * DEEP + b"]" * DEEP)
    assert json.dumps(content) == "[" * DEEP + "]" * DEEP


def test_nan_is_read_where_a_protocol_allows_it():
    found = jsons.read_with_nan(b"[NaN, Infinity, -Infinity]")
    assert [str(value) for value in found] == ["nan", "inf", "-inf"]


SPELLINGS = {
    "standard": base64.b64encode(DATA).decode(),
    "URL-safe": base64.urlsafe_b64encode(DATA).decode(),
    "with line breaks": base64.encodebytes(DATA).decode(),
    "with CR LF": base64.encodebytes(DATA).decode().replace("\n", "\r\n"),
    "data URL": "data:image/jpeg;base64," + base64.b64encode(DATA).decode(),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_base64_is_read_in_its_usual_spellings(name):
    assert jsons.from_base64(SPELLINGS[name], "image") == DATA


@pytest.mark.parametrize("text", ["*", "a", "abc", "ab=c", "größe", "\ud800", "a\0==", "====", "%2B%2B"])
def test_what_is_no_base64_is_a_bad_request_with_its_place(text):
    with pytest.raises(BadRequest, match=r"^image is no base64; wanted the standard or the URL-safe alphabet, padded$"):
        jsons.from_base64(text, "image")


@pytest.mark.parametrize("value", [None, 7, [], {}, True, b""])
def test_what_is_no_string_is_a_bad_request(value):
    with pytest.raises(BadRequest, match="^image is no string; wanted base64$"):
        jsons.from_base64(value, "image")


PATHS = ["/classify", "/invocations", "/v1/models/tiny:predict", "/v2/models/tiny/infer", "/models/tiny/classify"]


LARGE = {name for name in BAD if "million" in name}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", sorted(BAD.keys() - LARGE))
def test_every_route_refuses_bad_json(client, path, name):
    answer = client.post(path, data=BAD[name][0], content_type="application/json")
    good = {"NaN", "Infinity"} if "/v1/" in path else set()
    assert answer.status_code == 400
    assert name in good or BAD[name][1] in (answer.json.get("detail") or answer.json["error"])


@pytest.mark.parametrize("path", PATHS)
def test_200000_levels_leave_the_process_alive(served, path):
    answer = requests.post(
        served + path, data=BAD["not closed"][0], headers={"Content-Type": "application/json"}, timeout=60
    )
    assert answer.status_code == 400
    assert requests.get(served + "/readyz", timeout=60).status_code == 200
