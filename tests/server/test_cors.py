"""Pages of other origins: nothing for them by default, and answers without credentials for those that are listed."""

import io

import pytest
import requests

LISTED, FOREIGN = "https://shop.example", "https://evil.example"
JPEG = "image/jpeg"


@pytest.fixture(scope="module")
def listing(serving, tiny):
    with serving(tiny, cors_origins=f"{LISTED},http://b.example:81") as app:
        yield app


@pytest.fixture
def post(client, jpeg):
    return lambda **headers: client.post(
        "/classify",
        data=jpeg,
        content_type=JPEG,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def cors(answer):
    return {name for name in answer.headers.keys() if name.lower().startswith("access-control")}  # noqa: SIM118


FOREIGNERS = [
    {"Origin": "null"},
    {"Origin": FOREIGN},
    {"Origin": "https://localhost.evil.example"},
    {"Origin": "http://localhost:81"},
    {"Origin": "http://localhost@evil.example"},
    {"Origin": "http://[::1"},
    {"Origin": "http://localhost:x"},
    {"Origin": "file://localhost"},
    {"Origin": ""},
    {"Origin": LISTED},
    {"Origin": FOREIGN, "Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGNERS, ids=str)
def test_post_of_a_foreign_page_is_refused(post, headers):
    answer = post(**headers)
    assert (answer.status_code, answer.json["code"], cors(answer)) == (403, "cross-origin", set())


OWN = [
    {},
    {"Origin": "http://localhost"},
    {"Origin": "http://LOCALHOST:80"},
    {"Origin": "https://localhost"},
    {"Origin": "https://imago.example:8443", "Host": "imago.example:8443"},
    {"Origin": "https://imago.example", "Host": "imago.example:443"},
    {"Origin": "http://[::1]:5000", "Host": "[::1]:5000"},
    {"Origin": "https://behind.example", "Sec_Fetch_Site": "same-origin"},
    {"Sec_Fetch_Site": "none"},
]


@pytest.mark.parametrize("headers", OWN, ids=str)
def test_own_page_and_programs_may_post(post, headers):
    answer = post(**headers)
    assert (answer.status_code, cors(answer)) == (200, set())


def test_foreign_form_posted_to_the_page_is_refused_as_a_page(client, jpeg):
    form = {"image": (io.BytesIO(jpeg), "a.jpg")}
    answer = client.post("/", data=form, headers={"Origin": "null", "Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (403, "text/html")


def test_foreign_page_may_link_to_the_page(client):
    assert client.get("/", headers={"Origin": FOREIGN, "Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("origin", [LISTED, "http://b.example:81"])
def test_listed_page_may_post_and_read(listing, jpeg, origin):
    answer = listing.test_client().post("/classify", data=jpeg, content_type=JPEG, headers={"Origin": origin})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, origin)
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_listed_page_may_read_an_error_too(listing):
    answer = listing.test_client().post("/classify", data=b"", content_type=JPEG, headers={"Origin": LISTED})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (415, LISTED)


def asks(app, origin):
    wants = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    return app.test_client().options("/classify", headers=wants)


def test_listed_page_is_told_that_it_may(listing):
    answer = asks(listing, LISTED)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, LISTED)
    assert "X-API-Key" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST"


@pytest.mark.parametrize(
    "origin", [FOREIGN, "null", "https://shop.example.evil", "http://shop.example", LISTED + ":444"]
)
def test_other_page_is_told_nothing(listing, origin):
    answer = asks(listing, origin)
    assert cors(answer) == set()
    assert "Origin" in answer.headers["Vary"]


def test_by_default_nobody_is_told_anything(app):
    answer = asks(app, LISTED)
    assert (cors(answer), "Vary" in answer.headers) == (set(), False)


def test_preflight_needs_no_key(serving, tiny, tmp_path):
    (tmp_path / "keys").write_text("0123456789abcdef\n")
    with serving(tiny, cors_origins=LISTED, api_keys=tmp_path / "keys") as app:
        assert asks(app, LISTED).status_code == 204


def test_real_server_refuses_a_form_of_null(served, jpeg):
    answer = requests.post(
        served + "/classify", files={"image": ("a.jpg", jpeg)}, headers={"Origin": "null"}, timeout=60
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "cross-origin")


# ---- who may keep an answer ----------------------------------------------------------------


def test_answers_and_errors_are_kept_by_nobody(post, client):
    answers = post(), client.get("/nowhere"), client.get("/version"), client.get("/static/none")
    assert [answer.headers["Cache-Control"] for answer in answers] == ["no-store"] * 4


def test_static_files_are_kept_and_asked_about(client):
    with client.get("/static/page.css") as answer:
        assert (answer.headers["Cache-Control"], "ETag" in answer.headers) == ("no-cache", True)
