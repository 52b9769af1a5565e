"""S26: requests that two readers could understand in two ways, and such as no client of ours sends."""

import json
from contextlib import suppress

import pytest

GET = b"GET /version HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"

# Name -> (bytes, statuses of the one answer there may be).
ODD = {
    "length and chunks": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN, {400}),
    "chunks and length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + HIDDEN, {400}),
    "two lengths": (POST + b"Content-Length: 0\r\nContent-Length: 41\r\n\r\n" + HIDDEN, {400}),
    "the same length twice": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", {400}),
    "list of lengths": (POST + b"Content-Length: 3, 3\r\n\r\nabc", {400}),
    "length with a sign": (POST + b"Content-Length: +3\r\n\r\nabc", {400}),
    "negative length": (POST + b"Content-Length: -3\r\n\r\nabc", {400}),
    "hexadecimal length": (POST + b"Content-Length: 0x3\r\n\r\nabc", {400}),
    "length with an underscore": (POST + b"Content-Length: 1_0\r\n\r\n" + bytes(10), {400}),
    "length of other digits": (POST + b"Content-Length: \xb2\r\n\r\nab", {400}),
    "empty length": (POST + b"Content-Length: \r\n\r\n", {400}),
    "space before the colon": (POST + b"Content-Length : 3\r\n\r\nabc", {400}),
    "TE: xchunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {400}),
    "TE: chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", {400}),
    "two TE": (POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "TE: identity": (POST + b"Transfer-Encoding: identity\r\n\r\n", {400}),
    "TE with a tab": (POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", {400}),
    "TE in HTTP/1.0": (POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "folded line": (GET + b"X: a\r\n b\r\n\r\n", {400}),
    "folded TE": (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", {400}),
    "bare LF": (GET.replace(b"\r\n", b"\n") + b"\n", {400}),
    "bare LF in a field": (GET + b"X: a\nContent-Length: 3\r\n\r\n", {400}),
    "bare CR in a field": (GET + b"X: a\rb\r\n\r\n", {400}),
    "NUL in a field": (GET + b"X: a\0b\r\n\r\n", {400}),
    "field without a name": (GET + b": x\r\n\r\n", {400}),
    "field without a colon": (GET + b"nothing\r\n\r\n", {400}),
    "space in a name": (GET + b"X Y: x\r\n\r\n", {400}),
    "two hosts": (GET + b"Host: y\r\n\r\n", {400}),
    "1 MB field": (GET + b"X: " + b"x" * (1 << 20) + b"\r\n\r\n", {431}),
    "20 KB field": (GET + b"X: " + b"x" * (20 << 10) + b"\r\n\r\n", {431}),
    "10,000 fields": (GET + b"".join(b"X-%d: x\r\n" % n for n in range(10_000)) + b"\r\n", {431}),
    "100 fields": (GET + b"".join(b"X-%d: x\r\n" % n for n in range(100)) + b"\r\n", {431}),
    "path of 100 KB": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", {431}),
    "path of 6 KB": (b"GET /" + b"a" * 6000 + b" HTTP/1.1\r\n\r\n", {431}),
    "NUL in the path": (b"GET /\0 HTTP/1.1\r\n\r\n", {400}),
    "NUL in the path, encoded": (b"GET /a%00b HTTP/1.1\r\n\r\n", {400}),
    "line end in the path": (b"GET /a%0d%0aX:%20y HTTP/1.1\r\n\r\n", {400}),
    "out of the root": (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
    "out of static": (b"GET /static/..%2f..%2fapp.py HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
    "backslashes": (b"GET /static/..%5c..%5capp.py HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
    "no UTF-8 in the path": (b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
    "overlong dots": (b"GET /static/%c0%ae%c0%ae/app.py HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
    "no UTF-8 in the query": (POST.replace(b"/classify", b"/classify?top=%ff") + b"Content-Length: 1\r\n\r\nx", {400}),
    "8-bit path": (b"GET /\xff HTTP/1.1\r\n\r\n", {400}),
    "HTTP/0.9": (b"GET /version\r\n\r\n", {400}),
    "HTTP/2.0": (b"GET /version HTTP/2.0\r\n\r\n", {400}),
    "HTTP/1.1 with a space": (b"GET /version HTTP/1.1 \r\n\r\n", {400}),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n", {400}),
    "empty lines": (b"\r\n\r\n", {400}),
    "TRACE": (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", {405}),
    "CONNECT": (b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404, 405}),
    "CONNECT a path": (b"CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n", {400, 405}),
    "TRACK": (b"TRACK / HTTP/1.1\r\nHost: x\r\n\r\n", {405}),
    "lower-case method": (b"get / HTTP/1.1\r\n\r\n", {400}),
    "long method": (b"A" * 50 + b" / HTTP/1.1\r\n\r\n", {400}),
    "asterisk": (b"GET * HTTP/1.1\r\n\r\n", {400}),
    "another expectation": (POST + b"Expect: tea\r\nContent-Length: 1\r\n\r\nx", {400, 417}),
    "chunk without a size": (POST + b"Transfer-Encoding: chunked\r\n\r\n\r\n", {400}),
    "chunk of a negative size": (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", {400}),
    "chunk of 2^64": (POST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", {400}),
    "chunk of 0x10": (POST + b"Transfer-Encoding: chunked\r\n\r\n0x10\r\n", {400}),
    "longer chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n", {400}),
    "bare LF in an extension": (POST + b"Transfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n", {400}),
    "bare LF in a trailer": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n\r\n", {400}),
    "1 MB trailer": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"y" * (1 << 20) + b"\r\n\r\n", {431}),
    "1 MB extension": (POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"y" * (1 << 20) + b"\r\nx\r\n", {400}),
}


@pytest.mark.parametrize("name", ODD)
def test_s26_odd_request_gets_one_answer_and_what_hides_behind_it_none(target, connect, read, name):
    data, wanted = ODD[name]
    with connect(target.url) as sock:
        with suppress(OSError):  # it was refused before its end
            sock.sendall(data)
        answer = read(sock, data.split(b" ")[0].decode("latin1"))
        assert answer.status in wanted, answer.body
        if b"/hidden" in data:
            assert sock.recv(1000) == b""
    assert b"Traceback" not in answer.body


def test_s26_absolute_form_is_the_same_path(target, send):
    answer = send(target.url, b"GET http://elsewhere.example/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (answer.status, "imago" in json.loads(answer.body)) == (200, True)


@pytest.mark.parametrize("path", [b"//evil.example/classify", b"/\\evil.example", b"///evil.example", b"/static//x"])
def test_s26_no_path_leads_to_another_host(target, send, path):
    answer = send(target.url, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.status in (308, 400, 404, 405)
    assert "//evil" not in answer.headers.get("location", "").replace("http://x", "")


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PATH_INFO", "REMOTE_USER", "wsgi_input"])
def test_s26_fields_do_not_become_variables_of_the_server(target, send, name):
    answer = send(target.url, GET + f"{name}: /evil\r\nConnection: close\r\n\r\n".encode())
    assert (answer.status, b"evil" in answer.body) == (200, False)


def test_s26_requests_behind_each_other_are_answered_in_order(target, connect, read, request_of, jpeg):
    with connect(target.url) as sock:
        sock.sendall(GET + b"\r\n" + request_of(jpeg) + b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [read(sock).status for _ in range(3)] == [200, 200, 404]
