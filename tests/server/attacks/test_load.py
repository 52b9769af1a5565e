"""S17, S19 to S21: more clients than there is room for, bad ones among good ones, and such as leave."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from PIL import Image

from bundle import model

CAPACITY = {"queue": 8, "request_threads": 8, "engine_threads": 1}
DEADLINE_S = 30


def share(times, part):
    """The value below which `part` of the sorted times lie, in ms."""
    return sorted(times)[int(part * (len(times) - 1))] * 1000


def healthy_ms(url, seconds):
    """The longest /healthz took, asked again and again."""
    until, worst = time.monotonic() + seconds, 0.0
    while time.monotonic() < until:
        start = time.monotonic()
        assert requests.get(url + "/healthz", timeout=60).status_code == 200
        worst = max(worst, time.monotonic() - start)
        time.sleep(0.1)
    return worst * 1000


def overload(server, swarm, data, count, seconds):
    """What `count` clients got, the sorted times of the accepted and of the shed, and the worst of /healthz."""
    with ThreadPoolExecutor(1) as health:
        worst = health.submit(healthy_ms, server.url, seconds)
        found, broken = swarm(server.url, [data] * count, seconds)
        worst = worst.result(60)
    accepted = sorted(took for status, took, *_ in found if status == 200)
    shed = sorted(took for status, took, *_ in found if status == 503)
    print(
        f"\n{count} clients, {seconds} s: {len(accepted)} accepted (p99 {share(accepted, 0.99):.0f} ms), {len(shed)} shed "
        f"(p50 {share(shed, 0.5):.1f}, p99 {share(shed, 0.99):.1f} ms), /healthz at most {worst:.0f} ms"
    )
    return found, broken, accepted


def check(found, broken, accepted):
    assert broken == []
    assert {status for status, *_ in found} == {200, 503}
    assert all(again for status, _, again, _ in found if status == 503)
    assert share(accepted, 0.99) < DEADLINE_S * 1000


@pytest.fixture(scope="module")
def narrow(start, slow):
    """One engine thread, some 10 ms a picture, 8 places in the queue."""
    with start(slow(5), deadline_ms=DEADLINE_S * 1000, unready_ms=0, **CAPACITY) as server:
        yield server


def test_s17_200_clients_are_answered_or_told_to_come_back(narrow, swarm, request_of, jpeg):
    check(*overload(narrow, swarm, request_of(jpeg), 200, 4))


def test_s17_after_the_rush_a_request_is_answered_at_once(narrow, swarm, request_of, post, jpeg):
    def after_a_rush_s():
        swarm(narrow.url, [request_of(jpeg)] * 100, 1)
        return timed(post, narrow.url, jpeg)

    assert any(after_a_rush_s() < 1 for _ in range(5))


@pytest.mark.soak
@pytest.mark.parametrize("count", [200, 2000])
def test_s17_clients_for_30_s(start, slow, swarm, request_of, jpeg, worker, memory, count):
    with start(slow(5), deadline_ms=DEADLINE_S * 1000, connections=4000, unready_ms=0, **CAPACITY) as server:
        swarm(server.url, [request_of(jpeg)] * count, 5)
        before = memory(worker(server), "VmRSS")
        check(*overload(server, swarm, request_of(jpeg), count, 30))
        assert memory(worker(server), "VmRSS") - before < 30
        assert healthy_ms(server.url, 1) < 1000


def test_a_connection_that_stays_open_holds_nothing_of_its_answered_requests(
    target, connect, read, request_of, memory, worker
):
    """Each of 64 pictures, in 200 requests; 4.5 KB of each were held once."""
    data = request_of(json.dumps({"instances": [[[[0] * 3] * 8] * 8] * 64}).encode(), path="/v1/models/tiny:predict")

    def ask(sock, count):
        for _ in range(count):
            sock.sendall(data)
            assert read(sock).status == 200
        return memory(worker(target), "RssAnon")

    with connect(target.url) as sock:
        before = ask(sock, 40)
        assert ask(sock, 200) - before < 15


# ---- S19: poison -----------------------------------------------------------------------------


def test_s19_broken_pictures_of_others_fail_nobody_elses(target, swarm, request_of, jpeg):
    good, bad = request_of(jpeg), request_of(jpeg[:300])
    found, broken = swarm(target.url, [good] * 8 + [bad] * 2, 3)
    counts = {status: sum(one[0] == status for one in found) for status in {one[0] for one in found}}
    print(f"\nwith 2 of 10 clients sending broken pictures: {counts}")
    assert (broken, set(counts)) == ([], {200, 422})


# ---- S20: cross-talk -------------------------------------------------------------------------


def colors(encoded):
    """64 pictures, each of a colour of its own."""
    steps = (40, 100, 160, 220)
    return [encoded(Image.new("RGB", (16, 16), (r, g, b)), "PNG") for r in steps for g in steps for b in steps]


def wrong_answers(url, tiny, request_of, connect, read, encoded, rounds):
    """Of 64 clients at once, each with a picture of its own, how many answers were not the picture's."""
    opened = model.open(tiny, "onnx")

    def client(data):
        wanted = opened.answer(opened.run(opened.prepare(data)[None])[0], 5)
        with connect(url) as sock:
            return [answer != wanted for answer in (ask(sock, data) for _ in range(rounds))]

    def ask(sock, data):
        sock.sendall(request_of(data))
        return json.loads(read(sock).body)["predictions"]

    with ThreadPoolExecutor(64) as clients:
        found = [wrong for answers in clients.map(client, colors(encoded)) for wrong in answers]
    return sum(found), len(found)


