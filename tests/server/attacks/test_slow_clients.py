"""S18: clients that send or read a byte now and then, and how little they keep from the others."""

import select
import time
from contextlib import ExitStack
from dataclasses import replace

import pytest

from bundle.write import write

HALF_HEAD = b"POST /classify HTTP/1.1\r\nHost: x\r\nX: "
HALF_BODY = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 9999\r\n\r\n\xff\xd8"
HALF_CHUNK = (
    b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n999\r\n"
)


def latencies(post, url, jpeg, count):
    found = []
    for _ in range(count):
        start = time.monotonic()
        assert post(url, jpeg).status == 200
        found.append((time.monotonic() - start) * 1000)
    return sorted(found)


@pytest.fixture
def half_sent(stack, connect):
    """(server) -> 60 clients that have sent half of something to it."""

    def run(server):
        socks = [stack.enter_context(connect(server.url)) for _ in range(60)]
        for at, sock in enumerate(socks):
            sock.sendall((HALF_HEAD, HALF_BODY, HALF_CHUNK)[at % 3])
        return socks

    return run


def closed_after_s(sock):
    start = time.monotonic()
    while sock.recv(4096):
        pass
    return time.monotonic() - start


def test_s18_half_sent_request_is_told_408_at_the_deadline_and_closed(target, half_sent, read):
    start = time.monotonic()
    socks = half_sent(target)
    assert {read(sock).status for sock in socks} == {408}
    assert 1.9 < time.monotonic() - start < 9  # ten seconds are what it would have by default
    assert {sock.recv(1) for sock in socks} == {b""}


def test_s18_a_byte_now_and_then_does_not_move_the_deadline(target, connect, read):
    with connect(target.url) as sock:
        sock.sendall(HALF_HEAD)
        end = time.monotonic() + 60
        while not select.select([sock], [], [], 0.1)[0] and time.monotonic() < end:
            sock.sendall(b"x")
        assert read(sock).status == 408


def test_s18_silent_client_is_closed_at_the_deadline(target, connect):
    with connect(target.url) as sock:
        assert closed_after_s(sock) < 9


@pytest.fixture(scope="module")
def wide(bundles, parts, onnx):
    """A bundle with 1000 labels, so that an answer to 60 pictures has megabytes."""
    labels = tuple(f"label {at} " + "x" * 60 for at in range(1000))
    return write(bundles, replace(parts, name="wide", labels=labels, models={"model.onnx": onnx(labels=1000)}))


@pytest.fixture(scope="module")
def verbose(start, wide):
    with start(wide, request_threads=2, read_ms=2000, unready_ms=0) as server:
        yield server


@pytest.fixture(scope="module")
def patient(start, wide):
    """A server that waits for its clients for ten minutes: who needs what they hold is not answered."""
    with start(wide, request_threads=2, read_ms=600_000, deadline_ms=600_000, unready_ms=0) as server:
        yield server


def test_s18_good_request_is_answered_beside_60_half_sent_ones(patient, half_sent, post, jpeg):
    half_sent(patient)
    assert {post(patient.url, jpeg).status for _ in range(15)} == {200}


def many(request_of, jpeg, count):
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + jpeg + b"\r\n"
    return request_of(part * count + b"--b--\r\n", "multipart/form-data; boundary=b", path="/classify?top=1000")


def test_s18_slow_readers_hold_no_thread(patient, stack, connect, request_of, post, jpeg):
    """The two threads make twelve answers of 7 MB."""
    for _ in range(12):
        stack.enter_context(connect(patient.url)).sendall(many(request_of, jpeg, 60))
    assert {post(patient.url, jpeg).status for _ in range(5)} == {200}


def test_s18_slow_reader_is_cut_off_at_the_deadline(verbose, connect, request_of, jpeg, figure, until):
    def answered():
        return figure(verbose.url, "imago_requests_total", route="/classify")

    before = answered()
    with connect(verbose.url) as sock:
        sock.sendall(many(request_of, jpeg, 60))
        assert until(lambda: answered() > before)
        assert until(lambda: figure(verbose.url, "imago_connections") == 1)  # the one that asks
        whole = 0
        while got := len(sock.recv(1 << 16)):
            whole += got
    assert 0 < whole < 5 << 20


def test_s18_patient_reader_gets_all_of_a_large_answer(verbose, send, request_of, jpeg):
    answer = send(verbose.url, many(request_of, jpeg, 60))
    assert (answer.status, answer.body[-2:], len(answer.body) > 4 << 20) == (200, b"}\n", True)


@pytest.mark.soak
def test_s18_1000_half_sent_requests(target, connect, post, jpeg):
    with ExitStack() as stack:
        for at in range(1000):
            stack.enter_context(connect(target.url)).sendall((HALF_HEAD, HALF_BODY)[at % 2])
        assert latencies(post, target.url, jpeg, 15)[7] < 200
