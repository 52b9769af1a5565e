"""/metrics: what is counted, under which labels, and that nobody's bytes become one."""

import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families

from bundle.engine import Engine
from bundle.errors import Expired
from server import stages
from server.app import create_app
from server.config import read
from server.models import Models
from server.pool import Job, Pool

README = (Path(__file__).parents[2] / "README.md").read_text()
NAMES = re.findall(r"^\| `(imago_\w+)`", README, re.MULTILINE)
JPEG = {"content_type": "image/jpeg"}


def samples(text):
    """(name, labels as sorted pairs) -> value."""
    families = text_string_to_metric_families(text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value for one in families for sample in one.samples
    }


def value(found, name, /, **labels):
    return found.get((name, tuple(sorted(labels.items()))))


@pytest.fixture
def fresh(serving, tiny):
    """A client of its own application: what others asked is not in its figures."""
    with serving(tiny) as app:
        yield app.test_client()


@pytest.fixture
def figures(fresh):
    return lambda: samples(fresh.get("/metrics").text)


def test_text_is_of_the_library_s_type(client):
    answer = client.get("/metrics")
    assert (answer.status_code, answer.content_type) == (200, CONTENT_TYPE_LATEST)


def test_metrics_are_there_while_the_models_load(tiny):
    config = read(bundle=(tiny,))
    answer = create_app(config, Models(config)).test_client().get("/metrics")
    assert (answer.status_code, "imago_in_flight 0.0" in answer.text) == (200, True)


def test_every_metric_of_the_readme_is_there(fresh, jpeg):
    fresh.post("/classify", data=jpeg, **JPEG)
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in samples(fresh.get("/metrics").text)}
    assert len(NAMES) == 12
    assert set(NAMES) == {name for name in names if name.startswith("imago_")}


def test_readme_names_the_process_s_metrics_that_there_are(figures):
    assert "process_resident_memory_bytes" in README
    assert value(figures(), "process_resident_memory_bytes") > 1e6


def test_request_is_counted_by_route_method_and_status(fresh, figures, jpeg):
    for data in (jpeg, jpeg, b"none"):
        fresh.post("/models/tiny/classify", data=data, **JPEG)
    route = {"route": "/models/<name>/classify", "method": "POST"}
    found = figures()
    assert [value(found, "imago_requests_total", code=code, **route) for code in ("200", "415")] == [2, 1]
    assert value(found, "imago_request_seconds_count", route=route["route"]) == 3


@pytest.mark.parametrize("path", ["/nowhere", "/models/a/b/c", "/%0Aimago_forged 1", '/"}'])
def test_unknown_path_is_other(fresh, figures, path):
    fresh.get(path)
    routes = {dict(labels)["route"] for name, labels in figures() if name == "imago_requests_total"}
    assert routes == {"other"}


def test_unknown_method_is_other(fresh, figures):
    fresh.open("/classify", method="BREW")
    assert value(figures(), "imago_requests_total", route="other", method="other", code="405") == 1


def test_stages_are_timed_for_each_picture(fresh, figures, jpeg):
    fresh.post("/classify", data=jpeg, **JPEG)
    fresh.post("/classify", data=jpeg[:200], **JPEG)
    found = figures()
    counts = [value(found, f"imago_{stage}_seconds_count", model="tiny") for stage in ("decode", "queue", "engine")]
    assert counts == [2, 1, 1]
    assert 0 < value(found, "imago_decode_seconds_sum", model="tiny") < 5


def test_batches_are_counted_by_size(fresh, figures, jpeg):
    for _ in range(3):
        fresh.post("/classify", data=jpeg, **JPEG)
    found = figures()
    assert value(found, "imago_batch_size_bucket", model="tiny", le="1.0") == 3
    assert [value(found, f"imago_batch_size_{end}", model="tiny") for end in ("count", "sum")] == [3, 3]


def test_served_models_are_named(client, app):
    found = samples(client.get("/metrics").text)
    for model in app.extensions["imago"].all():
        labels = {"name": model.manifest.name, "id": model.manifest.id, "engine": "onnxruntime"}
        assert value(found, "imago_model_info", **labels) == 1


