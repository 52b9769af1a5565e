"""The log: one JSON object a line, whatever a client sends, and ids that run through."""

import json
import logging
import re

import pytest
import requests

from server import logs, trace

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture(scope="module")
def logged(start, tiny, jpeg, knock):
    """The lines of a real server that was asked for many things."""
    with start(tiny, unready_ms=0) as server:
        url = server.url
        headers = {"Content-Type": "image/jpeg", "X-Request-ID": "good", "traceparent": PARENT}
        requests.post(url + "/models/tiny/classify?secret=1", data=jpeg, headers=headers, timeout=60)
        requests.post(url + "/classify", data=b"none", headers={**headers, "X-Request-ID": "bad"}, timeout=60)
        for path in (
            "/healthz",
            "/readyz",
            "/metrics",
            "/a%7B%22event%22:%22forged%22%7D%E2%80%A8",
            "/" + "b" * 900,
        ):
            requests.get(url + path, headers={"X-Request-ID": f"of-{path[1:3]}".replace("%", "-")}, timeout=60)
        knock(url, b"GET /\x1b[31m HTTP/1.1\r\nX-Request-ID: loop\r\nContent-Length: a\r\n\r\n")
        knock(url, b"POST /classify HTTP/1.1\r\nHost: x\r\nX-Request-ID: huge\r\nContent-Length: 999999999\r\n\r\n")
    return server.log.read_text()


@pytest.fixture(scope="module")
def lines(logged):
    return [json.loads(line) for line in logged.splitlines()]


def of(lines, **fields):
    (found,) = [line for line in lines if fields.items() <= line.items()]
    return found


def test_every_line_is_json_with_time_level_and_event_first(lines):
    assert all(list(line)[:3] == ["time", "level", "event"] for line in lines)
    assert all(re.fullmatch(r"2\d{3}-\d\d-\d\dT[\d:.]+Z", line["time"]) for line in lines)


def test_line_of_a_request_says_what_it_was_and_what_it_cost(lines, jpeg):
    line = of(lines, request_id="good")
    for name in ("ms", "decode_ms", "queue_ms", "engine_ms"):
        assert 0 <= line.pop(name) < 10_000
    assert {name: line[name] for name in list(line)[1:]} == {
        **{"level": "info", "event": "request", "method": "POST", "route": "/models/<name>/classify"},
        **{"path": "/models/tiny/classify", "status": 200, "bytes_in": len(jpeg), "pictures": 1, "model": "tiny"},
        **{"request_id": "good", "trace_id": TRACE},
    }


def test_line_of_a_refused_request_has_the_problem_s_code(lines):
    line = of(lines, request_id="bad")
    assert (line["status"], line["code"], "engine_ms" in line) == (415, "not-a-picture", False)


def test_probes_leave_no_line_while_all_is_well(lines):
    assert [
        line for line in lines if line.get("path") in ("/healthz", "/readyz", "/metrics") and line["status"] == 200
    ] == []


def test_path_cannot_forge_a_line(lines, logged):
    line = of(lines, request_id="of-a-")
    assert line["path"] == r'/a{"event":"forged"}\u2028'
    assert not re.search("[^\x20-\x7e\n]", logged)


def test_path_is_cut(lines):
    assert of(lines, request_id="of-bb")["path"] == "/" + "b" * 199 + "..."


def test_query_is_not_logged(logged):
    assert "secret" not in logged


def test_what_the_loop_refuses_has_a_line_too(lines):
    assert of(lines, status=400)["code"] == "bad-request"
    line = of(lines, request_id="huge")
    assert (line["status"], line["code"], line["route"], line["method"]) == (413, "too-large", "/classify", "POST")


# ---- the shape of other records ------------------------------------------------------------


@pytest.fixture
def written(capsys):
    """(form) -> logging is configured so, until the test ends; what is written is read from capsys."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield logs.configure
    root.handlers[:] = before
    root.setLevel(level)


EVIL = "a\nb\x1b[2J\u202e\x7f"


def test_other_record_has_the_same_shape(written, capsys):
    written("json")
    logging.getLogger("gunicorn.other").warning("%s happened", EVIL)
    line = json.loads(capsys.readouterr().err)
    event = r"a\u000ab\u001b[2J\u202e\u007f happened"
    assert {**line, "time": ""} == {"time": "", "level": "warning", "event": event, "logger": "gunicorn.other"}


@pytest.mark.parametrize("form", ["json", "text"])
def test_trace_of_an_error_passes_for_no_line(written, capsys, form):
    written(form)
    try:
        raise ValueError("\n{}\n2026-11-21 info forged\x1b")
    except ValueError:
        logging.getLogger("imago.server").exception("unexpected")
    text = capsys.readouterr().err
    assert "ValueError" in text
    assert "\x1b" not in text
    assert all(line.startswith("    ") for line in text.splitlines()[1:])


def test_text_is_one_line_with_quoted_values(written, capsys):
    written("text")
    logs.request(200, 0.0, path=logs.clean('/a b="c"\n', 200), status=200, code=None, model="größe")
    time, *rest = capsys.readouterr().err.rstrip("\n").split(" ", 3)
    assert rest == ["info", "request", r'path="/a b=\"c\"\\u000a" status=200 model="gr\u00f6\u00dfe"']


@pytest.mark.parametrize(("status", "level"), [(200, "info"), (404, "info"), (503, "warning")])
def test_what_went_wrong_here_is_a_warning(written, capsys, status, level):
    written("json")
    logs.request(status, 0.0, status=status)
    assert json.loads(capsys.readouterr().err)["level"] == level


def test_gunicorn_speaks_json_too(imago, tiny, served):
    done = imago("serve", "--bundle", tiny, "--listen", served.removeprefix("http://"))
    line = json.loads(done.stderr.splitlines()[0])
    assert (line["logger"], line["level"], "in use" in line["event"]) == ("gunicorn.error", "error", True)


# ---- the trace -----------------------------------------------------------------------------


def test_valid_traceparent_is_passed_on(client):
    assert client.get("/version", headers={"traceparent": PARENT}).headers["traceparent"] == PARENT


def test_later_version_is_passed_on_as_ours():
    assert trace.parent(f"cc-{TRACE}-{SPAN}-01-more") == (PARENT, TRACE)


@pytest.mark.parametrize(
    "given",
    [
        *("", "x", PARENT + "-more", PARENT.upper(), PARENT + " ", PARENT + "\n", f"{PARENT},{PARENT}", "0" * 5000),
        *(f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}"),
        *(f"cc-{TRACE}-{SPAN}-01more", f"cc-{TRACE}-{SPAN}-01-{'x' * 300}"),
    ],
    ids=len,
)
def test_other_traceparent_is_ignored(client, given):
    assert trace.parent(given) == ("", "")
    assert "traceparent" not in client.get("/version", environ_overrides={"HTTP_TRACEPARENT": given}).headers
