"""POST /convert: the same picture gives the same document whichever way it comes and goes."""

import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import requests
from PIL import Image

from bundle import model
from bundle.write import write

PICTURE = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def app(serving, tiny, boxes, drawing):
    with serving(tiny, boxes, drawing) as app:
        yield app


@pytest.fixture(scope="module")
def red():
    out = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def wanted(boxes, red):
    """What the bundle itself makes of the picture."""
    opened = model.open(boxes, "onnx")
    found = opened.convert(opened.prepare(red))
    return {
        "xml": found.xml.decode(),
        "valid": True,
        "sure": True,
        "score": found.score,
        "tokens": found.tokens,
    }


def form(*pictures):
    return {"data": {"image": [(io.BytesIO(data), f"{at}.png") for at, data in enumerate(pictures)]}}


WAYS = {
    "multipart": form,
    "image/png": lambda data: {"data": data, "content_type": "image/png"},
    "octet-stream": lambda data: {"data": data, "content_type": "application/octet-stream"},
    "base64": lambda data: {"json": {"image": base64.b64encode(data).decode()}},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", ["/convert", "/models/boxes/convert"])
def test_every_way_gives_the_same_document(client, red, wanted, way, path):
    answer = client.post(path, **WAYS[way](red))
    assert (answer.status_code, {name: answer.json[name] for name in wanted}) == (200, wanted)


def test_answer_is_in_the_order_of_the_readme(client, red, boxes):
    content = json.loads(client.post("/convert", data=red, headers={**PICTURE, "X-Request-ID": "me-1"}).data)
    assert list(content) == ["xml", "valid", "sure", "score", "tokens", "model", "request_id"]
    assert (content["model"]["name"], content["request_id"]) == ("boxes", "me-1")


def test_several_pictures_give_results_in_order_and_a_bad_one_its_problem(client, red, wanted):
    answer = client.post("/convert", **form(red, b"no picture", red))
    first, bad, last = answer.json["results"]
    assert (answer.status_code, first, last) == (200, wanted, wanted)
    assert (bad["status"], bad["code"]) == (415, "not-a-picture")


@pytest.mark.parametrize("color", ["black", "white", "gray", "pink"])
def test_picture_that_is_none_of_ours_gives_a_valid_document_that_is_not_sure(client, encoded, color):
    answer = client.post("/convert", data=encoded(Image.new("L", (50, 3), color), "PNG"), headers=PICTURE).json
    assert (answer["valid"], answer["sure"]) == (True, False)


# ---- the document itself -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/xml", "application/xml"),
        ("application/xml, application/json;q=0.5", "application/xml"),
        ("application/*", "application/json"),
        ("*/*", "application/json"),
        ("text/plain", "application/json"),
        ("image/svg+xml, application/json;q=0.1", "application/json"),
    ],
)
def test_accept_chooses_the_type(client, red, accept, kind):
    answer = client.post("/convert", data=red, headers={**PICTURE, "Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, kind)


def test_document_comes_as_it_is_with_how_sure_it_is(client, red, wanted):
    answer = client.post("/convert", data=red, headers={**PICTURE, "Accept": "application/xml"})
    assert answer.text == wanted["xml"]
    assert (answer.headers["X-Imago-Sure"], answer.headers["X-Imago-Score"]) == ("true", f"{wanted['score']:.6f}")


def test_drawing_comes_as_svg(client, red):
    answer = client.post("/models/drawing/convert", data=red, headers={**PICTURE, "Accept": "image/svg+xml"})
    assert (answer.mimetype, answer.data[:5]) == ("image/svg+xml", b"<svg ")


def test_svg_of_what_is_none_is_406(client, red):
    answer = client.post("/convert", data=red, headers={**PICTURE, "Accept": "image/svg+xml"})
    assert (answer.status_code, answer.json["code"]) == (406, "not-acceptable")
    assert answer.json["detail"] == (
        "the documents of boxes are no SVG; wanted Accept: application/json or application/xml"
    )


def test_several_documents_are_406(client, red):
    answer = client.post("/convert", **form(red, red), headers={"Accept": "application/xml"})
    assert (answer.status_code, answer.json["code"]) == (406, "not-acceptable")


# ---- how it is made ------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["fit=0", "fit=1", "beam=1", "beam=8", "beam=3&fit=0", "stream=0"])
def test_ways_to_make_it_give_valid_documents(client, red, query):
    assert client.post(f"/models/drawing/convert?{query}", data=red, headers=PICTURE).json["valid"] is True


@pytest.mark.parametrize("query", ["fit=2", "fit=", "fit=yes", "beam=0", "beam=9", "beam=x", "stream=2", "beam=%00"])
def test_bad_query_is_400(client, red, query):
    answer = client.post(f"/convert?{query}", data=red, headers=PICTURE)
    assert (answer.status_code, answer.json["code"]) == (400, "bad-request")


# ---- kinds ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/models/boxes/classify", "the model boxes makes XML; POST to /models/boxes/convert"),
        ("/models/tiny/convert", "the model tiny classifies; POST to /models/tiny/classify"),
        ("/models/cats/convert", "no model 'cats' is served; there are tiny, boxes, drawing"),
    ],
)
def test_model_of_the_other_kind_is_404_with_the_way(client, red, path, detail):
    answer = client.post(path, data=red, headers=PICTURE)
    assert (answer.status_code, answer.json["code"], answer.json["detail"]) == (404, "unknown-model", detail)