def test_nothing_is_in_flight_when_nothing_is_asked(fresh, figures, jpeg):
    fresh.application.add_url_rule("/breaks", "breaks", lambda: {}["x"])
    for data in (jpeg, b"none"):
        fresh.post("/classify", data=data, **JPEG)
    assert fresh.get("/breaks").status_code == 500
    assert value(figures(), "imago_in_flight") == 0


def test_two_applications_count_apart(serving, tiny):
    with serving(tiny) as one, serving(tiny) as other:
        one.test_client().get("/version")
        found = [samples(app.test_client().get("/metrics").text) for app in (one, other)]
    assert [value(each, "imago_requests_total", route="/version", method="GET", code="200") for each in found] == [
        1,
        None,
    ]


def test_who_was_turned_away_is_counted_by_reason(serving, tiny, jpeg):
    with serving(tiny, deadline_ms=10, queue=1) as app:
        pool = app.extensions["imago"].get("tiny").pool
        pool.close()  # nobody takes from the queue any more
        client = app.test_client()
        client.post("/classify", data=jpeg, **JPEG)  # its place in the queue is free again when its time is over
        pool._queue.get_nowait()
        pool._queue.put_nowait(Job(np.zeros(1), float("inf")))
        client.post("/classify", data=jpeg, **JPEG)
        found = samples(client.get("/metrics").text)
        pool._queue.get_nowait()
    assert value(found, "imago_queue_length", model="tiny") == 1
    assert [value(found, "imago_shed_total", reason=reason) for reason in ("expired", "queue")] == [1, 1]


# ---- what only a real process shows --------------------------------------------------------


def scraped(url):
    return samples(requests.get(url + "/metrics", timeout=60).text)


def test_slow_request_and_no_http_are_counted_by_the_loop(start, tiny, knock):
    with start(tiny, read_ms=2000, unready_ms=0) as server:
        assert knock(server.url, b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc").startswith(
            b"HTTP/1.1 408"
        )
        assert knock(server.url, b"no http\r\n\r\n").startswith(b"HTTP/1.1 400")
        found = scraped(server.url)
    assert value(found, "imago_requests_total", route="/classify", method="POST", code="408") == 1
    assert value(found, "imago_requests_total", route="other", method="other", code="400") == 1
    assert value(found, "imago_shed_total", reason="slow") == 1


def test_connections_are_counted_and_one_too_many_is_shed(start, tiny, knock):
    version = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with start(tiny, connections=1, unready_ms=0) as server, requests.Session() as session:
        for _ in range(100):  # until the server has noticed that the one who asked for /readyz has left
            session.get(server.url + "/version", timeout=60)  # which stays open
            if knock(server.url, version).startswith(b"HTTP/1.1 503"):
                break
        found = samples(session.get(server.url + "/metrics", timeout=60).text)
    assert value(found, "imago_shed_total", reason="loop") >= 1
    assert value(found, "imago_connections") in (1, 2)  # the refused one may linger for a moment


# ---- the pool's own notes ------------------------------------------------------------------


@pytest.fixture
def began():
    """When the engine of `stuck` began each of its batches."""
    return []


@pytest.fixture
def stuck(began):
    """A pool whose engine does not come back before the test ends, with a deadline of 10 ms."""
    end = threading.Event()

    def run(batch):
        began.append(time.monotonic())
        return end.wait(60) and batch[:, 0, 0, :1]

    one = Pool(Engine(name="test", device="cpu", run=run), read(deadline_ms=10))
    yield one
    end.set()
    one.close()


def test_stuck_batch_is_not_alive(stuck, red):
    assert stuck.alive()
    with pytest.raises(Expired):
        stuck.row(red, timeout_s=0.01)
    assert stuck.alive()  # a while longer than its deadline is no reason to be killed
    until = time.monotonic() + 60
    while stuck.alive():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_expired_while_running_is_time_of_the_queue_only_until_it_began(stuck, red, began):
    record, start = stages.begin(), time.monotonic()
    with pytest.raises(Expired):
        stuck.row(red, timeout_s=1)
    assert record.queue[0] <= began[0] - start
    assert record.engine == []


@pytest.fixture
def red():
    import numpy as np

    return np.zeros((2, 2, 3), np.uint8)
