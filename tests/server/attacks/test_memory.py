"""Large pictures at once take no more memory than they are given, and small ones are answered meanwhile."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'


@pytest.fixture(scope="module")
def large(photo):
    """6 megapixels: 24 MB decoded, and 54 of what is reckoned with."""
    return photo(3000, 2000, form="PNG", compress_level=1)


def statuses_of(post, url, data, count):
    with ThreadPoolExecutor(count) as clients:
        return [answer.status for answer in clients.map(lambda _: post(url, data, "image/png"), range(count))]


def test_twelve_large_pictures_at_once_take_what_is_theirs(start, tiny, large, post, peak):
    with start(tiny, request_threads=16, decode_mb=64, deadline_ms=600_000, unready_ms=0) as server:
        statuses_of(post, server.url, large, 1)
        with peak(server) as grown:
            assert set(statuses_of(post, server.url, large, 12)) == {200}
    print(f"\n12 pictures of 24 MB in 64 MB of room: {grown[0]:.0f} MB")
    assert grown[0] < 64 + 32


def test_what_was_decoded_of_broken_pictures_is_not_kept(target, encoded, post, peak):
    """32 of them in one request; together they had 660 MB."""
    large = encoded(Image.new("RGB", (3000, 2000), "red"), "PNG")
    broken = b"".join(PART + large[: len(large) * 9 // 10] + b"\r\n" for _ in range(32)) + b"--x--\r\n"
    with peak(target) as grown:
        answer = post(target.url, broken, "multipart/form-data; boundary=x")
    print(f"\n32 broken pictures of 24 MB: {grown[0]:.0f} MB, their {len(broken) >> 20} MB body with it")
    assert (answer.status, answer.body.count(b'"bad-picture"')) == (200, 32)
    assert grown[0] < 100


def test_small_pictures_are_answered_while_large_ones_wait(start, tiny, large, post, jpeg):
    """Of four threads three take large ones, of which there is no end."""
    ended, found = threading.Event(), set()

    def client():
        while not ended.is_set():
            found.add(post(server.url, large, "image/png").status)

    knobs = {"request_threads": 4, "decode_mb": 64, "deadline_ms": 600_000, "unready_ms": 0}
    with start(tiny, **knobs) as server, ThreadPoolExecutor(8) as clients:
        jobs = [clients.submit(client) for _ in range(8)]
        time.sleep(0.5)
        assert [post(server.url, jpeg).status for _ in range(20)] == [200] * 20
        ended.set()
        for job in jobs:
            job.result(60)
    assert found == {200, 503}


def test_large_picture_that_has_no_room_before_its_deadline_is_a_504(start, tiny, large, post):
    with start(tiny, request_threads=16, decode_mb=1, deadline_ms=100, unready_ms=0) as server:
        found = set(statuses_of(post, server.url, large, 12))
    assert {504} <= found <= {200, 504}