def test_without_a_name_the_first_of_the_kind_answers(client, red):
    names = [client.post(path, data=red, headers=PICTURE).json["model"]["name"] for path in ("/classify", "/convert")]
    assert names == ["tiny", "boxes"]


@pytest.mark.parametrize(
    ("served", "path", "words"), [("tiny", "/convert", "makes XML"), ("boxes", "/classify", "classifies")]
)
def test_server_without_the_kind_says_what_there_is(serving, request, red, served, path, words):
    with serving(request.getfixturevalue(served)) as app:
        answer = app.test_client().post(path, data=red, headers=PICTURE)
    assert (answer.status_code, answer.json["detail"]) == (404, f"no model that {words} is served; there is {served}")


def test_page_works_where_only_xml_is_served(serving, boxes, red, wanted):
    browser = {"Accept": "text/html"}
    with serving(boxes) as app:
        client = app.test_client()
        page, answer = client.get("/", headers=browser), client.post("/", **form(red), headers=browser)
        as_json = client.post("/", **form(red), headers={"Accept": "application/json"})
    assert 'data-ask="/models/boxes/convert"' in page.text
    assert (answer.status_code, "&lt;box color=&#34;red&#34;/&gt;" in answer.text) == (200, True)
    assert as_json.json["xml"] == wanted["xml"]


def test_invocations_answer_by_the_kind_of_the_first_model(serving, boxes, tiny, red, wanted):
    with serving(boxes, tiny) as app:
        client = app.test_client()
        raw = client.post("/invocations", data=red, content_type="application/x-image")
        listed = client.post("/invocations", json={"instances": [{"b64": base64.b64encode(red).decode()}] * 2})
    assert raw.json["xml"] == wanted["xml"]
    assert listed.json["results"] == [wanted, wanted]


# ---- the queue -----------------------------------------------------------------------------


def test_conversion_that_is_too_late_is_504(serving, slow, red):
    with serving(slow, deadline_ms=100) as app:
        answer = app.test_client().post("/convert", data=red, headers=PICTURE)
        assert (answer.status_code, answer.json["code"]) == (504, "expired")


def test_full_queue_is_503(serving, boxes, red):
    with serving(boxes, queue=1) as app:
        pool = app.extensions["imago"].get("boxes").pool
        pool.close()
        pool._queue.put(None)
        answer = app.test_client().post("/convert", data=red, headers=PICTURE)
    assert (answer.status_code, answer.json["code"]) == (503, "busy")


# ---- other protocols -----------------------------------------------------------------------


def test_v1_predicts_strings(client, red, wanted):
    body = {"instances": [{"b64": base64.b64encode(red).decode()}] * 2}
    assert client.post("/v1/models/boxes:predict", json=body).json == {"predictions": [wanted["xml"]] * 2}


