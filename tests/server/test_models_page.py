"""/models: what is served, for people and for programs, and the training report beside a bundle."""

import os
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
import requests

from bundle import store
from bundle.write import write
from server.catalog import REPORT_POLICY

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
EVIL = '<script>alert("1")</script>'
EMBEDDED = sorted(Path(__file__).parents[2].glob("server/bundles/*/manifest.json"))


@pytest.fixture(scope="module")
def both(serving, tiny, multi, drawing):
    with serving(tiny, multi, drawing) as app:
        yield app


@pytest.fixture(scope="module")
def page(both):
    return both.test_client().get("/models", headers=BROWSER)


@pytest.fixture
def reported(serving, stack, tiny_copy):
    """A client of a server whose bundle has a report beside it, and the report's folder."""
    folder = tiny_copy.with_name(f"{tiny_copy.name}.report")
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><script>alert(1)</script><p style='color: red'>ä")
    return stack.enter_context(serving(tiny_copy)).test_client(), folder


# ---- for programs --------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [None, "*/*", "application/json"])
def test_program_gets_json(both, accept):
    answer = both.test_client().get("/models", headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert [model["name"] for model in answer.json["models"]] == ["tiny", "multi", "drawing"]


def test_json_says_all_of_a_classifier(both, tiny):
    found = both.test_client().get("/models").json["models"][0]
    since = datetime.fromisoformat(found.pop("since"))
    assert datetime.now(UTC) - timedelta(minutes=50) < since <= datetime.now(UTC)
    assert found == {
        "name": "tiny",
        "id": store.read_manifest(tiny).id,
        "kind": "classifier",
        "post": "/models/tiny/classify",
        "engine": "onnxruntime",
        "scores": "softmax",
        "labels": ["red", "green", "blue"],
        "preprocess": {"height": 8, "width": 8, "resize": "squash", "resample": "bilinear", "color": "rgb"},
        "metrics": {"accuracy": 0.9},
        "golden": {"pictures": 1, "warnings": []},
        "training": None,
        "report": None,
    }


def test_json_of_other_models_says_what_their_answers_are(both):
    several, draws = both.test_client().get("/models").json["models"][1:]
    assert (several["scores"], several["thresholds"]) == ("sigmoid", [0.5, 0.5, 0.5])
    assert (draws["documents"], draws["most_tokens"], draws["post"]) == ("SVG", 40, "/models/drawing/convert")
    assert draws["sure"]["pictures"] == 300


def test_while_loading_it_is_a_503_for_programs_and_a_page_for_people(loading):
    assert loading.get("/models").json["code"] == "not-ready"
    page = loading.get("/models", headers=BROWSER)
    assert (page.status_code, page.mimetype, page.headers["Retry-After"]) == (503, "text/html", "1")
    assert "the models are still loading" in page.text


def test_key_is_wanted_and_a_person_is_told_so(serving, tiny, tmp_path):
    (tmp_path / "keys").write_text("0123456789abcdef\n")
    with serving(tiny, api_keys=tmp_path / "keys") as app:
        client = app.test_client()
        answers = [client.get(path, headers=BROWSER) for path in ("/models", "/models/tiny/report")]
        opened = client.get("/models", headers={"X-API-Key": "0123456789abcdef"})
    assert [(answer.status_code, answer.mimetype) for answer in answers] == [(401, "text/html")] * 2
    assert all("no good key came with the request" in answer.text for answer in answers)
    assert not any("tiny" in answer.text.replace("/models/tiny", "") for answer in answers)
    assert opened.status_code == 200


# ---- for people ----------------------------------------------------------------------------


class Tags(HTMLParser):
    """What a page is made of."""

    VOID = ("meta", "link", "input", "br", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.ids, self.headings = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        about = dict(attrs)
        self.found.append((tag, about))
        self.ids += [about["id"]] if "id" in about else []
        self.headings += [int(tag[1])] if re.fullmatch(r"h[1-6]", tag) else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_whole_html_with_headings_in_order(page):
    tags = Tags(page.text)
    assert (page.status_code, page.mimetype, tags.open) == (200, "text/html", [])
    assert len(tags.ids) == len(set(tags.ids))
    assert tags.headings[0] == 1
    assert all(now <= before + 1 for before, now in zip(tags.headings, tags.headings[1:], strict=False))
    names = [tag for tag, _ in tags.found]
    assert names.count("main") == names.count("h1") == names.count("title") == 1
    assert ("html", {"lang": "en"}) in tags.found


def test_page_needs_no_script_and_nothing_from_elsewhere(page):
    assert not re.search(r"<script|<style|style=|https?://|\son\w+=", page.text)


def test_what_the_page_loads_is_there_and_small(both, page):
    size = len(page.data)
    for link in re.findall(r'<link rel="stylesheet" href="([^"]*)"', page.text):
        with both.test_client().get(link) as answer:
            assert (answer.status_code, answer.mimetype) == (200, "text/css"), link
            size += len(answer.data)
    assert size < 60_000


@pytest.mark.parametrize(
    "words",
    ["squash, bilinear", "8 × 8, RGB", "/models/multi/classify", "accuracy", "0.900", "3 labels", "several a picture"]
    + ["1 golden picture gave the recorded answer when", "made elsewhere and imported", "SVG, at most 40 tokens"],
)
def test_page_says_what_is_served(page, words):
    assert words in page.text


def test_labels_names_and_warnings_with_html_are_text(serving, parts, tmp_path):
    bundle = write(tmp_path, replace(parts, labels=(EVIL, "</ul></details>", '"><b>'), metrics={"<i>x</i>": 0.5}))
    with serving(bundle) as app:
        served = app.extensions["imago"].get("tiny")
        changed = replace(served, model=replace(served.model, warnings=("<b>golden</b>",)))
        app.extensions["imago"]._served = {"tiny": changed}
        text = app.test_client().get("/models", headers=BROWSER).text
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;" in text
    assert not re.search(r"<script|<b>|<i>", text)
    assert Tags(text).open == []
    assert 'class="golden warned"' in text


def test_a_thousand_labels_are_folded_away(serving, parts, onnx, tmp_path):
    labels = tuple(f"label {number}" for number in range(1000))
    bundle = write(tmp_path, replace(parts, labels=labels, models={"model.onnx": onnx(labels=1000)}))
    with serving(bundle) as app:
        text = app.test_client().get("/models", headers=BROWSER).text
    assert "<details>" in text
    assert text.count("<li>label ") == 1000


@pytest.mark.skipif(not EMBEDDED, reason="`make bundles` has not run")
def test_embedded_default_shows_its_training_and_links_its_report(serving):
    with serving(EMBEDDED[0].parent) as app:
        client = app.test_client()
        text = client.get("/models", headers=BROWSER).text
        (link,) = re.findall(r'href="(/models/[^"]*)"', text)
        report = client.get(link)
    training = store.read_manifest(EMBEDDED[0].parent).training
    assert all(words in text for words in (training.backbone, str(training.photos), "data sha256", "keras 3"))
    assert (report.status_code, "Confusion" in report.text) == (200, True)


# ---- the report ----------------------------------------------------------------------------


def test_report_is_a_sandboxed_page(reported):
    client, folder = reported
    answer = client.get("/models/tiny/report")
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert answer.data == (folder / "index.html").read_bytes()
    assert answer.headers.getlist("Content-Security-Policy") == [REPORT_POLICY]
    assert REPORT_POLICY.startswith("sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert "script" not in REPORT_POLICY
    assert (answer.headers["X-Content-Type-Options"], answer.headers["Cache-Control"]) == ("nosniff", "no-store")


def test_models_link_the_report(reported):
    client, _ = reported
    assert client.get("/models").json["models"][0]["report"] == "/models/tiny/report"
    assert 'href="/models/tiny/report"' in client.get("/models", headers=BROWSER).text


def test_report_that_is_not_there_is_a_404_with_a_sentence(client, tiny):
    answer = client.get("/models/tiny/report")
    assert (answer.status_code, answer.json["code"]) == (404, "not-found")
    assert answer.json["detail"].startswith("no training report stands beside the bundle of tiny")
    page = client.get("/models/tiny/report", headers=BROWSER)
    assert (page.status_code, page.mimetype) == (404, "text/html")


def test_report_of_a_model_that_is_not_served_is_a_404(client):
    answer = client.get("/models/cats/report")
    assert (answer.status_code, answer.json["code"]) == (404, "unknown-model")


@pytest.mark.parametrize("path", ["/models/../report", "/models/%2e%2e/report", "/models/tiny/report/", "/models/"])
def test_odd_addresses_lead_nowhere(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("odd", ["link", "folder", "pipe", "large"])
def test_what_is_no_plain_file_is_no_report(reported, tmp_path, odd):
    client, folder = reported
    path = folder / "index.html"
    path.unlink()
    (tmp_path / "secret").write_text("secret")
    {
        "link": lambda: path.symlink_to(tmp_path / "secret"),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "large": lambda: (path.touch(), os.truncate(path, (32 << 20) + 1)),
    }[odd]()
    assert client.get("/models/tiny/report").status_code == 404


def test_real_server_gives_page_and_report(start, tiny_copy):
    folder = tiny_copy.with_name(f"{tiny_copy.name}.report")
    folder.mkdir()
    (folder / "index.html").write_text("<p>report")
    with start(tiny_copy, unready_ms=0) as server:
        page = requests.get(f"{server.url}/models", headers=BROWSER, timeout=60)
        report = requests.get(f"{server.url}/models/tiny/report", timeout=60)
    assert (page.status_code, report.text) == (200, "<p>report")
    assert report.headers["Content-Security-Policy"] == REPORT_POLICY


# ---- in a browser --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(start, tiny, multi, drawing, tmp_path_factory):
    """A server with a report that would do harm if it could."""
    copy = Path(shutil.copytree(tiny, tmp_path_factory.mktemp("running") / tiny.name))
    folder = copy.with_name(f"{copy.name}.report")
    folder.mkdir()
    (folder / "index.html").write_text(
        "<!doctype html><title>quiet</title><p id=p style='color: rgb(1, 2, 3)'>report</p>"
        "<script>document.title = 'loud'</script><img src=/static/icon.svg onerror=\"document.title='loud'\">"
        "<form action=/feedback method=post><button>post</button></form>"
    )
    with start(copy, multi, drawing, unready_ms=0) as server:
        yield server.url


@pytest.fixture
def opened(chromium, running):
    """(path, **of the context) -> a page there, with what it got and complained of."""
    contexts = []

    def run(path, **more):
        contexts.append(chromium.new_context(**more))
        page = contexts[-1].new_page()
        page.asked, page.complaints = [], []
        page.on("response", lambda response: page.asked.append(response.url))  # what is blocked has none
        page.on("console", lambda message: page.complaints.append(message.text))
        page.goto(running + path)
        return page

    yield run
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1440])
def test_page_fits_every_width_in_both_themes_without_script(opened, running, width, scheme, tmp_path):
    page = opened("/models", viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=False)
    folder = Path(os.environ.get("IMAGO_SCREENSHOTS", tmp_path))
    page.screenshot(path=folder / f"models-{scheme}-{width}.png", full_page=True)
    assert page.locator("article").count() == 3
    assert page.locator("html").evaluate("e => e.scrollWidth") <= width
    assert all(url.startswith(running) for url in page.asked)
    assert page.complaints == []


def test_labels_open_by_keyboard(opened):
    page = opened("/models")
    page.locator("summary").first.focus()
    before = page.locator("details").first.get_attribute("open")
    page.keyboard.press("Enter")
    assert (before, page.locator("details").first.get_attribute("open")) == ("", None)


def test_report_runs_and_loads_nothing(opened, running):
    page = opened("/models/tiny/report")
    assert page.title() == "quiet"
    assert page.asked == [f"{running}/models/tiny/report"]
    assert page.locator("#p").evaluate("e => getComputedStyle(e).color") == "rgb(1, 2, 3)"
    assert page.evaluate("origin") == "null"


def test_report_posts_nothing(opened, running):
    page = opened("/models/tiny/report")
    page.click("button")
    page.wait_for_timeout(200)
    assert page.asked == [f"{running}/models/tiny/report"]
