"""SageMaker's /ping and /invocations."""

import base64
import io

import pytest


def test_ready_server_answers_a_ping(client):
    assert (client.get("/ping").status_code, client.get("/ping").json) == (200, {"ready": True, "reason": ""})


def test_ping_of_a_loading_or_leaving_server_is_503(serving, tiny, loading):
    with serving(tiny) as app:
        app.extensions["imago"].drain()
        leaving = app.test_client().get("/ping")
    assert (loading.get("/ping").status_code, leaving.status_code) == (503, 503)


@pytest.mark.parametrize("kind", ["image/jpeg", "application/x-image", "application/octet-stream"])
def test_invocation_is_what_classify_says(client, jpeg, kind):
    headers = {"X-Request-ID": "me"}
    answers = [
        client.post("/invocations?top=2", data=jpeg, content_type=kind, headers=headers),
        client.post("/classify?top=2", data=jpeg, content_type="image/jpeg", headers=headers),
    ]
    assert answers[0].status_code == 200
    assert answers[0].json == answers[1].json


def test_several_pictures_give_results(client, jpeg):
    one = {"b64": base64.b64encode(jpeg).decode()}
    by_instances = client.post("/invocations", json={"instances": [one, one]}).json["results"]
    form = client.post("/invocations", data={"image": [(io.BytesIO(jpeg), "a"), (io.BytesIO(jpeg), "b")]})
    assert by_instances == form.json["results"]
    assert len(by_instances) == 2


BAD = {
    "CSV": (b"1,2,3", "text/csv", 415, "unsupported-content-type"),
    "no picture": (b"hello", "application/x-image", 415, "not-a-picture"),
    "no JSON": (b"{", "application/json", 400, "bad-request"),
    "other JSON": (b"{}", "application/json", 400, "bad-request"),
    "both": (b'{"image": "", "instances": []}', "application/json", 400, "bad-request"),
    "NaN": (b'{"instances": [[[[NaN]]]]}', "application/json", 400, "bad-request"),
    "cut off": (None, "image/jpeg", 422, "bad-picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_invocation_is_a_problem(client, jpeg, name):
    data, kind, status, code = BAD[name]
    answer = client.post("/invocations", data=data or jpeg[:200], content_type=kind)
    assert (answer.status_code, answer.json["code"], answer.mimetype) == (status, code, "application/problem+json")


@pytest.mark.parametrize(("method", "path"), [("POST", "/ping"), ("GET", "/invocations")])
def test_wrong_method_is_405(client, method, path):
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.json["code"]) == (405, "method-not-allowed")
    assert answer.headers["Allow"]
