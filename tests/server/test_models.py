"""Which bundles are served, under which names, and what is said until they are."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.write import write
from server import models
from server.config import read
from server.errors import NotReady, UnknownModel
from server.models import Models
from server.pool import Job


def started(*paths):
    """Models whose loading has ended, and the error it ended with."""
    served, ended, errors = Models(read(bundle=paths)), threading.Event(), []
    served.start(lambda error: (errors.append(error), ended.set()), lambda _: ended.set())
    assert ended.wait(60)
    return served, errors


def test_models_come_in_the_order_of_the_flags(app):
    assert [model.manifest.name for model in app.extensions["imago"].all()] == ["tiny", "multi"]


def test_unknown_name_says_which_there_are(app):
    with pytest.raises(UnknownModel, match="^no model 'cats' is served; there are tiny, multi$"):
        app.extensions["imago"].get("cats")


def test_unknown_name_says_which_one_there_is(serving, tiny):
    with serving(tiny) as app, pytest.raises(UnknownModel, match="^no model 'cats' is served; there is tiny$"):
        app.extensions["imago"].get("cats")


def test_nothing_is_served_while_loading(tiny):
    with pytest.raises(NotReady, match="^the models are still loading; try again in a second$"):
        Models(read(bundle=(tiny,))).get(None)


def test_same_name_twice_is_refused_at_start(tiny, parts, tmp_path):
    other = write(tmp_path, replace(parts, tolerance=1e-3))
    with pytest.raises(BundleError) as caught:
        models.check((tiny, other))
    assert str(caught.value) == f"{other} and {tiny} are both called tiny; serve one, or train it with another --name"


def test_different_names_are_good(tiny, multi):
    assert models.check((tiny, multi)) is None


def test_what_is_no_bundle_is_refused_at_start(tmp_path):
    with pytest.raises(BundleError, match="no such bundle directory"):
        models.check((tmp_path / "gone",))


def test_bundle_that_cannot_be_loaded_ends_the_start(tiny_copy):
    (tiny_copy / "model.onnx").write_bytes(b"")
    served, errors = started(tiny_copy)
    assert (served.all(), served.ready(), [type(error) for error in errors]) == ([], False, [BundleError])


def test_one_bad_bundle_among_good_ones_ends_the_start(tiny, tiny_copy):
    (tiny_copy / "labels.txt").unlink()
    served, errors = started(tiny, tiny_copy)
    assert (served.all(), len(errors)) == ([], 1)


# ---- what an orchestrator sees -------------------------------------------------------------


def test_loading_is_alive_and_not_ready(loading):
    assert loading.get("/healthz").status_code == 200
    answer = loading.get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"ready": False, "reason": "the models are still loading"})


def test_request_while_loading_is_told_to_come_back(loading, jpeg):
    answer = loading.post("/classify", data=jpeg, content_type="image/jpeg")
    assert (answer.status_code, answer.json["code"], answer.headers["Retry-After"]) == (503, "not-ready", "1")


def test_page_while_loading_says_so(loading):
    page = loading.get("/")
    assert (page.status_code, "The model is still loading" in page.text) == (200, True)


def test_loaded_is_alive_and_ready(client):
    assert client.get("/healthz").json == {"alive": True}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"ready": True, "reason": ""})


def test_version_names_the_program_and_what_it_serves(client, app):
    from importlib.metadata import version

    served = [{"name": one.manifest.name, "id": one.manifest.id} for one in app.extensions["imago"].all()]
    assert client.get("/version").json == {"imago": version("imago"), "models": served}


def test_drained_is_not_ready_and_still_answers(serving, tiny, jpeg):
    with serving(tiny) as app:
        app.extensions["imago"].drain()
        client = app.test_client()
        statuses = client.get("/readyz").status_code, client.get("/healthz").status_code
        answer = client.post("/classify", data=jpeg, content_type="image/jpeg")
    assert (*statuses, answer.status_code) == (503, 200, 200)


def test_drained_while_loading_stays_unready(tiny):
    served, ended = Models(read(bundle=(tiny,))), threading.Event()
    served.drain()
    served.start(lambda _: None, lambda _: ended.set())
    assert ended.wait(60)
    assert served.state() == "the server is going down"
    served.get(None).pool.close()


def test_dead_engine_threads_are_not_alive(serving, tiny):
    with serving(tiny) as app:
        pass  # which closes its pools
    answer = app.test_client().get("/healthz")
    assert (answer.status_code, answer.json) == (503, {"alive": False})


@pytest.mark.parametrize("path", ["/classify", "/models/tiny/classify"])
def test_busy_server_says_when_to_come_back(serving, tiny, jpeg, path):
    with serving(tiny, queue=1) as app:
        pool = app.extensions["imago"].get("tiny").pool
        pool.close()  # nobody takes from the queue any more
        pool._queue.put(Job(np.zeros((8, 8, 3), np.uint8), deadline=float("inf")))
        answer = app.test_client().post(path, data=jpeg, content_type="image/jpeg")
    assert (answer.status_code, answer.json["code"], answer.headers["Retry-After"]) == (503, "busy", "1")


def test_picture_that_nobody_waits_for_any_more_keeps_no_place(serving, tiny, jpeg):
    with serving(tiny, deadline_ms=10, queue=1) as app:
        pool = app.extensions["imago"].get("tiny").pool
        pool.close()
        client = app.test_client()
        answers = [client.post("/classify", data=jpeg, content_type="image/jpeg") for _ in range(3)]
    assert [answer.json["code"] for answer in answers] == ["expired"] * 3
