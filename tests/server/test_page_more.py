"""What stands around an answer where the server offers it: examples to try, and "Was this right?"."""

import hashlib
import json
import threading

import pytest
from werkzeug.serving import make_server


@pytest.fixture
def offering(serving, tiny, multi):
    """(feedback, samples) -> the URL of a server whose page has these; what is said to it goes nowhere."""
    ends = []

    def run(feedback="", samples=()):
        context = serving(tiny, multi)
        app = context.__enter__()
        app.context_processor(lambda: {"feedback": feedback, "samples": samples})
        server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ends.extend([lambda: context.__exit__(None, None, None), server.server_close, server.shutdown])
        return f"http://127.0.0.1:{server.server_port}/"

    yield run
    for end in reversed(ends):
        end()


@pytest.fixture
def asked(opened, offering, jpeg):
    """(feedback, model) -> a page with an answer, and what it says to /feedback."""

    def run(feedback, model="tiny"):
        page, said = opened(offering(feedback)), []
        page.route("**/feedback", lambda route: (said.append(route.request.post_data_json), route.fulfill(json={})))
        page.select_option("#model", model)
        page.set_input_files("#image", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": jpeg})
        page.wait_for_selector("[data-state=answer]")
        return page, said

    return run


def test_example_is_answered_by_one_click(opened, offering):
    page = opened(offering(samples=({"url": "/static/icon.svg", "alt": "a sleeve"},)))
    page.route("**/classify", lambda route: route.fulfill(body=json.dumps({"predictions": [{"label": "x", "probability": 1}], "model": {"name": "tiny", "id": "12345678"}, "request_id": "a"})))  # fmt: skip
    page.click("#samples button")
    page.wait_for_selector("[data-state=answer]")
    assert page.locator("figcaption").inner_text() == "a sleeve"


@pytest.mark.parametrize("feedback", ["", "labels"])
def test_nobody_is_asked_unless_the_server_keeps_it(asked, feedback):
    page, _ = asked(feedback)
    assert page.get_by_text("Was this right?").count() == bool(feedback)


def test_yes_says_the_answer_was_right(asked, jpeg):
    page, said = asked("labels")
    page.get_by_role("button", name="Yes").click()
    page.get_by_text("Thank you. It is kept.").wait_for()
    best = page.locator(".bars .label").first.inner_text()
    assert {name: said[0][name] for name in ("answer", "label", "right", "model")} == {
        "answer": best, "label": best, "right": True, "model": "tiny"}  # fmt: skip
    assert said[0]["sha256"] == hashlib.sha256(jpeg).hexdigest()
    assert said[0]["request_id"] in page.locator(".facts").inner_text()
    assert "picture" not in said[0]


@pytest.mark.parametrize("none", [False, True])
def test_no_says_which_it_was(asked, none):
    page, said = asked("labels")
    page.get_by_role("button", name="No").click()
    choices = page.get_by_label("The right label").locator("option").all_inner_texts()
    chosen = choices[-1 if none else 0]
    page.get_by_label("The right label").select_option(label=chosen)
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Thank you").wait_for()
    assert (len(choices), choices[-1]) == (3, "None of these")  # all but the answer, which was wrong
    assert (said[0]["label"], said[0]["right"]) == (None if none else chosen, False)


def test_of_several_labels_each_can_be_put_right(asked):
    page, said = asked("labels", "multi")
    page.get_by_role("button", name="No").click()
    for label in ("red", "green", "blue"):
        page.locator(".ticks").get_by_label(label).set_checked(label == "green")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("Thank you").wait_for()
    assert said[0]["label"] == ["green"]


def test_picture_goes_along_only_where_the_server_keeps_pictures(asked, jpeg):
    from base64 import b64decode

    page, said = asked("pictures")
    assert "Kept on the server: the picture" in page.locator(".feedback").inner_text()
    page.get_by_role("button", name="Yes").click()
    page.get_by_text("Thank you").wait_for()
    assert b64decode(said[0]["picture"]) == jpeg


def test_what_could_not_be_kept_is_told(asked):
    page, _ = asked("labels")
    page.unroute("**/feedback")
    page.route("**/feedback", lambda route: route.fulfill(status=400, json={"detail": "the disk is full"}))
    page.get_by_role("button", name="Yes").click()
    page.get_by_text("It could not be kept: the disk is full").wait_for()
