"""Headers that every answer has, and the request id that runs through."""

import re

import pytest

from server.app import HEADERS

PATHS = ("/", "/healthz", "/readyz", "/version", "/static/page.css", "/classify", "/nowhere")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_security_headers(client, path):
    with client.get(path) as answer:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize("name", ["Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"])
def test_security_headers_are_there_at_all(client, name):
    assert client.get("/").headers[name]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_a_request_id(client, path):
    with client.get(path) as answer:
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_two_requests_have_two_ids(client):
    first, second = (client.get("/healthz").headers["X-Request-ID"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    "given", ["a", "9f3ac1e2", "2026-11-21_01.02", "A" * 64, "550e8400-e29b-41d4-a716-446655440000"]
)
def test_sane_request_id_is_given_back(client, given):
    assert client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given",
    ["", " ", "a b", "a\nSet-Cookie: b=c", "a\r\nb", "A" * 65, "A" * (1 << 20), "<script>", '"', "ä", "a\n"],
    ids=len,
)
def test_other_request_id_is_replaced(client, given):
    found = client.get("/healthz", environ_overrides={"HTTP_X_REQUEST_ID": given}).headers
    assert re.fullmatch(r"[0-9a-f]{32}", found["X-Request-ID"])
    assert "Set-Cookie" not in found


def test_nothing_sets_a_cookie(client, jpeg):
    assert "Set-Cookie" not in client.post("/classify", data=jpeg, content_type="image/jpeg").headers
