"""Keys: three files for three kinds of routes, and no key ever in an answer or a log."""

import os

import pytest
import requests
from click.testing import CliRunner

from server.cli import serve
from server.config import ConfigError, read
from server.keys import Keys

API, SECOND, ADMIN, METRICS = (
    "api-key-0123456789",
    "second-key-0123456789",
    "admin-key-0123456789",
    "metrics-key-0123456789",
)
JPEG = {"Content-Type": "image/jpeg"}


def file(folder, name, *lines):
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def knobs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {
        "api_keys": file(folder, "api", "# of the shop", API, "", f"  {SECOND}  "),
        "admin_keys": file(folder, "admin", ADMIN),
        "metrics_keys": file(folder, "metrics", METRICS),
    }


@pytest.fixture(scope="module")
def locked(serving, tiny, knobs):
    with serving(tiny, **knobs) as app:
        app.add_url_rule("/admin/thing", "thing", lambda: "done")
        app.add_url_rule("/v2/health/live", "live", lambda: "alive")
        yield app


@pytest.fixture
def ask(locked):
    return lambda path, headers=None, method="GET", **more: locked.test_client().open(
        path, method=method, headers=headers or {}, **more
    )


@pytest.mark.parametrize(
    "headers", [bearer(API), bearer(SECOND), {"X-API-Key": API}, {"Authorization": f"bearer  {API}"}]
)
def test_good_key_opens(ask, jpeg, headers):
    assert ask("/classify", headers | JPEG, "POST", data=jpeg).status_code == 200


WRONG = [
    {},
    bearer(""),
    bearer(API[:-1]),
    bearer(API + "0"),
    bearer(ADMIN),
    bearer("# of the shop"),
    bearer("ä" * 20),
    {"Authorization": f"Basic {API}"},
    {"Authorization": API},
    {"X-API-Key": ""},
    {"X-API-Key": f"Bearer {API}"},
    {"X-API-Key": "x" * 10_000},
]


@pytest.mark.parametrize("headers", WRONG, ids=range(len(WRONG)))
def test_other_key_is_a_401_problem_before_the_picture_is_read(ask, headers):
    answer = ask("/classify", headers | JPEG, "POST", data=b"none")
    assert (answer.status_code, answer.json["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="imago"'
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v2/health/live", "/", "/static/form.js"])
def test_health_and_the_page_are_open(ask, path):
    with ask(path) as answer:
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/version"), ("POST", "/"), ("GET", "/nowhere"), ("POST", "/models/tiny/classify")]
    + [("GET", "/healthz/x"), ("GET", "/v2/health/live/x"), ("OPTIONS", "/classify")],
)
def test_all_else_is_not(ask, method, path):
    assert ask(path, method=method).status_code == 401


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [("/admin/thing", ADMIN, 200), ("/admin/thing", API, 401), ("/models/tiny/reload", API, 401)]
    + [("/admin", API, 401), ("/v2/repository/models/tiny/load", API, 401), ("/admin/nothing", ADMIN, 404)]
    + [("/metrics", METRICS, 200), ("/metrics", API, 401), ("/metrics", ADMIN, 401), ("/version", ADMIN, 401)],
)
def test_each_kind_of_route_has_its_own_keys(ask, path, key, status):
    assert ask(path, bearer(key)).status_code == status


@pytest.mark.parametrize("path", ["/admin", "/admin/x", "/models/tiny/reload", "/v2/repository/models/tiny/unload"])
def test_administration_without_a_file_is_off(client, path):
    answer = client.post(path, headers=bearer(ADMIN))
    assert (answer.status_code, "administration is switched off here" in answer.text) == (403, True)


def test_metrics_are_open_without_a_file_of_their_own(serving, tiny, knobs):
    with serving(tiny, api_keys=knobs["api_keys"]) as app:
        assert app.test_client().get("/metrics").status_code == 200


def test_keys_are_in_no_answer_and_no_log(start, tiny, knobs, jpeg):
    with start(tiny, unready_ms=0, **knobs) as server:
        given = [API, API + "0", ADMIN]
        answers = [
            requests.post(server.url + "/classify", data=jpeg, headers=bearer(key) | JPEG, timeout=60) for key in given
        ]
        texts = [server.log.read_text(), *(answer.text + str(answer.headers) for answer in answers)]
    assert [answer.status_code for answer in answers] == [200, 401, 401]
    assert not any(key in text for key in (API, ADMIN) for text in texts)


# ---- the file ------------------------------------------------------------------------------


def keys(path):
    return Keys(read(api_keys=path))


BAD = {
    "nothing": ([], "there is no key in it; wanted one a line, of at least 16 characters"),
    "comments": (["# a", ""], "there is no key in it"),
    "short": ([API, "secret"], "line 2: no good key; wanted at least 16 visible ASCII characters without a space"),
    "space": (["secret secret secret"], "line 1: no good key"),
    "other letters": (["größe" * 5], "line 1: no good key"),
    "large": (["#" * (1 << 20)], "more than 1 MB"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_one_sentence_without_the_key(tmp_path, name):
    lines, words = BAD[name]
    path = file(tmp_path, "keys", *lines)
    with pytest.raises(ConfigError) as caught:
        keys(path)
    assert str(caught.value).startswith(f"--api-keys: {path}: {words}")
    assert "secret" not in str(caught.value)


def test_file_that_is_not_utf_8_is_one_sentence(tmp_path):
    (tmp_path / "keys").write_bytes(b"\xff" * 20)
    with pytest.raises(ConfigError, match=r"cannot be read \(not UTF-8\)"):
        keys(tmp_path / "keys")


def test_missing_file_ends_the_command_before_anything_is_started(tiny, tmp_path):
    done = CliRunner().invoke(serve, ["--bundle", str(tiny), "--admin-keys", str(tmp_path / "gone")])
    assert str(done.exception) == f"--admin-keys: {tmp_path / 'gone'}: cannot be read (No such file or directory)"


def test_changed_file_is_read_again_and_a_bad_one_is_not_believed(serving, tiny, tmp_path):
    path = file(tmp_path, "keys", API)
    with serving(tiny, api_keys=path) as app:
        statuses = []
        for at, lines in enumerate([[API], [SECOND], ["bad"]]):
            os.utime(file(tmp_path, "keys", *lines), (at, at))
            statuses.append(
                [app.test_client().get("/version", headers=bearer(key)).status_code for key in (API, SECOND)]
            )
    assert statuses == [[200, 401], [401, 200], [401, 200]]
