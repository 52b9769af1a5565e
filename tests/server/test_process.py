"""A real `imago serve`: it starts, answers, goes down without losing a request, and says why where it cannot start."""

import io
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import requests
from PIL import Image

from bundle import model
from bundle.write import write
from server.worker import welcome

JPEG = {"Content-Type": "image/jpeg"}


def post(url, **more):
    return requests.post(url, timeout=60, **more)


def ready(url):
    return requests.get(url + "/readyz", timeout=60).status_code


@pytest.fixture
def leaving(start, tiny, until, workers):
    """(act) -> what `act(server)` gives while /readyz says 503 after a SIGTERM, with the listener still open."""

    def run(act):
        with start(tiny, unready_ms=60_000) as server:
            (worker,) = workers(server)
            before = act(server)
            server.process.terminate()
            assert until(lambda: ready(server.url) == 503)
            after = act(server)
            os.kill(worker, signal.SIGKILL)  # it would wait for the rest of the minute
        return before, after

    return run


def test_started_server_is_ready(served):
    assert ready(served) == 200


def test_answer_is_the_bundles_own(served, tiny, jpeg):
    opened = model.open(tiny, "onnx")
    wanted = opened.answer(opened.run(opened.prepare(jpeg)[None])[0], 5)
    assert post(served + "/classify", data=jpeg, headers=JPEG).json()["predictions"] == wanted


def test_200_requests_at_once_each_get_their_own_answer(served, encoded):
    pictures = [encoded(Image.new("RGB", (9, 9), color), "PNG") for color in ("red", "lime", "blue")]
    with ThreadPoolExecutor(16) as clients:
        answers = clients.map(lambda n: post(served + "/classify", data=pictures[n % 3], headers=JPEG), range(200))
        found = [answer.json()["predictions"][0]["label"] for answer in answers]
    assert found == [("red", "green", "blue")[n % 3] for n in range(200)]


def test_100_mb_body_is_a_413_problem(served, tmp_path):
    with (tmp_path / "large").open("w+b") as file:
        file.truncate(100 << 20)
        answer = post(served + "/classify", data=file, headers=JPEG)
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")
    assert answer.json()["detail"].startswith("the body is too large; at most 32 MB wanted")


def test_body_of_unknown_length_is_held_to_the_limit_too(served):
    answer = post(served + "/classify", data=(bytes(1 << 20) for _ in range(40)), headers=JPEG)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


@pytest.mark.parametrize("status", [400, 431])
def test_what_is_no_http_is_refused_and_the_server_goes_on(served, status):
    port = int(served.rpartition(":")[2])
    lines = {400: b"no http\r\n\r\n", 431: b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"}
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(lines[status])
        assert client.recv(100).startswith(f"HTTP/1.1 {status} ".encode())
    assert ready(served) == 200


def many(encoded):
    """Some tenths of a second of decoding: eight pictures of 2 megapixels."""
    data = encoded(Image.new("RGB", (1500, 1500), "red"), "PNG")
    return [("image", (f"{n}.png", io.BytesIO(data))) for n in range(8)]


def test_requests_in_flight_at_a_sigterm_are_all_answered(start, tiny, encoded, figure, until):
    with (
        start(tiny, unready_ms=0, queue=200, request_threads=8, deadline_ms=600_000) as server,
        ThreadPoolExecutor(8) as clients,
    ):
        jobs = [clients.submit(post, server.url + "/classify", files=many(encoded)) for _ in range(8)]
        assert until(lambda: sum(job.done() for job in jobs) + figure(server.url, "imago_in_flight") >= 8)
        assert server.end() == 0
        answers = [job.result(60) for job in jobs]
    assert [(answer.status_code, len(answer.json()["results"])) for answer in answers] == [(200, 8)] * 8


def test_connection_that_was_not_told_to_end_serves_on_while_the_server_goes_down(
    start, tiny, encoded, jpeg, figure, until
):
    with start(tiny, unready_ms=0) as server, requests.Session() as client, ThreadPoolExecutor(1) as thread:
        url = server.url + "/classify"
        running = thread.submit(client.post, url, files=many(encoded), timeout=60)
        assert until(lambda: figure(server.url, "imago_in_flight") or running.done())
        server.process.terminate()
        answers = [running.result(), client.post(url, data=jpeg, headers=JPEG, timeout=60)]
    assert [(each.status_code, each.headers["Connection"]) for each in answers] == [(200, "keep-alive"), (200, "close")]


def test_sigterm_tells_clients_to_let_go_of_their_connections(leaving, jpeg):
    with requests.Session() as client:
        before, after = leaving(
            lambda server: client.post(server.url + "/classify", data=jpeg, headers=JPEG, timeout=60)
        )
    assert [each.headers["Connection"] for each in (before, after)] == ["keep-alive", "close"]


def test_sigterm_makes_the_server_unready_before_the_listener_closes(leaving, jpeg):
    answers = leaving(lambda server: post(server.url + "/classify", data=jpeg, headers=JPEG))
    assert [answer.status_code for answer in answers] == [200, 200]


def test_ended_server_leaves_no_listener(start, tiny):
    with start(tiny, unready_ms=0) as server:
        assert server.end() == 0
    with pytest.raises(requests.ConnectionError):
        ready(server.url)


def test_two_bundles_are_served_by_name(start, tiny, multi, jpeg):
    with start(tiny, multi, unready_ms=0) as server:
        names = [
            post(f"{server.url}{path}/classify", data=jpeg, headers=JPEG).json()["model"]["name"]
            for path in ("", "/models/tiny", "/models/multi")
        ]
    assert names == ["tiny", "tiny", "multi"]


def test_start_says_what_is_served_and_how_to_try_it(start, tiny, until):
    with start(tiny, unready_ms=0, log="text") as server:
        assert until(lambda: "in a browser" in server.log.read_text())  # it may be ready a moment before it has said so
    text = server.log.read_text()
    assert f"  {tiny.name} on onnxruntime" in text
    assert f"open {server.url} in a browser" in text


def test_start_can_name_a_golden_picture_of_any_name(serving, parts, tmp_path, png):
    with serving(write(tmp_path, replace(parts, pictures={"cat.png": png}))) as app:
        assert "/golden/cat.png http://" in welcome(app.extensions["imago"])


# ---- what cannot start ---------------------------------------------------------------------


def test_port_in_use_is_a_sentence_and_a_failure(imago, tiny):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = imago("serve", "--bundle", tiny, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode != 0
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_bundle_is_one_sentence(imago, tmp_path):
    done = imago("serve", "--bundle", tmp_path / "gone")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"imago: {tmp_path}/gone: no such bundle directory; `imago bundle list DIR` shows what is there\n"
    )


def test_bundle_with_a_changed_file_ends_the_server_with_the_sentence(imago, tiny_copy, free_port):
    (tiny_copy / "labels.txt").write_text("red\ngreen\ngrue\n")
    done = imago("serve", "--bundle", tiny_copy, "--listen", f"127.0.0.1:{free_port}")
    assert done.returncode in (1, 3)
    assert f"imago: {tiny_copy}/labels.txt: " in done.stderr
    assert "Traceback" not in done.stderr


def test_same_name_twice_is_one_sentence(imago, tiny, tiny_copy):
    done = imago("serve", "--bundle", tiny, "--bundle", tiny_copy)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "are both called tiny" in done.stderr


def test_bad_flag_is_one_sentence(imago):
    done = imago("serve", "--queue", "many")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("imago: --queue (IMAGO_QUEUE): ")
