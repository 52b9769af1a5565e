"""S18: clients that send or read a byte now and then, and how little they keep from the others."""

import time
from contextlib import ExitStack

import pytest

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
def half_open(target, connect):
    """60 clients that have sent half of something."""
    with ExitStack() as stack:
        socks = [stack.enter_context(connect(target.url)) for _ in range(60)]
        for at, sock in enumerate(socks):
            sock.sendall((HALF_HEAD, HALF_BODY, HALF_CHUNK)[at % 3])
        yield socks


def closed_after_s(socks, limit_s):
    start = time.monotonic()
    for sock in socks:
        sock.settimeout(limit_s)
        while sock.recv(4096):
            pass
    return time.monotonic() - start


def test_s18_good_request_is_answered_beside_60_half_sent_ones(target, half_open, post, jpeg):
    beside = latencies(post, target.url, jpeg, 15)
    assert closed_after_s(half_open, 5) < 4
    idle = latencies(post, target.url, jpeg, 15)
    print(f"\ngood request, p50: {idle[7]:.1f} ms idle, {beside[7]:.1f} ms beside 60 half-sent ones")
    assert beside[7] < 2 * idle[7] + 20


def test_s18_half_sent_request_is_told_408_at_the_deadline(target, half_open, read):
    start = time.monotonic()
    assert {read(sock).status for sock in half_open} == {408}
    assert 1.5 < time.monotonic() - start < 4


def test_s18_a_byte_now_and_then_does_not_move_the_deadline(target, connect, read):
    with connect(target.url) as sock:
        sock.sendall(HALF_HEAD)
        start = time.monotonic()
        while time.monotonic() - start < 1.6:
            sock.sendall(b"x")
            time.sleep(0.1)
        assert read(sock).status == 408
        assert time.monotonic() - start < 3.5


def test_s18_silent_client_is_closed_at_the_deadline(target, connect):
    with connect(target.url) as sock:
        assert closed_after_s([sock], 5) < 4


@pytest.fixture(scope="module")
def verbose(start, bundles, parts, onnx):
    """A server with 1000 labels, so that an answer to 60 pictures has megabytes, and with two threads."""
    from dataclasses import replace

    from bundle.write import write

    labels = tuple(f"label {at} " + "x" * 60 for at in range(1000))
    wide = replace(parts, name="wide", labels=labels, models={"model.onnx": onnx(labels=1000)})
    with start(write(bundles, wide), request_threads=2, read_ms=2000, unready_ms=0) as server:
        yield server


def many(request_of, jpeg, count):
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + jpeg + b"\r\n"
    return request_of(part * count + b"--b--\r\n", "multipart/form-data; boundary=b", path="/classify?top=1000")


def test_s18_slow_readers_hold_no_thread(verbose, connect, request_of, post, jpeg):
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(verbose.url)) for _ in range(12)]
        for sock in slow:
            sock.sendall(many(request_of, jpeg, 60))
        time.sleep(2)  # the two threads make twelve answers of 7 MB
        assert latencies(post, verbose.url, jpeg, 5)[-1] < 1000


def test_s18_slow_reader_is_cut_off_at_the_deadline(verbose, connect, request_of, jpeg):
    with connect(verbose.url) as sock:
        sock.sendall(many(request_of, jpeg, 60))
        time.sleep(4)
        whole, until = 0, time.monotonic() + 10
        while (got := len(sock.recv(1 << 16))) and time.monotonic() < until:
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
