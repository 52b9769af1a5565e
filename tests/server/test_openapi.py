"""The description of the routes: valid, whole, true to what the server answers, and shown without anything from elsewhere."""

import base64
import hashlib
import re
import shutil
import struct
import time
import zlib
from html import unescape
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import schemathesis
from hypothesis import strategies
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from bundle import store
from server.api import ROUTES, V1, V2
from server.app import create_app
from server.config import read
from server.models import Models
from server.openapi import document
from server.pool import Job

WANTED = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
METHODS = {"GET", "POST", "PUT", "DELETE", "PATCH"}


def test_document_is_valid_openapi_3_1(client):
    spec = pytest.importorskip("openapi_spec_validator", reason="comes with moto, of the dev extra")
    answer = client.get("/openapi.json").json
    assert answer["openapi"] == "3.1.0"
    spec.OpenAPIV31SpecValidator(answer).validate()


def test_every_route_is_described_and_no_other(app):
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
    there = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule))) for rule in rules for method in rule.methods & METHODS
    }
    assert {(route.method, route.path) for route in ROUTES} == there


def test_every_operation_has_an_id_of_its_own():
    ids = [operation["operationId"] for path in document()["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) == len(ROUTES)


# ---- the page ------------------------------------------------------------------------------


def test_page_shows_every_route_and_code(client):
    page = unescape(client.get("/docs").text)
    assert all(route.path in page and route.summary in page for route in ROUTES)
    assert all(code in page for route in ROUTES for codes in route.errors.values() for code in codes)


def test_page_shows_every_schema_that_it_links(client):
    page = client.get("/docs").text
    links = set(re.findall(r'href="#(\w+)"', page))
    assert links
    assert links <= set(re.findall(r'id="(\w+)"', page)) == set(document()["components"]["schemas"])


def test_page_needs_no_script_and_nothing_from_elsewhere(client):
    page = client.get("/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert not re.search(r"<script|<style|style=|https?://", page.text)


def test_what_the_page_loads_is_there(client):
    for link in re.findall(r'(?:href|src)="(/[^"]*)"', client.get("/docs").text):
        with client.get(link) as answer:
            assert answer.status_code == 200, link


# ---- every documented answer is given by some request --------------------------------------


def giant_png():
    header = b"IHDR" + struct.pack(">IIBBBBB", 13000, 13000, 1, 0, 0, 0, 0)
    data = b"IDATx"
    head, end = (
        struct.pack(">I", size) + part + struct.pack(">I", zlib.crc32(part)) for size, part in ((13, header), (1, data))
    )
    return b"\x89PNG\r\n\x1a\n" + head + end


PICTURES = {"not-a-picture": b"hello", "too-many-pixels": giant_png()}
# These need a slow server or a broken version: test_fetch.py and test_reload.py give them.
ELSEWHERE = {"fetch-too-slow", "version-refused"}
ANSWERS = [
    (route, status, code)
    for route in ROUTES
    for status, codes in {**({200: ()} if route.good else {}), **route.errors}.items()
    for code in codes or ("",)
    if code not in ELSEWHERE
]


@pytest.fixture(scope="module")
def apps(serving, tiny, boxes, tmp_path_factory):
    """Servers in every state: good, loading, with a full queue, with dead engine threads, and one that wants keys."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text("a-key-of-some-length\n")
    both = (tiny, boxes)
    config, keyed = read(bundle=both), read(bundle=both, api_keys=keys, metrics_keys=keys, admin_keys=keys)
    operated = read(bundle=(tiny,), admin_keys=keys)
    fresh = {
        "loading": create_app(config, Models(config)),
        "keyed": create_app(keyed, Models(keyed)),
        "operated loading": create_app(operated, Models(operated)),
    }
    nobody = "http://127.0.0.1:9"
    said = tmp_path_factory.mktemp("said")
    taking = {"feedback": str(said), "feedback_pictures": True}
    listening = read(bundle=both, **taking)
    fresh["listening loading"] = create_app(listening, Models(listening))
    reported = Path(shutil.copytree(tiny, tmp_path_factory.mktemp("reported") / tiny.name))
    report = reported.with_name(f"{reported.name}.report") / "index.html"
    report.parent.mkdir()
    report.write_text("<p>report")
    with (
        serving(*both, max_body_mb=1, url_allow=nobody, **taking) as good,
        serving(*both, feedback=str(said / "gone")) as full,
        serving(reported) as with_report,
        serving(*both, queue=1) as busy,
        serving(tiny) as dead,
        serving(tiny, max_body_mb=1, admin_keys=keys) as own,
        serving(tiny) as labels,
        serving(boxes) as xml,
    ):
        dead.extensions["imago"].get(None).pool.close()
        for name in ("tiny", "boxes"):
            pool = busy.extensions["imago"].get(name).pool
            pool.close()
            pool._queue.put_nowait(Job(np.zeros(1), 0.0))
        yield {
            "good": good,
            "busy": busy,
            "dead": dead,
            "operated": own,
            "labels": labels,
            "xml": xml,
            "full": full,
            "reported": with_report,
            **fresh,
        }


NAMED = {
    "url-not-allowed": {"url": "https://elsewhere.example/a.jpg"},
    "s3-not-allowed": {"s3": "s3://elsewhere/a.jpg"},
    "fetch-failed": {"url": "http://127.0.0.1:9/a.jpg"},
}


def said(directory, picture, code):
    """A person's word on an answer of `tiny`; where it cannot be kept no picture comes along."""
    about = {"request_id": "r", "model": "cats" if code == "unknown-model" else "tiny", "right": True}
    labels = dict.fromkeys(("answer", "label"), "red")
    proof = {"sha256": hashlib.sha256(picture).hexdigest(), "id": store.read_manifest(directory).id}
    return {
        **about,
        **labels,
        **proof,
        **({} if code == "not-kept" else {"picture": base64.b64encode(picture).decode()}),
    }


def body(route, picture, code, directory):
    """A good one with this picture in it, or one that is wrong as the code says."""
    if code in ("bad-request", "too-large"):
        return {"data": b"[" * ((1 << 20) + 1) if code == "too-large" else b"[", "content_type": "application/json"}
    if code == "unsupported-content-type":
        return {"data": b"a,b", "content_type": "text/csv"}
    if code in NAMED:
        return {"json": NAMED[code]}
    text = base64.b64encode(picture).decode()
    contents = {
        V1: {"instances": [{"b64": text}]},
        V2: {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}]},
        "/feedback": said(directory, picture, code),
    }
    content = contents.get(route.tag) or contents.get(route.path)
    return {"json": content} if content else {"data": picture, "content_type": "image/jpeg"}


# Path, and status or code.
SPECIAL = {
    ("/feedback", "not-found"): "labels",
    ("/feedback", "not-ready"): "listening loading",
    ("/feedback", "not-kept"): "full",
    ("/models/{name}/report", 200): "reported",
}


def state(route, status, code):
    if special := SPECIAL.get((route.path, code if route.path == "/feedback" else status)):
        return special
    if route.path.endswith(("/reload", "/load")) and code not in ("forbidden", "unauthorized"):
        return "operated loading" if status == 503 else "operated"
    if code == "unknown-model" and route.path in ("/classify", "/convert"):
        return {"/classify": "xml", "/convert": "labels"}[route.path]
    if code in ("busy", "unauthorized"):
        return {"busy": "busy", "unauthorized": "keyed"}[code]
    if status != 503:
        return "good"
    return "dead" if route.path in ("/healthz", "/v2/health/live") else "loading"


@pytest.mark.parametrize(("route", "status", "code"), ANSWERS, ids=lambda part: getattr(part, "path", part))
def test_every_documented_answer_is_given(apps, tiny, number, jpeg, route, status, code):
    app = apps[state(route, status, code)]
    there = "boxes" if route.path.endswith("/convert") else "tiny"
    path = route.path.format(name="cats" if code == "unknown-model" else there, number=number(tiny), label="stable")
    picture = {**PICTURES, "bad-picture": jpeg[:200]}.get(code, jpeg)
    more = body(route, picture, code, tiny) if route.method == "POST" else {}
    environ = {"imago.start": time.monotonic() - (3600 if code == "expired" else 0)}
    headers = {"Origin": "http://elsewhere.example"} if code == "cross-origin" else {}
    if code == "not-acceptable":
        headers["Accept"] = "image/svg+xml"
    if state(route, status, code).startswith("operated"):
        headers["X-API-Key"] = "a-key-of-some-length"
    answer = app.test_client().open(path, method=route.method, environ_overrides=environ, headers=headers, **more)
    assert answer.status_code == status
    assert route.tag in (V1, V2) or not code or answer.json["code"] == code


# ---- schemathesis --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema(serving, tiny, boxes, tmp_path_factory):
    with serving(tiny, boxes, feedback=str(tmp_path_factory.mktemp("odd"))) as app:
        yield schemathesis.openapi.from_wsgi("/openapi.json", app)


def odd_requests(case, known):
    """A test that is run with 50 cases; half of them ask for a model and a version that are there."""
    settings = hypothesis.settings(
        max_examples=50,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )

    @settings
    @hypothesis.given(case=case, there=strategies.booleans())
    def ask(case, there):
        if there:
            case.path_parameters.update({name: known[name] for name in case.path_parameters})
        case.call_and_validate(checks=WANTED)

    return ask


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_50_odd_requests_get_only_documented_answers(schema, tiny, number, route):
    there = "boxes" if route.path.endswith("/convert") else "tiny"
    known = {"name": there, "number": number(tiny), "label": "stable"}
    odd_requests(schema[route.path][route.method].as_strategy(), known)()
