"""TensorFlow Serving's REST protocol, and its errors: {"error": "..."}."""

import base64
import json

import numpy as np
import pytest

from server.pool import Job

PREDICT = "/v1/models/tiny:predict"


@pytest.fixture
def rows(jpeg):
    return {"instances": [{"b64": base64.b64encode(jpeg).decode()}]}


def test_models_are_named(client):
    assert client.get("/v1/models").json == {"models": ["tiny", "multi"]}


def test_status_is_tensorflow_serving_s_and_kserve_s(client, tiny, number):
    fine = {"error_code": "OK", "error_message": ""}
    wanted = {"version": number(tiny), "state": "AVAILABLE", "status": fine}
    assert client.get("/v1/models/tiny").json == {"model_version_status": [wanted], "name": "tiny", "ready": True}


def test_metadata_is_a_signature_and_the_labels(client, tiny, number):
    answer = client.get("/v1/models/tiny/metadata").json
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    shape = [dim["size"] for dim in signature["inputs"]["pixels"]["tensor_shape"]["dim"]]
    assert answer["model_spec"] == {"name": "tiny", "signature_name": "", "version": number(tiny)}
    assert (shape, answer["labels"]) == (["-1", "8", "8", "3"], ["red", "green", "blue"])
    assert signature["outputs"]["scores"]["dtype"] == "DT_FLOAT"


@pytest.mark.parametrize("path", ["", "/metadata", ":predict"])
def test_version_that_was_told_can_be_asked_for(client, tiny, number, rows, path):
    ask = client.post if path == ":predict" else client.get
    more = {"json": rows} if path == ":predict" else {}
    ways = ("", f"/versions/{number(tiny)}", "/labels/stable")
    answers = [ask(f"/v1/models/tiny{which}{path}", **more) for which in ways]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json == answers[1].json == answers[2].json


def test_rows_come_as_predictions_and_columns_as_outputs(client, rows):
    by_row, by_column = client.post(PREDICT, json=rows), client.post(PREDICT, json={"inputs": rows["instances"]})
    assert (list(by_row.json), list(by_column.json)) == (["predictions"], ["outputs"])
    assert by_row.json["predictions"] == by_column.json["outputs"]


@pytest.mark.parametrize("name", ["serving_default", ""])
def test_default_signature_may_be_named(client, rows, name):
    assert client.post(PREDICT, json={**rows, "signature_name": name}).status_code == 200


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", None])
def test_content_type_is_not_asked_for(client, rows, kind):
    assert client.post(PREDICT, data=json.dumps(rows), content_type=kind).status_code == 200


PIXELS = [[[0, 0, 0]] * 8] * 8

