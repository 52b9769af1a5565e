"""The page in a real browser: every way in, every state, and strangers' words as text."""

import json
import re

import pytest
import requests

from server.api import ROUTES
from server.errors import STATUS
from server.words import WORDS

EVIL = "<img src=x onerror=alert(1)><b>x"


def file(name, data, kind="image/jpeg"):
    return {"name": name, "mimeType": kind, "buffer": data}


def transfer(page, *files):
    """A DataTransfer with these (name, bytes)."""
    return page.evaluate_handle(
        """files => { const t = new DataTransfer();
        for (const [name, bytes] of files) t.items.add(new File([new Uint8Array(bytes)], name, { type: 'image/jpeg' }));
        return t }""",
        [[name, list(data)] for name, data in files],
    )


def best(page):
    page.wait_for_selector(".answer[data-state=answer], .answer[data-state=problem]")
    return page.locator(".best").inner_text()


@pytest.fixture(scope="module")
def both(start, tiny, multi, boxes, drawing):
    """The URL of a server with a model of every kind."""
    with start(tiny, multi, boxes, drawing, unready_ms=0) as server:
        yield server.url


@pytest.fixture
def page(opened, both):
    return opened(both)


# ---- ways in -------------------------------------------------------------------------------


def test_chosen_picture_gets_its_labels(page, jpeg):
    page.set_input_files("#image", file("a.jpg", jpeg))
    assert re.fullmatch(r"(red|green|blue) \d+\.\d %", best(page))
    assert page.locator(".bars li").count() == 3
    assert re.search(r"tiny [0-9a-f]{8}", page.locator(".facts").inner_text())
    assert re.search(r"\d+ ms|\d\.\d s", page.locator(".facts").inner_text())


def test_request_id_on_the_page_is_that_of_the_answer(page, jpeg):
    with page.expect_response("**/classify") as caught:
        page.set_input_files("#image", file("a.jpg", jpeg))
    best(page)
    assert caught.value.headers["x-request-id"] in page.locator(".facts").inner_text()


@pytest.mark.parametrize("target", ["#drop", "footer"])
def test_picture_dropped_anywhere_gets_its_labels(page, jpeg, target):
    page.dispatch_event(target, "drop", {"dataTransfer": transfer(page, ("dropped.jpg", jpeg))})
    best(page)
    assert page.locator("figure img").get_attribute("alt") == "dropped.jpg"


def test_frame_says_what_letting_go_does(page):
    page.dispatch_event("#drop", "dragover")
    assert page.locator("#drop").inner_text().startswith("Let go to send")
    page.dispatch_event("#drop", "dragleave")
    assert "Let go" not in page.locator("#drop").inner_text()


def test_pasted_picture_gets_its_labels(page, jpeg):
    page.evaluate(
        "t => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: t, bubbles: true }))",
        transfer(page, ("pasted.jpg", jpeg)),
    )
    assert "%" in best(page)


def test_page_works_by_keyboard_alone(page, jpeg):
    page.on("filechooser", lambda _: None)  # from now on Chromium tells of choosers instead of opening them
    page.keyboard.press("Tab")  # the brand
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "model"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "image"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([file("a.jpg", jpeg), file("b.jpg", jpeg)])
    page.locator("#strip [data-state=answer]").nth(1).wait_for()
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator("#strip [aria-current=true]").get_attribute("title") == "b.jpg"


def test_what_comes_is_told_to_who_listens(page, jpeg):
    page.set_input_files("#image", file("a.jpg", jpeg))
    title = best(page)
    assert page.locator("#say[role=status]").inner_text() == f"a.jpg: {title}"


