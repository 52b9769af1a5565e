"""What the page may cost, and what it owes to everybody: size, no other host, paint without a script, axe, both themes."""

import re
from importlib import util
from pathlib import Path

import pytest
import requests

BUDGET = 60 << 10


@pytest.fixture(scope="module")
def default(start):
    """The URL of a server with the embedded bundles."""
    with start(unready_ms=0) as server:
        yield server.url


@pytest.fixture(scope="module")
def axe():
    """The text of axe-core."""
    found = util.find_spec("axe_playwright_python")
    if not found:
        pytest.skip("no axe-core here; it comes with axe-playwright-python, of the dev extra")
    return Path(found.submodule_search_locations[0], "axe.min.js").read_text()


def test_whole_page_has_60_kb_at_most(opened, default):
    page, sizes = opened("about:blank"), {}
    page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
    page.goto(default)
    page.wait_for_load_state("networkidle")
    sizes[f"{default}/static/icon.svg"] = len(requests.get(f"{default}/static/icon.svg", timeout=60).content)
    assert len(sizes) >= 8, sizes  # the page, two style sheets, four modules, the icon
    assert sum(sizes.values()) <= BUDGET, sizes


def test_nothing_is_asked_of_another_host(opened, default, jpeg):
    page = opened(default)
    page.set_input_files("#image", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": jpeg})
    page.wait_for_selector("[data-state=answer]")
    assert page.strangers == []


def test_first_paint_needs_no_script(opened, default):
    page = opened("about:blank")
    page.route("**/*.js", lambda route: None)  # never answered
    page.goto(default, wait_until="commit")
    page.wait_for_selector("#image", state="visible")
    painted = page.evaluate("""() => new Promise(done => new PerformanceObserver(list => done(list.getEntriesByName('first-contentful-paint').length))
        .observe({ type: 'paint', buffered: true }))""")
    assert painted == 1


def test_page_has_no_inline_script_or_style(default):
    text = requests.get(default, headers={"Accept": "text/html"}, timeout=60).text
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", text) == []


def test_no_script_makes_html_of_text():
    for path in (Path(__file__).parents[2] / "server" / "static").glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", path.read_text()), path


@pytest.mark.parametrize("state", ["idle", "answer", "several", "error", "convert", "tree", "unsure", "key"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(opened, everything, axe, state, theme, jpeg):
    page = opened(everything, color_scheme=theme, viewport={"width": 320 if theme == "dark" else 1280, "height": 800})
    reach(page, state, jpeg)
    page.evaluate(axe)
    found = page.evaluate("axe.run()")["violations"]
    assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found] == []


@pytest.mark.parametrize("path", ["/docs", "/models"])
def test_axe_finds_nothing_on_other_pages(opened, everything, axe, path):
    page = opened(everything + path)
    page.evaluate(axe)
    assert [one["id"] for one in page.evaluate("axe.run()")["violations"]] == []


@pytest.fixture(scope="module")
def everything(start, tiny, boxes, drawing):
    with start(tiny, boxes, drawing, unready_ms=0) as server:
        yield server.url


def reach(page, state, jpeg):
    good = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": jpeg}
    files = {"error": [{**good, "buffer": b"none"}], "several": [good, good, {**good, "buffer": b"none"}]}.get(
        state, [good]
    )
    if state == "idle":
        return
    if state == "key":
        page.evaluate("document.getElementById('key').showModal()")
        return
    page.select_option("#model", {"convert": "drawing", "unsure": "drawing", "tree": "boxes"}.get(state, "tiny"))
    page.set_input_files("#image", files)
    page.locator("#strip [data-state=answer], #strip [data-state=problem]").nth(len(files) - 1).wait_for(
        state="attached"
    )


def test_nothing_moves_for_who_asked_for_none(opened, everything):
    page = opened(everything, reduced_motion="reduce")
    page.wait_for_selector("html.js")
    moving = "all => all.filter(one => getComputedStyle(one).animationName !== 'none' || getComputedStyle(one).transitionDuration !== '0s').length"
    assert page.locator("*").evaluate_all(moving) == 0