BAD = {
    "no object": ([1], "either instances, row by row, or inputs"),
    "neither": ({}, "either instances, row by row, or inputs"),
    "both": ({"instances": [], "inputs": []}, "either instances, row by row, or inputs"),
    "other signature": ({"instances": [PIXELS], "signature_name": "other"}, "no such signature_name"),
    "signature that is a list": ({"instances": [PIXELS], "signature_name": []}, "no such signature_name"),
    "no list": ({"instances": 7}, "instances is no list of 1 to 64 pictures"),
    "empty list": ({"instances": []}, "instances is no list of 1 to 64 pictures"),
    "columns of two": ({"inputs": {"a": [], "b": []}}, "inputs[0] is no picture"),
    "number": ({"instances": [7]}, "instances[0] is no picture; wanted"),
    "string": ({"instances": [PIXELS, "aaaa"]}, "instances[1] is no picture; wanted"),
    "object of two": ({"instances": [{"a": 1, "b": 2}]}, "instances[0] is no picture"),
    "object of none": ({"instances": [{}]}, "instances[0] is no picture"),
    "nested names": ({"instances": [{"a": {"a": {"b64": ""}}}]}, "instances[0] is no picture"),
    "b64 that is none": ({"instances": [{"b64": "*"}]}, "instances[0].b64 is no base64"),
    "b64 that is no string": ({"instances": [{"b64": 1}]}, "instances[0].b64 is no string"),
    "b64 of nothing": ({"instances": [{"b64": ""}]}, "the picture is empty"),
    "b64 of text": ({"instances": [{"b64": "aGVsbG8="}]}, "no picture that Imago reads"),
    "b64 of base64": ({"instances": [{"b64": "YUdWc2JHOD0="}]}, "no picture that Imago reads"),
    "ragged": ({"instances": [[[[0, 0, 0]] * 8] * 7 + [[[0, 0]] * 8]]}, "instances[0] is ragged"),
    "too few rows": ({"instances": [PIXELS[:7]]}, "has the shape [7, 8, 3]; wanted [8, 8, 3]"),
    "flat": ({"instances": [[0] * 192]}, "has the shape [192]; wanted [8, 8, 3]"),
    "nothing in it": ({"instances": [[]]}, "has the shape [0]; wanted [8, 8, 3]"),
    "text in it": ({"instances": [[[["0", "0", "0"]] * 8] * 8]}, "has a str in it"),
    "null in it": ({"instances": [[[[None, 0, 0]] * 8] * 8]}, "has a NoneType in it"),
    "truth in it": ({"instances": [[[[True, 0, 0]] * 8] * 8]}, "has a bool in it"),
    "brighter than white": ({"instances": [[[[256, 0, 0]] * 8] * 8]}, "whole ones from 0 to 255"),
    "below black": ({"instances": [[[[-1, 0, 0]] * 8] * 8]}, "whole ones from 0 to 255"),
    "scaled": ({"instances": [[[[0.5, 0, 0]] * 8] * 8]}, "whole ones from 0 to 255, not scaled"),
    "NaN": ({"instances": [[[[float("nan"), 0, 0]] * 8] * 8]}, "whole ones from 0 to 255"),
    "Infinity": ({"instances": [[[[float("inf"), 0, 0]] * 8] * 8]}, "whole ones from 0 to 255"),
    "30 digits": ({"instances": [[[[10**30, 0, 0]] * 8] * 8]}, "whole ones from 0 to 255"),
    "400 digits": ({"instances": [[[[10**400, 0, 0]] * 8] * 8]}, "a number that is too large"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_request_is_400_in_the_protocol_s_shape(client, name):
    content, words = BAD[name]
    answer = client.post(PREDICT, json=content)
    assert (answer.status_code, list(answer.json), answer.mimetype) == (400, ["error"], "application/json")
    assert words in answer.json["error"]
    assert len(answer.json["error"]) < 300


UNKNOWN = [
    "/v1/models/cats",
    "/v1/models/cats/metadata",
    "/v1/models/tiny/versions/1",
    "/v1/models/tiny/versions/one",
    "/v1/models/tiny/labels/canary",
    "/v1/models/tiny/labels/canary/metadata",
    "/v1/nowhere",
    "/v1/models//metadata",
]


@pytest.mark.parametrize("path", UNKNOWN)
def test_unknown_model_version_or_path_is_404(client, path):
    answer = client.get(path)
    assert (answer.status_code, list(answer.json)) == (404, ["error"])


@pytest.mark.parametrize(
    "path", ["/v1/models/cats:predict", "/v1/models/tiny/versions/1:predict", "/v1/models/tiny:explain"]
)
def test_unknown_model_version_or_verb_is_404_for_a_post(client, rows, path):
    answer = client.post(path, json=rows)
    assert (answer.status_code, list(answer.json)) == (404, ["error"])


@pytest.mark.parametrize(("method", "path", "allow"), [("GET", PREDICT, "POST"), ("POST", "/v1/models/tiny", "GET")])
def test_wrong_method_is_405_with_the_right_one(client, method, path, allow):
    answer = client.open(path, method=method)
    assert (answer.status_code, list(answer.json)) == (405, ["error"])
    assert allow in answer.headers["Allow"].split(", ")


def test_body_over_the_limit_is_413(serving, tiny):
    with serving(tiny, max_body_mb=1) as app:
        answer = app.test_client().post(PREDICT, data=bytes((1 << 20) + 1))
    assert (answer.status_code, list(answer.json)) == (413, ["error"])


def test_loading_is_503_with_retry_after(loading, rows):
    answers = [loading.get("/v1/models"), loading.get("/v1/models/tiny"), loading.post(PREDICT, json=rows)]
    assert [(answer.status_code, list(answer.json)) for answer in answers] == [(503, ["error"])] * 3
    assert answers[0].headers["Retry-After"] == "1"


def test_busy_is_503_and_late_is_504(serving, tiny, rows):
    with serving(tiny, deadline_ms=50, queue=1) as app:
        pool = app.extensions["imago"].get("tiny").pool
        pool.close()  # nobody takes from the queue any more
        late = app.test_client().post(PREDICT, json=rows)
        pool._queue.get_nowait()
        pool._queue.put_nowait(Job(np.zeros(1), float("inf")))
        answers = [late, app.test_client().post(PREDICT, json=rows)]
    assert [(answer.status_code, list(answer.json)) for answer in answers] == [(504, ["error"]), (503, ["error"])]


def test_fault_of_ours_is_500_in_the_protocol_s_shape(serving, tiny):
    with serving(tiny) as app:
        app.add_url_rule("/v1/breaks", view_func=lambda: {}["secret"])
        answer = app.test_client().get("/v1/breaks")
    assert (answer.status_code, list(answer.json), "secret" in answer.text) == (500, ["error"], False)