def test_s20_64_clients_each_get_their_own_answers(target, tiny, request_of, connect, read, encoded):
    assert wrong_answers(target.url, tiny, request_of, connect, read, encoded, 20) == (0, 1280)


@pytest.mark.soak
def test_s20_10_000_answers_are_everybodys_own(target, tiny, request_of, connect, read, encoded):
    assert wrong_answers(target.url, tiny, request_of, connect, read, encoded, 160) == (0, 10_240)


# ---- S21: clients that leave -----------------------------------------------------------------


@pytest.fixture(scope="module")
def heavy(start, slow):
    """One engine thread, some tenths of a second a picture."""
    knobs = {"queue": 20, "request_threads": 24, "engine_threads": 1, "deadline_ms": 600_000}
    with start(slow(80), **knobs, unready_ms=0) as server:
        yield server


@pytest.fixture
def run_for_who_left(heavy, connect, request_of, jpeg, figure, until):
    """(clients) -> how many pictures the engine ran for so many who asked and left."""

    def came():
        return figure(heavy.url, "imago_in_flight") + figure(heavy.url, "imago_requests_total", route="/classify")

    def run(count):
        ran, before = figure(heavy.url, "imago_batch_size_count"), came()
        left = [connect(heavy.url) for _ in range(count)]
        for sock in left:
            sock.sendall(request_of(jpeg))
        assert until(lambda: came() >= before + count)
        for sock in left:
            sock.close()
        assert until(lambda: figure(heavy.url, "imago_in_flight") == 0)
        return figure(heavy.url, "imago_batch_size_count") - ran

    return run


def timed(post, url, jpeg):
    start = time.monotonic()
    assert post(url, jpeg).status == 200
    return time.monotonic() - start


def test_s21_pictures_of_clients_that_left_are_not_run(heavy, run_for_who_left, post, jpeg):
    ran = run_for_who_left(18)
    assert post(heavy.url, jpeg).status == 200
    print(f"\nof 18 that were left alone {ran:.0f} were run")
    assert ran < 8


def test_s21_room_of_clients_that_left_is_free_again(heavy, run_for_who_left, post, jpeg):
    assert sum(run_for_who_left(40) for _ in range(5)) < 5 * 8
    with ThreadPoolExecutor(15) as clients:
        assert {one.status for one in clients.map(lambda _: post(heavy.url, jpeg), range(15))} == {200}