def test_phone_gets_a_camera_and_no_sideways_scrolling(opened, both, jpeg):
    page = opened(both, viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
    assert page.locator("#take").is_visible()
    assert page.locator("#camera").get_attribute("capture") == "environment"
    page.set_input_files("#camera", file("a.jpg", jpeg))
    best(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_desk_has_no_camera_button(page):
    assert not page.locator("#take").is_visible()


# ---- several, history, cancel --------------------------------------------------------------


def test_several_pictures_get_an_answer_each_and_a_bad_one_a_sentence(page, jpeg, png):
    page.set_input_files("#image", [file("a.jpg", jpeg), file("b.jpg", b"none"), file("c.png", png)])
    page.locator("#strip [data-state=answer]").nth(1).wait_for()
    titles = [button.get_attribute("title") for button in page.locator("#strip button").all()]
    assert titles == ["a.jpg", "b.jpg", "c.png"]
    assert "That is no picture" in page.locator("#strip [data-state=problem]").inner_text()


def test_history_shows_an_earlier_answer_again_and_forgets_when_told(page, jpeg, png):
    for name, data in (("first.jpg", jpeg), ("second.png", png)):
        page.set_input_files("#image", file(name, data))
        best(page)
    page.click("#strip [title='first.jpg']")
    assert page.locator("figcaption").inner_text() == "first.jpg"
    page.click("#clear")
    assert page.locator("#stage").inner_text() == page.locator("#strip").inner_text() == ""


def test_cancelled_picture_is_let_go_and_the_next_goes_on(page, jpeg, png):
    held = []  # the first is answered never
    page.route("**/classify", lambda route: route.continue_() if held else held.append(route))
    page.set_input_files("#image", [file("a.jpg", jpeg), file("b.png", png)])
    page.get_by_role("button", name="Cancel").click()
    assert page.locator(".best").inner_text() == "Cancelled"
    page.locator("#strip [data-state=answer]").wait_for()
    page.get_by_role("button", name="Try again").click()
    assert "%" in best(page)


def test_upload_shows_its_progress(page, jpeg):
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000}
    session.send("Network.emulateNetworkConditions", slow)
    page.set_input_files("#image", file("a.jpg", jpeg + b"\0" * 1_000_000))
    page.wait_for_selector("[data-state=sending] progress[value]")
    page.locator("[data-state=sending] progress").evaluate(
        "bar => new Promise(done => { const look = () => bar.value > 0 && bar.value < 1 ? done() : requestAnimationFrame(look); look() })"
    )


# ---- errors --------------------------------------------------------------------------------


def test_every_code_has_words_for_a_person():
    documented = {code for route in ROUTES for codes in route.errors.values() for code in codes}
    raised = {error.code for error in STATUS}
    assert (documented | raised | {"internal", "not-found", "method-not-allowed"}) <= WORDS.keys()


@pytest.mark.parametrize("code", sorted(WORDS.keys() - {"unauthorized", "offline", "other"}))
def test_error_is_shown_in_words_with_its_request_id(page, jpeg, code):
    body = {"code": code, "detail": "the server's own sentence", "request_id": "abc123", "status": 503}
    page.route("**/classify", lambda route: route.fulfill(status=503, body=json.dumps(body)))
    page.set_input_files("#image", file("a.jpg", jpeg))
    assert best(page) == WORDS[code].title
    shown = page.locator(".problem").inner_text()
    assert all(words in shown for words in (WORDS[code].text, "the server's own sentence", "abc123"))
    assert page.get_by_role("button", name="Try again").count() == WORDS[code].again


def test_file_that_is_no_picture_gets_a_sentence(page):
    page.set_input_files("#image", file("a.jpg", b"not a picture"))
    assert best(page) == "That is no picture"
    assert "no picture that Imago reads" in page.locator(".problem").inner_text()


def test_server_that_is_away_is_asked_again_on_demand(page, jpeg):
    page.route("**/classify", lambda route: route.abort())
    page.set_input_files("#image", file("a.jpg", jpeg))
    assert best(page) == WORDS["offline"].title
    page.unroute("**/classify")
    page.get_by_role("button", name="Try again").click()
    page.wait_for_selector("[data-state=answer]")


def test_proxys_error_page_is_an_error_too(page, jpeg):
    page.route("**/classify", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    page.set_input_files("#image", file("a.jpg", jpeg))
    assert best(page) == WORDS["other"].title
    assert "Status 502" in page.locator(".problem").inner_text()


def test_too_large_a_file_is_refused_before_it_is_sent(opened, start, tiny, jpeg):
    with start(tiny, max_body_mb=1, unready_ms=0) as server:
        page = opened(server.url)
        page.set_input_files("#image", file("a.jpg", jpeg + b"\0" * 2_000_000))
        assert best(page) == WORDS["too-large"].title


def test_server_with_keys_asks_for_one_and_keeps_it(opened, start, tiny, tmp_path, jpeg):
    (tmp_path / "keys").write_text("0123456789abcdef\n")
    with start(tiny, api_keys=tmp_path / "keys", unready_ms=0) as server:
        page = opened(server.url)
        page.set_input_files("#image", file("a.jpg", jpeg))
        page.fill("#key-text", "0123456789abcdef")
        page.keyboard.press("Enter")
        assert "%" in best(page)
        page.set_input_files("#image", file("b.jpg", jpeg))
        page.locator("#strip [data-state=answer]").nth(1).wait_for()


# ---- several models, several labels --------------------------------------------------------


def test_chosen_model_answers_and_another_may_be_asked_too(page, jpeg):
    page.set_input_files("#image", file("a.jpg", jpeg))
    best(page)
    page.select_option("#model", "boxes")
    page.click("text=Ask boxes too")
    page.wait_for_selector(".convert")
    assert "boxes" in page.locator(".facts").inner_text()


def test_every_label_is_shown_present_or_absent(page, jpeg):
    page.select_option("#model", "multi")
    page.set_input_files("#image", file("a.jpg", jpeg))
    title = best(page)
    present = page.locator(".bars .present .label").all_inner_texts()
    assert page.locator(".bars li").count() == 3
    assert set(page.locator(".mark").all_inner_texts()) <= {"present", "absent"}
    assert title == (", ".join(present) or "None of the labels")


def test_model_in_the_address_is_chosen(opened, both):
    assert opened(f"{both}/?model=boxes").locator("#model").input_value() == "boxes"


# ---- strangers' words ----------------------------------------------------------------------


def test_html_in_a_file_name_and_a_label_is_text(page, jpeg):
    answer = {
        "predictions": [{"label": EVIL, "probability": 1}],
        "model": {"name": EVIL, "id": "<i>1234567"},
        "request_id": EVIL,
    }
    page.route("**/classify", lambda route: route.fulfill(body=json.dumps(answer)))
    page.set_input_files("#image", [file(EVIL, jpeg), file("b.jpg", jpeg)])
    assert best(page) == f"{EVIL} 100.0 %"
    assert page.locator("figcaption").inner_text() == EVIL
    assert page.locator("#stage b, #stage i, #stage [onerror], #strip b").count() == 0


def test_html_in_an_error_is_text(page, jpeg):
    body = {"code": EVIL, "detail": EVIL, "request_id": EVIL}
    page.route("**/classify", lambda route: route.fulfill(status=400, body=json.dumps(body)))
    page.set_input_files("#image", file("a.jpg", jpeg))
    assert best(page) == WORDS["other"].title
    assert page.locator("#stage b, #stage [onerror]").count() == 0


def test_no_javascript_shows_a_chosen_models_answer(opened, both, jpeg):
    page = opened(both, java_script_enabled=False)
    page.set_input_files("#image", [file("a.jpg", jpeg), file("b.jpg", jpeg[:200])])
    page.click("[type=submit]")
    assert page.locator(".bars li").count() == 3
    assert WORDS["bad-picture"].title in page.locator(".problem").inner_text()


@pytest.mark.parametrize(("name", "drawn"), [("boxes", 0), ("drawing", 1)])
def test_no_javascript_shows_a_document(opened, both, jpeg, name, drawn):
    page = opened(both, java_script_enabled=False)
    page.select_option("#model", name)
    page.set_input_files("#image", file("a.jpg", jpeg))
    page.click("[type=submit]")
    assert page.locator("pre.xml").inner_text().startswith("<")
    assert page.locator("img.drawn").count() == drawn
    assert page.locator("#model").input_value() == name


def test_form_that_names_a_model_that_is_not_served_is_refused(both, jpeg):
    answer = requests.post(
        both, files={"image": jpeg}, data={"model": EVIL}, headers={"Accept": "text/html"}, timeout=60
    )
    assert answer.status_code == 400
    assert "<img src=x" not in answer.text
