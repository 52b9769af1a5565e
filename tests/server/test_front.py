"""The loop alone, with a small application: connections, deadlines, limits, and what is left when clients are gone."""

import http.client
import json
import select
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from flask import Flask
from gunicorn.config import Config

from server.config import read
from server.loop import Loop
from server.metrics import Metrics
from server.models import Models
from server.operation import Operation


class App:
    """Answers with what it got; /wait waits until it is told to go on, /large answers with 8 MB, /pieces piece by piece."""

    def __init__(self):
        self.go, self.seen = threading.Event(), []

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read()
        self.seen.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/wait":
            self.go.wait(60)
        if environ["PATH_INFO"] == "/breaks":
            raise ArithmeticError("on purpose")
        if environ["PATH_INFO"] == "/pieces":
            environ["imago.streamed"] = True
            start_response("200 OK", [])
            return self.pieces(environ["QUERY_STRING"])
        data = bytes(8 << 20) if environ["PATH_INFO"] == "/large" else environ["REQUEST_METHOD"].encode() + body
        start_response("200 OK", [("Content-Length", str(len(data)))])
        return [data]

    def pieces(self, query):
        """Forty of 8 KB, or large ones; the second half of them when it is told to go on, if so asked. `seen` has how far it came."""
        for at in range(40):
            self.seen.append(at)
            yield bytes(1 << 19 if query == "large" else 1 << 13)
            if at == 19 and query == "halves":
                self.go.wait(60)


@contextmanager
def running(**knobs):
    """(a loop in a thread, its application, (bytes) -> a socket that has sent them)."""
    app, listener, config = App(), socket.create_server(("127.0.0.1", 0)), read(**{"read_ms": 1000, **knobs})
    app.extensions = {"imago.operation": Operation(Flask("loop"), config, Metrics(Models(config)))}
    loop, ended, socks = Loop(app, Config(), config), threading.Event(), []
    loop.listen([listener])
    address = listener.getsockname()

    def work():
        while not ended.is_set():
            loop.turn()
        for left in loop.drain():
            if not left:
                break
        loop.close()

    def connect(data=b""):
        socks.append(socket.create_connection(address, timeout=60))
        socks[-1].sendall(data)
        return socks[-1]

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield loop, app, connect
    finally:
        app.go.set()
        for sock in socks:
            sock.close()
        ended.set()
        loop.wake()
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def front():
    with running() as parts:
        yield parts


def answer(sock, method="GET"):
    """Status, body and whether the connection is to be closed; no byte of the next answer is read."""
    with sock.makefile("rb", buffering=0) as file:
        status = int(file.readline().split()[1])
        headers = http.client.parse_headers(file)
        length, body = 0 if method == "HEAD" else int(headers["Content-Length"]), b""
        while len(body) < length:
            body += file.read(length - len(body))
    return status, body, headers["Connection"] == "close"


def post(path, body=b"", *lines):
    fields = b"".join(line + b"\r\n" for line in lines)
    return b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n" % (path, len(body), fields) + body


def code(found):
    return found[0], json.loads(found[1])["code"]


def gone(loop):
    """How many clients are known to have left while their request is at hand."""
    return sum(connection.gone.is_set for connection in loop.clients.all.copy())


GET = b"GET / HTTP/1.1\r\n\r\n"


def test_connection_takes_one_request_after_the_other(front):
    sock = front[2]()
    for at in range(5):
        sock.sendall(post(b"/", b"%d" % at))
        assert answer(sock) == (200, b"POST%d" % at, False)


def test_requests_sent_at_once_are_answered_in_order(front):
    sock = front[2](b"".join(post(b"/", b"%d" % at) for at in range(20)))
    assert [answer(sock)[1] for _ in range(20)] == [b"POST%d" % at for at in range(20)]


def test_request_that_waits_behind_a_running_one_is_answered(front, until):
    sock = front[2](post(b"/wait"))
    assert until(lambda: front[1].seen)
    sock.sendall(post(b"/", b"next"))
    time.sleep(0.2)
    front[1].go.set()
    assert [answer(sock)[1] for _ in range(2)] == [b"POST", b"POSTnext"]


