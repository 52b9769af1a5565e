"""The bytes of a request: however they are cut it is the same request, and whatever they are no strange error comes of them."""

from contextlib import suppress

import pytest
from gunicorn.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.errors import BadRequest, BodyTooLarge, HeadTooLarge, UnsupportedContent
from server.wire import MAX_CHUNKS, MAX_HEAD, MAX_LINE, MAX_TRAILERS, Incoming

DOCUMENTED = (BadRequest, BodyTooLarge, HeadTooLarge, UnsupportedContent)
LIMIT = 1 << 20
HEAD = b"POST /classify HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def incoming():
    return Incoming(Config(), ("127.0.0.1", 1), LIMIT)


def fed(data, cuts=()):
    """The request after these bytes came in pieces, one more behind each cut; what comes when it is whole stays behind."""
    request, bounds = incoming(), [0, *sorted(cuts), len(data)]
    for at, (start, end) in enumerate(zip(bounds, bounds[1:], strict=False)):
        request.feed(data[start:end])
        if request.whole:
            return request, data[bounds[at + 1] :]
    return request, b""


def read(data, cuts=()):
    request, behind = fed(data, cuts)
    return request.whole, request.head.path, request.head.headers, bytes(request.body), request.rest + behind


token = st.text("abcXYZ-", min_size=1, max_size=8).map(str.encode)
field = st.tuples(token, st.text("abc :;,=\t", max_size=12).map(str.encode))


@st.composite
def requests(draw):
    """A good request, and what comes behind it."""
    fields = b"".join(b"X-" + name + b":" + value + b"\r\n" for name, value in draw(st.lists(field, max_size=4)))
    body, rest = draw(st.binary(max_size=300)), draw(st.sampled_from([b"", b"GET / HTTP/1.1\r\n", b"\r\n", b"\xff"]))
    if draw(st.booleans()):
        return HEAD + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body + rest
    chunks, size = b"", draw(st.integers(1, 80))
    for at in range(0, len(body), size):
        piece = body[at : at + size]
        chunks += b"%x" % len(piece) + draw(st.sampled_from([b"", b";a=b", b" ; x"])) + b"\r\n" + piece + b"\r\n"
    trailers = draw(st.sampled_from([b"", b"X: y\r\n", b"X: y\r\nZ: \r\n"]))
    return HEAD + fields + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailers + b"\r\n" + rest


@settings(deadline=None)
@given(requests(), st.data())
def test_good_request_is_the_same_however_it_is_cut(data, pick):
    cuts = pick.draw(st.lists(st.integers(0, len(data)), max_size=12))
    assert read(data, cuts) == read(data)


@settings(max_examples=25, deadline=None)
@given(requests())
def test_good_request_is_the_same_byte_by_byte(data):
    assert read(data, range(1, len(data))) == read(data)


pieces = st.sampled_from(
    [
        *(b"GET ", b"POST ", b"/", b" HTTP/1.1", b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"0", b"f", b";", b"\xff"),
        *(b"Content-Length: ", b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"99999999", b"Host: x"),
        *(
            b"Content-Encoding: gzip",
            b"-1",
            b"\r\n\r\n",
            b"\t",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"http://[",
            b"%00",
        ),
    ]
)
noise = st.one_of(
    st.binary(max_size=200), st.lists(st.one_of(pieces, st.binary(max_size=3)), max_size=30).map(b"".join)
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([b"", b"GET / HTTP/1.1\r\n", HEAD, CHUNKED]), noise, st.lists(st.integers(0, 200), max_size=5))
def test_arbitrary_bytes_raise_nothing_but_the_documented_errors(start, data, cuts):
    data = start + data
    try:
        request, _ = fed(data, [min(cut, len(data)) for cut in cuts])
    except DOCUMENTED:
        return
    assert request.whole or request.held <= len(data)


@pytest.mark.soak
@settings(max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([b"", b"GET / HTTP/1.1\r\n", HEAD, CHUNKED]), noise)
def test_20_000_arbitrary_requests(start, data):
    with suppress(DOCUMENTED):
        fed(start + data)


# ---- limits are the same for slow and fast senders -------------------------------------------


def head_of(size):
    """A head of `size` bytes before its empty line."""
    fields, at = b"GET / HTTP/1.1\r\n", 0
    while len(fields) < size - 6000:
        fields, at = fields + b"X-%d: " % at + b"x" * 5000 + b"\r\n", at + 1
    return fields + b"Y: " + b"y" * (size - len(fields) - 3) + b"\r\n\r\n"


AT_THE_LIMIT = {
    "head": lambda over: head_of(MAX_HEAD + over),
    "size line": lambda over: CHUNKED + b"1;" + b"x" * (MAX_LINE - 2 + over) + b"\r\nx\r\n0\r\n\r\n",
    "trailers": lambda over: CHUNKED + b"0\r\nX: " + b"x" * (MAX_TRAILERS - 3 + over) + b"\r\n\r\n",
    "length": lambda over: HEAD + b"Content-Length: %d\r\n\r\n" % (LIMIT + over) + bytes(LIMIT + over),
    "chunks": lambda over: CHUNKED + b"1\r\nx\r\n" * (MAX_CHUNKS + over) + b"0\r\n\r\n",
}


@pytest.mark.parametrize("name", AT_THE_LIMIT)
@pytest.mark.parametrize("step", [None, 997], ids=["at once", "in pieces"])
def test_limit_is_taken_and_one_more_is_refused(name, step):
    fits, over = AT_THE_LIMIT[name](0), AT_THE_LIMIT[name](1)
    assert fed(fits, range(step, len(fits), step) if step else ())[0].whole
    with pytest.raises(DOCUMENTED):
        fed(over, range(step, len(over), step) if step else ())


@pytest.mark.parametrize("name", ["head", "size line", "trailers"])
def test_limit_is_the_same_byte_by_byte(name):
    fits = AT_THE_LIMIT[name](0)
    assert fed(fits, range(len(fits) - 4300 if name == "head" else 1, len(fits)))[0].whole


def test_what_is_held_is_counted_while_chunks_come():
    request = incoming()
    request.feed(CHUNKED + b"64\r\n" + bytes(100) + b"\r\n64\r\n" + bytes(50))
    assert request.held == 100 + 50


def test_what_was_taken_or_dropped_is_held_no_longer():
    whole, half = fed(HEAD + b"Content-Length: 3\r\n\r\nabc")[0], fed(CHUNKED + b"64\r\n" + bytes(99))[0]
    assert whole.take() == b"abc"
    half.drop()
    assert (whole.held, half.held) == (0, 0)


def test_fields_with_an_underscore_are_dropped():
    request, _ = fed(b"GET / HTTP/1.1\r\nSCRIPT_NAME: /x\r\nX_Y: z\r\nX-Y: z\r\n\r\n")
    assert request.head.headers == [("X-Y", "z")]
