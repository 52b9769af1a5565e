"""The page in a real browser: choose, drop, error, and no JavaScript at all."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium here; as root: make browser")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    quiet = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, served):
    """The form, with every request to another host and every console error noted."""
    page = browser.new_page()
    page.strangers, page.complaints = [], []
    page.on(
        "request",
        lambda request: None if request.url.startswith((served, "blob:")) else page.strangers.append(request.url),
    )
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.goto(served)
    yield page
    page.close()


def test_a_chosen_picture_gets_its_labels(page, jpeg):
    page.set_input_files("#image", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": jpeg})
    page.wait_for_selector(".answer .best")
    assert page.locator(".answer li").count() == 3
    assert "tiny" in page.locator(".answer .id").inner_text()
    assert page.strangers == page.complaints == []


def test_a_dropped_picture_gets_its_labels(page, jpeg):
    transfer = page.evaluate_handle(
        """bytes => { const t = new DataTransfer();
        t.items.add(new File([new Uint8Array(bytes)], 'dropped.jpg', { type: 'image/jpeg' })); return t }""",
        list(jpeg),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
    page.wait_for_selector(".answer li")
    assert page.locator(".answer img").get_attribute("alt") == "dropped.jpg"


def test_several_pictures_get_an_answer_each(page, jpeg, png):
    files = [("a.jpg", "image/jpeg", jpeg), ("b.png", "image/png", png)]
    page.set_input_files("#image", [{"name": n, "mimeType": kind, "buffer": data} for n, kind, data in files])
    page.locator(".answer li").nth(5).wait_for()
    assert page.locator(".answer").count() == 2


def test_a_file_that_is_no_picture_gets_a_sentence(page):
    page.set_input_files("#image", {"name": "<b>x</b>.jpg", "mimeType": "image/jpeg", "buffer": b"not a picture"})
    page.wait_for_selector(".problem .best")
    assert "no picture that Imago reads" in page.locator(".problem").inner_text()


def test_the_form_works_without_javascript(browser, served, jpeg):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(served)
    page.set_input_files("#image", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": jpeg})
    page.click("button")
    assert page.locator(".answer li").count() == 3
    page.context.close()


def test_the_form_works_by_keyboard(page):
    page.on("filechooser", lambda _: None)  # from now on Chromium tells of choosers instead of opening them
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "image"
    with page.expect_file_chooser():
        page.keyboard.press("Enter")


def test_a_server_with_keys_asks_for_one_and_keeps_it(browser, start, tiny, tmp_path, jpeg):
    (tmp_path / "keys").write_text("0123456789abcdef\n")
    with start(tiny, api_keys=tmp_path / "keys", unready_ms=0) as server:
        page, asked = browser.new_page(), []
        page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept("0123456789abcdef")))
        page.goto(server.url)
        for count in (1, 2):
            page.set_input_files("#image", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": jpeg})
            page.locator(".answer li").nth(3 * count - 1).wait_for()
        page.close()
    assert asked == ["prompt"]