def test_v1_metadata_says_string(client):
    about = client.get("/v1/models/boxes/metadata").json
    signature = about["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert (signature["outputs"]["xml"]["dtype"], "labels" in about) == ("DT_STRING", False)


def test_v2_metadata_says_bytes(client):
    about = client.get("/v2/models/boxes").json
    assert about["outputs"] == [
        {"name": "xml", "datatype": "BYTES", "shape": [-1]},
        {"name": "sure", "datatype": "BOOL", "shape": [-1]},
        {"name": "score", "datatype": "FP32", "shape": [-1]},
    ]


def v2(red, **more):
    text = base64.b64encode(red).decode()
    return {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}], **more}


def test_v2_answers_all_outputs_in_json(client, red, wanted):
    outputs = client.post("/v2/models/boxes/infer", json=v2(red)).json["outputs"]
    found = {output["name"]: output["data"] for output in outputs}
    assert found == {"xml": [wanted["xml"]], "sure": [True], "score": [wanted["score"]]}


def test_v2_answers_the_xml_in_bytes(client, red, wanted):
    asked = [{"name": "xml", "parameters": {"binary_data": True}}]
    answer = client.post("/v2/models/boxes/infer", json=v2(red, outputs=asked))
    raw = answer.data[int(answer.headers["Inference-Header-Content-Length"]) :]
    assert (int.from_bytes(raw[:4], "little"), raw[4:].decode()) == (len(wanted["xml"]), wanted["xml"])


@pytest.mark.parametrize("asked", [{"name": "scores"}, {"name": "xml", "parameters": {"classification": 1}}], ids=str)
def test_v2_output_that_is_none_is_400(client, red, asked):
    assert client.post("/v2/models/boxes/infer", json=v2(red, outputs=[asked])).status_code == 400


def test_v2_takes_pixels(client, wanted):
    pixels = [[[255, 0, 0]] * 8] * 8
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": [1, 8, 8, 3], "data": [pixels]}
    answer = client.post("/v2/models/boxes/infer", json={"inputs": [tensor], "outputs": [{"name": "xml"}]})
    assert answer.json["outputs"][0]["data"] == [wanted["xml"]]


# ---- operation -----------------------------------------------------------------------------


def test_metrics_and_log_have_the_stages_of_a_conversion(start, boxes, tiny, red):
    with start(boxes, tiny, log="json") as server:
        for path in ("/convert", "/classify"):
            assert requests.post(server.url + path, data=red, headers=PICTURE, timeout=60).ok
        metrics = requests.get(server.url + "/metrics", timeout=60).text
        (line,) = [line for line in server.log.read_text().splitlines() if '"/convert"' in line]
    for stage in ("decode", "queue", "engine"):
        assert f'imago_{stage}_seconds_count{{model="boxes"}} 1.0' in metrics
    assert 'imago_batch_size_count{model="boxes"} 1.0' in metrics
    assert {"decode_ms", "queue_ms", "engine_ms"} <= json.loads(line).keys()


def test_new_version_is_taken(start, boxes, xml_parts, tmp_path, red, admin, admin_file, move):
    link, newer = tmp_path / "boxes", write(tmp_path / "newer", replace(xml_parts, most_tokens=50))
    link.symlink_to(boxes)

    with start(link, admin_keys=admin_file) as server:
        move(link, newer)
        told = requests.post(f"{server.url}/models/boxes/reload", headers=admin, timeout=60)
        assert told.json()["changed"] is True
        answer = requests.post(server.url + "/convert", data=red, headers=PICTURE, timeout=60).json()
        assert answer["model"]["id"][:8] == newer.name[-8:]


def test_many_at_once_get_the_documents_that_each_gets_alone(start, boxes, drawing, encoded):
    pictures = [encoded(Image.new("RGB", (9, 9), color), "PNG") for color in ("red", "lime", "blue", "white", "black")]
    ways = [(path, at) for path in ("/models/boxes/convert", "/models/drawing/convert") for at in range(5)]

    def ask(way):
        path, at = way
        return requests.post(server.url + path, data=pictures[at], headers=PICTURE, timeout=60).json()["xml"]

    with start(boxes, drawing, engine_threads=4) as server, ThreadPoolExecutor(8) as pool:
        alone = [ask(way) for way in ways]
        assert list(pool.map(ask, ways * 10)) == alone * 10