def test_client_that_expects_it_is_told_to_continue(front):
    sock = front[2](b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
    assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    sock.sendall(b"abc")
    assert answer(sock) == (200, b"POSTabc", False)


def test_too_large_a_body_is_not_continued(front):
    sock = front[2](b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")
    assert code(answer(sock)) == (413, "too-large")


def test_chunks_are_a_body(front):
    sock = front[2](
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: y\r\n\r\n"
    )
    assert answer(sock) == (200, b"POSTabcde", False)


def test_http_1_0_is_answered_and_closed(front):
    sock = front[2](b"GET / HTTP/1.0\r\n\r\n")
    assert answer(sock) == (200, b"GET", True)
    assert sock.recv(1) == b""


def test_http_1_0_that_asks_for_it_stays_open(front):
    sock = front[2](b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert answer(sock)[0] == 200
    sock.sendall(GET)
    assert answer(sock)[0] == 200


def test_connection_close_is_heeded(front):
    sock = front[2](b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert answer(sock) == (200, b"GET", True)
    assert sock.recv(1) == b""


def test_head_has_no_body(front):
    sock = front[2](b"HEAD / HTTP/1.1\r\n\r\n" + GET)
    assert (answer(sock, "HEAD"), answer(sock)) == ((200, b"", False), (200, b"GET", False))


def test_refused_head_has_no_body(until):
    with running(queue=1, request_threads=1) as (loop, app, connect):
        for _ in range(2):
            connect(post(b"/wait"))
        assert until(lambda: loop.running == 2)
        sock = connect(b"HEAD / HTTP/1.1\r\n\r\n")
        assert answer(sock, "HEAD") == (503, b"", False)
        app.go.set()
        assert until(lambda: loop.running == 0)
        sock.sendall(GET)
        assert answer(sock) == (200, b"GET", False)


def test_long_field_is_a_431(front):
    assert code(answer(front[2](b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"))) == (431, "header-too-large")


@pytest.mark.parametrize(
    "data", [b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"], ids=["head", "body"]
)
def test_request_that_does_not_end_is_a_408(front, data):
    start = time.monotonic()
    assert code(answer(front[2](data))) == (408, "too-slow")
    assert 0.9 < time.monotonic() - start < 9  # ten seconds are what it would have by default


def test_idle_connection_is_closed_after_a_while(until):
    with running(keepalive_s=1) as (loop, _, connect):
        sock = connect(GET)
        assert answer(sock)[0] == 200
        assert sock.recv(1) == b""
        assert until(lambda: not loop.clients.all)


def test_one_request_too_many_is_told_at_once_and_stays_connected(until):
    with running(queue=1, request_threads=1) as (loop, app, connect):
        for _ in range(2):
            connect(post(b"/wait"))
        assert until(lambda: loop.running == 2)
        sock = connect(GET)
        assert code(answer(sock)) == (503, "busy")
        app.go.set()
        assert until(lambda: loop.running == 0)
        sock.sendall(GET)
        assert answer(sock) == (200, b"GET", False)


def test_10_000_requests_at_once_beside_a_full_queue_are_one_refusal(until):
    with running(queue=1, request_threads=1) as (loop, _, connect):
        for _ in range(2):
            connect(post(b"/wait"))
        assert until(lambda: loop.running == 2)
        assert code(answer(connect(b"GET / HTTP/1.1\r\n\r\n" * 10_000))) == (503, "busy")
        assert loop.running == 2


def test_connections_over_the_limit_are_told_so(until):
    with running(connections=4, read_ms=60_000) as (loop, _, connect):
        for _ in range(4):
            connect(b"GET / HT")
        assert until(lambda: len(loop.clients.all) == 4)
        assert code(answer(connect(GET))) == (503, "busy")


def test_silent_connection_gives_way_to_a_new_one(until):
    with running(connections=4, read_ms=60_000) as (loop, _, connect):
        silent = [connect() for _ in range(4)]
        assert until(lambda: len(loop.clients.all) == 4)
        time.sleep(1.2)
        assert answer(connect(GET))[0] == 200
        assert silent[0].recv(1) == b""
        assert len(loop.clients.all) == 4


def test_bodies_together_are_held_to_their_limit(until):
    with running(bodies_mb=4, max_body_mb=3, read_ms=60_000) as (loop, _, connect):
        half = [connect(b"POST / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + bytes(1_500_000)) for _ in range(4)]
        assert until(lambda: 0 < loop.clients.held <= 4 << 20)
        assert answer(connect(post(b"/", b"small"))) == (200, b"POSTsmall", False)
        assert until(lambda: loop.clients.held <= 4 << 20)  # a piece is counted a moment before it is one too many
        refused, _, _ = select.select(half, [], [], 60)  # which of them was the largest, the kernel's buffers decide
        assert code(answer(refused[0])) == (503, "busy")


def test_client_that_left_is_not_worked_for(until):
    with running(request_threads=1) as (loop, app, connect):
        connect(post(b"/wait"))
        assert until(lambda: app.seen)
        left = [connect(post(b"/left")) for _ in range(5)]
        assert until(lambda: loop.running == 6)
        for sock in left:
            sock.close()
        assert until(lambda: gone(loop) == 5)
        app.go.set()
        assert until(lambda: loop.running == 0)
        assert app.seen == ["/wait"]


def test_nothing_is_left_of_clients_that_are_gone(front, until):
    loop, _, connect = front
    for data in (GET, post(b"/", bytes(100_000)), b"GET / HT", b"", b"\r\n\r\n", post(b"/breaks")) * 10:
        connect(data).close()
    last = connect(GET)
    assert answer(last)[0] == 200  # and so all before it were let in
    last.close()
    assert until(lambda: (len(loop.clients.all), loop.running, loop.clients.held) == (0, 0, 0))
    assert len(loop.selector.get_map()) == 2


def test_slow_reader_gets_all_of_it_when_it_reads(front, until):
    sock = front[2](b"GET /large HTTP/1.1\r\n\r\n" + GET)
    time.sleep(0.3)
    assert until(lambda: front[0].running == 0)
    assert (len(answer(sock)[1]), answer(sock)[1]) == (8 << 20, b"GET")


def test_reader_that_does_not_read_is_closed(front, until):
    front[2](b"GET /large HTTP/1.1\r\n\r\n")
    assert until(lambda: front[0].clients.held > 1 << 20)
    assert until(lambda: not front[0].clients.all)
    assert front[0].clients.held == 0


def test_application_that_breaks_closes_only_its_own_connection(front):
    with suppress(ConnectionResetError):
        assert front[2](post(b"/breaks")).recv(100) == b""
    assert answer(front[2](GET))[0] == 200


def test_loop_outlives_an_error_of_its_own(front, monkeypatch):
    def broken(connection):
        raise ArithmeticError("on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(front[0], "_submit", broken)
        assert front[2](GET).recv(100) == b""
    assert answer(front[2](GET))[0] == 200


# ---- answers that are made piece by piece --------------------------------------------------


def asked_for_pieces(connect, query="", version="1.1"):
    return connect(f"GET /pieces{query} HTTP/{version}\r\nHost: x\r\n\r\n".encode())


def test_pieces_come_whole_and_the_connection_is_kept(front):
    _, _, connect = front
    sock = asked_for_pieces(connect)
    for _ in range(2):
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert len(answer.read()) == 40 << 13
        sock.sendall(b"GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n")


def test_pieces_come_before_the_last_is_made(front):
    _, app, connect = front
    asked_for_pieces(connect, "?halves").recv(1 << 13)
    assert len(app.seen) <= 1 + 20


def test_who_reads_no_pieces_is_left_and_the_thread_is_free(until):
    with running(request_threads=1) as (loop, app, connect):
        sock = asked_for_pieces(connect, "?large")
        answer = http.client.HTTPResponse(other := connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
        answer.begin()
        assert answer.read() == b"GET"
        assert app.seen[-2] < 39  # it was not made to its end
        other.close()
        assert until(lambda: (len(loop.clients.all), loop.clients.held) == (0, 0))
        sock.close()


def test_who_closes_in_the_middle_ends_the_answer(front, until):
    loop, app, connect = front
    sock = asked_for_pieces(connect, "?halves")
    sock.recv(100)
    assert until(lambda: len(app.seen) == 1 + 20)
    sock.close()
    assert until(lambda: gone(loop))
    app.go.set()
    assert until(lambda: not loop.running)
    assert len(app.seen) < 1 + 39


def test_next_request_behind_pieces_is_answered_after_them(front):
    _, _, connect = front
    sock = asked_for_pieces(connect)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    data = b"".join(iter(lambda: sock.recv(1 << 20), b""))
    assert data.endswith(b"\r\n\r\nGET")
    assert data.count(b"HTTP/1.1 200 OK") == 2
