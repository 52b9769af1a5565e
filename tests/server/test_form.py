"""The page for people, and the same address for programs."""

import io
from dataclasses import replace

import pytest

from bundle.write import write

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
EVIL = "<script>alert(1)</script>"


def form(*pictures):
    return {"data": {"image": [(io.BytesIO(data), "a.jpg") for data in pictures]}}


@pytest.fixture(scope="module")
def evil(serving, parts, tmp_path_factory):
    labels = (EVIL, "<img src=x onerror=alert(2)>", '"><b>')
    with serving(write(tmp_path_factory.mktemp("evil"), replace(parts, name="evil", labels=labels))) as app:
        yield app


def test_program_that_takes_anything_is_told_that_the_server_is_alive(client):
    answer = client.get("/", headers={"Accept": "*/*"})
    assert (answer.status_code, answer.json) == (200, {"status": "alive"})


def test_program_is_told_that_the_engine_is_stuck(serving, tiny):
    with serving(tiny) as app:
        pass  # which closes its pools
    assert app.test_client().get("/", headers={"Accept": "*/*"}).json == {"status": "stuck"}


def test_page_has_the_form_and_the_models_name(client):
    page = client.get("/", headers=BROWSER)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert '<form id="form" method="post" action="/" enctype="multipart/form-data" data-most="32">' in page.text
    assert "tiny" in page.text


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("page.css", "text/css"),
        ("form.css", "text/css"),
        ("form.js", "text/javascript"),
        ("view.js", "text/javascript"),
        ("xml.js", "text/javascript"),
        ("feedback.js", "text/javascript"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_what_the_page_loads_is_there(client, name, kind):
    with client.get(f"/static/{name}") as answer:
        assert (answer.status_code, answer.mimetype) == (200, kind)


def test_browser_gets_the_answer_as_a_page(client, jpeg):
    page = client.post("/", **form(jpeg), headers=BROWSER)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert all(f'<span class="label">{label}</span>' in page.text for label in ("red", "green", "blue"))


@pytest.mark.parametrize("accept", ["*/*", "application/json", None])
def test_program_gets_the_same_answer_as_from_classify(client, jpeg, accept):
    headers = {"Accept": accept} if accept else {}
    answers = [client.post(path, **form(jpeg), headers=headers) for path in ("/", "/classify")]
    assert answers[0].mimetype == "application/json"
    assert answers[0].json["predictions"] == answers[1].json["predictions"]


def test_page_shows_each_of_several_pictures(client, jpeg):
    page = client.post("/", **form(jpeg, jpeg[:200], jpeg), headers=BROWSER).text
    assert page.count('<article class="answer">') == 2
    assert page.count('<article class="answer problem">') == 1


@pytest.mark.parametrize(
    ("pictures", "status", "words"),
    [
        ([b"no picture"], 415, "no picture that Imago reads"),
        ([], 400, "no picture in the form"),
        ([b""], 415, "is empty"),
    ],
    ids=str,
)
def test_browser_gets_the_error_as_a_page_with_its_status(client, pictures, status, words):
    page = client.post("/", **form(*pictures), headers=BROWSER, content_type="multipart/form-data")
    assert (page.status_code, page.mimetype) == (status, "text/html")
    assert words in page.text


def test_program_gets_the_error_as_a_problem(client):
    answer = client.post("/", **form(b"no picture"))
    assert (answer.status_code, answer.content_type) == (415, "application/problem+json")


def test_labels_are_escaped_on_the_page(evil, jpeg):
    page = evil.test_client().post("/", **form(jpeg), headers=BROWSER).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert '"><b>' not in page


def test_problem_text_is_escaped_on_the_page(client, jpeg):
    page = client.post("/", query_string={"top": "<b>bold</b>"}, **form(jpeg), headers=BROWSER)
    assert (page.status_code, "&lt;b&gt;bold&lt;/b&gt;" in page.text, "<b>bold" in page.text) == (400, True, False)


def test_evil_label_is_no_html_for_a_program(evil, jpeg):
    answer = evil.test_client().post("/classify", data=jpeg, content_type="image/jpeg")
    assert (answer.mimetype, answer.headers["X-Content-Type-Options"]) == ("application/json", "nosniff")
    assert EVIL in [label["label"] for label in answer.json["predictions"]]


def test_page_asks_for_nothing_from_elsewhere(client):
    assert "http://" not in client.get("/").text.replace("http://www.w3.org", "")
    assert "https://" not in client.get("/").text
