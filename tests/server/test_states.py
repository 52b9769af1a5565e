"""The life of a version as both protocols tell it: found, loading, served, still held, gone; and why one was refused."""

import gc
import threading

import pytest

from server.app import create_app
from server.config import read
from server.errors import VersionRefused
from server.models import Models
from server.versions import reload

GATE_S = 60


def states(client, name="tiny"):
    """Of all versions of a model, as V1 and V2 have them, the latest first; they agree on which there are."""
    v1 = [(one["version"], one["state"]) for one in client.get(f"/v1/models/{name}").json["model_version_status"]]
    v2 = [(one["version"], one["state"]) for one in client.get("/v2/repository/index").json if one["name"] == name]
    assert [version for version, _ in v1] == [version for version, _ in v2]
    return [(state, other) for (_, state), (_, other) in zip(v1, v2, strict=True)]


@pytest.fixture
def starting(gate, tiny, multi):
    """A server whose first model waits at the gate."""
    gate.opened.clear()
    models, loaded = Models(read(bundle=(tiny, multi))), threading.Event()
    models.start(pytest.fail, lambda _: loaded.set())
    assert gate.reached.wait(GATE_S)
    yield create_app(models.config, models).test_client(), loaded
    gate.opened.set()
    assert loaded.wait(GATE_S)
    for model in models.all():
        models.get(model.manifest.name).pool.close()


def reloaded(gate, models):
    """A thread that reloads and has come to the gate."""
    gate.reached.clear()
    gate.opened.clear()
    thread = threading.Thread(target=reload, args=(models, "tiny"))
    thread.start()
    assert gate.reached.wait(GATE_S)
    return thread


def test_start_goes_from_found_to_loading_to_served(gate, starting):
    client, loaded = starting
    assert states(client) == [("LOADING", "LOADING")]
    assert states(client, "multi") == [("START", "LOADING")]
    gate.opened.set()
    assert loaded.wait(GATE_S)
    assert states(client) == states(client, "multi") == [("AVAILABLE", "READY")]


def test_loading_model_is_not_ready_and_says_so(starting):
    client, _ = starting
    answer = client.get("/v1/models/tiny")
    assert (answer.status_code, answer.json["ready"]) == (200, False)
    assert client.get("/v2/repository/index").json[0]["reason"] == "the models are still loading"
    assert client.post("/v2/repository/index", json={"ready": True}).json == []
    assert client.get("/v1/models/cats").status_code == 503  # it may come yet


def test_new_version_is_loading_beside_the_one_that_serves(gate, serving, link, tiny, second, move, number):
    with serving(link) as app:
        client = app.test_client()
        move(link, second)
        thread = reloaded(gate, app.extensions["imago"])
        assert states(client) == [("LOADING", "LOADING"), ("AVAILABLE", "READY")]
        path = f"/v1/models/tiny/versions/{number(second)}"
        of_one = client.get(path).json
        assert (of_one["model_version_status"][0]["state"], of_one["ready"]) == ("LOADING", False)
        assert client.post(f"{path}:predict", json={}).status_code == 404
        label = client.get("/v1/models/tiny/labels/stable").json["model_version_status"]
        assert [one["version"] for one in label] == [number(tiny)]
        gate.opened.set()
        thread.join(GATE_S)


def test_replaced_version_is_unloading_while_a_request_holds_it_and_then_ended(serving, link, second, move):
    with serving(link) as app:
        models, client = app.extensions["imago"], app.test_client()
        held = models.get("tiny")
        move(link, second)
        reload(models, "tiny")
        assert states(client) == [("AVAILABLE", "READY"), ("UNLOADING", "UNLOADING")]
        del held
        gc.collect()
        assert states(client) == [("AVAILABLE", "READY"), ("END", "UNAVAILABLE")]


def test_what_has_ended_is_forgotten_when_the_next_version_comes(serving, link, tiny, second, move):
    with serving(link) as app:
        models = app.extensions["imago"]
        for path in (second, tiny, second, tiny):
            move(link, path)
            reload(models, "tiny")
            gc.collect()
        assert states(app.test_client()) == [("AVAILABLE", "READY"), ("END", "UNAVAILABLE")]


def test_refused_version_has_ended_with_the_reason(serving, link, second, move, monkeypatch):
    with serving(link) as app:
        client = app.test_client()
        move(link, second)
        monkeypatch.setattr("bundle.golden.replay", lambda *_: 1 / 0)
        with pytest.raises(VersionRefused):
            reload(app.extensions["imago"], "tiny")
        assert states(client) == [("END", "UNAVAILABLE"), ("AVAILABLE", "READY")]
        reason = "it cannot be loaded; the server's log says why"
        status = client.get("/v1/models/tiny").json["model_version_status"][0]["status"]
        assert status == {"error_code": "FAILED_PRECONDITION", "error_message": reason}
        assert client.get("/v2/repository/index").json[0]["reason"] == reason


def test_server_that_goes_down_is_unloading(serving, tiny):
    with serving(tiny) as app:
        app.extensions["imago"].drain()
        client = app.test_client()
        assert states(client) == [("UNLOADING", "UNLOADING")]
        assert client.get("/v1/models/tiny").json["ready"] is False
        assert client.get("/v2/repository/index").json[0]["reason"] == "the server is going down"
