"""A form's parts, as every client writes them, and what is no form."""

from contextlib import suppress
from io import BytesIO

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.formparser import MultiPartParser

from server.errors import BadRequest, BodyTooLarge
from server.multipart import Part, parts

FILE = b'Content-Disposition: form-data; name="image"; filename="a.jpg"'


def body(*heads_and_data, boundary=b"b"):
    return b"".join(
        b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + data + b"\r\n" for head, data in heads_and_data
    ) + (b"--" + boundary + b"--\r\n")


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5))
def test_parts_are_what_requests_sent(datas):
    sent = requests.Request("POST", "http://x/", files=[("image", ("a.jpg", data)) for data in datas]).prepare()
    found = parts(sent.body, sent.headers["Content-Type"].partition("boundary=")[2])
    assert [part.data for part in found] == datas
    assert {(part.name, part.is_file) for part in found} == {(b"image", True)}


@given(st.binary(max_size=200).filter(lambda data: b"\r\n--b" not in data and not data.startswith(b"--b")))
def test_parts_are_what_werkzeug_reads(data):
    sent = body((FILE, data))
    _, files = MultiPartParser(stream_factory=lambda *_, **__: BytesIO()).parse(BytesIO(sent), b"b", len(sent))
    assert parts(sent, "b") == [Part(b"image", True, files["image"].read())]


HEADS = {
    b'Content-Disposition: form-data; name="image"': (b"image", False),
    b'Content-Disposition: form-data; name="image"; filename=""': (b"image", False),
    b'content-disposition:form-data;filename="name=x"; name=image': (b"image", True),
    b"Content-Disposition: form-data; name=\"image\"; filename*=UTF-8''a.jpg": (b"image", True),
    b'Content-Type: image/jpeg\r\nContent-Disposition: form-data; name="image"; filename="a;b.jpg"': (b"image", True),
    b'X: Content-Disposition: form-data; name="image"': (b"", False),
}


@pytest.mark.parametrize("head", HEADS)
def test_head_says_name_and_whether_it_is_a_file(head):
    (part,) = parts(body((head, b"data")), "b")
    assert (part.name, part.is_file, part.data) == (*HEADS[head], b"data")


def test_longer_boundary_that_begins_alike_is_content():
    assert parts(body((FILE, b"1\r\n--bc\r\n2")), "b")[0].data == b"1\r\n--bc\r\n2"


def test_what_stands_before_and_behind_the_form_is_left_out():
    assert parts(b"hello\r\n" + body((FILE, b"x")) + b"\r\nbye", "b") == [Part(b"image", True, b"x")]


def test_part_may_be_empty():
    assert parts(body((FILE, b"")), "b")[0].data == b""
    assert parts(b"--b\r\n" + FILE + b"\r\n\r\n--b--", "b")[0].data == b""


@pytest.mark.parametrize("cut", range(1, 90, 7))
def test_form_that_breaks_off_is_refused(cut):
    whole = body((FILE, b"data"))
    with pytest.raises(BadRequest):
        parts(whole[: -4 - cut], "b")


@pytest.mark.parametrize("boundary", ["", "b" * 71, "ä"])
def test_boundary_is_one_of_rfc_2046(boundary):
    with pytest.raises(BadRequest, match="boundary"):
        parts(b"--", boundary)


def test_64_parts_are_enough():
    assert len(parts(body(*[(FILE, b"x")] * 64), "b")) == 64
    with pytest.raises(BodyTooLarge, match="at most 64"):
        parts(body(*[(FILE, b"x")] * 65), "b")


@given(st.binary(max_size=300))
def test_any_body_is_read_or_refused(data):
    for sent in (data, b"--b\r\n" + data, body((data, data))):
        with suppress(BadRequest, BodyTooLarge):
            assert all(part.data in sent for part in parts(sent, "b"))
