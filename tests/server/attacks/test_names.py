"""S15, S16, S27, S29: what outsiders name: models, files, labels, routes of the management, ids for the log."""

import json
import re
from dataclasses import replace

import pytest

HTML = '"><script>alert(1)</script>'

# Name -> value of X-Request-ID that must not come back.
IDS = {
    "markup": HTML,
    "colon": "a: b",
    "5 KB": "x" * 5000,
    "65 letters": "x" * 65,
    "not ASCII": "größe",
    "spaces": "a b",
    "log line": 'x" level=error',
    "empty": "",
}


@pytest.mark.parametrize("name", IDS)
def test_s27_insane_request_id_is_replaced(target, post, jpeg, name):
    answer = post(target.url, jpeg, X_Request_ID=IDS[name])
    assert answer.status == 200
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_s27_1_mb_request_id_is_refused(target, post, jpeg):
    assert post(target.url, jpeg, X_Request_ID="x" * (1 << 20)).status == 431


@pytest.mark.parametrize("tail", ["\r\nX-Evil: 1", "\nX-Evil: 1", "\rX-Evil: 1", "\0"])
def test_s27_line_end_in_a_request_id_makes_no_header(target, send, tail):
    answer = send(
        target.url, f"GET /version HTTP/1.1\r\nHost: x\r\nX-Request-ID: a{tail}\r\nConnection: close\r\n\r\n".encode()
    )
    assert "x-evil" not in answer.headers


PATHS = ["%0a2026%20FORGED", "%0d%0aFORGED", "%e2%80%a8FORGED", "%1b[31mFORGED", "%c2%85FORGED", "a?x=%0aFORGED"]


@pytest.mark.parametrize("path", PATHS)
def test_s27_no_path_starts_a_line_of_the_log(target, send, path):
    answer = send(target.url, f"GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.status in (400, 404)
    assert not re.search(r"^\W*(2026 )?FORGED", target.log.read_text(), re.MULTILINE)
    assert "\x1b" not in target.log.read_text()


def upload(name, data, field="image"):
    head = f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
    return head + data + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"


NAMES = ["<script>alert(1)</script>.jpg", "../../etc/passwd", "a\0.jpg", "x" * 5000, "a%0d%0aX-Evil: 1", "{{7*7}}"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
def test_s27_file_name_is_never_given_back(target, post, jpeg, name, good):
    answer = post(target.url, *upload(name, jpeg if good else b"no picture"), path="/", Accept="text/html")
    assert answer.status in ((200, 400) if good else (400, 415))
    assert name.encode() not in answer.body
    assert b"<script>alert" not in answer.body
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/<script>alert(1)</script>", "/models/<img src=x onerror=alert(1)>/classify"])
def test_s27_path_in_an_error_is_no_html(target, send, path):
    asked = path.replace(" ", "%20")
    answer = send(
        target.url,
        f"POST {asked} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode(),
    )
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"


# ---- S29: labels are somebody's text too -----------------------------------------------------

LABELS = (HTML, "]]>&lt;", "a\x01b\ufffe\u202e")


@pytest.fixture(scope="module")
def labelled(start, bundles, parts):
    from bundle.write import write

    with start(write(bundles, replace(parts, name="labelled", labels=LABELS)), unready_ms=0) as server:
        yield server


def test_s29_labels_are_escaped_on_the_page(labelled, post, jpeg):
    answer = post(labelled.url, *upload("a.jpg", jpeg), path="/", Accept="text/html")
    assert answer.status == 200
    assert b"<script>alert" not in answer.body
    assert b"&lt;script&gt;" in answer.body


def test_s29_labels_are_themselves_in_json(labelled, post, jpeg):
    found = {one["label"] for one in json.loads(post(labelled.url, jpeg).body)["predictions"]}
    assert found == set(LABELS)


# ---- S15: a bundle from an outsider ----------------------------------------------------------


def link(bundle):
    (bundle / "labels.txt").unlink()
    (bundle / "labels.txt").symlink_to("/etc/hostname")


def outside(bundle):
    content = json.loads((bundle / "manifest.json").read_text())
    content["files"]["../../outside"] = next(iter(content["files"].values()))
    (bundle / "manifest.json").write_text(json.dumps(content))


def sparse(bundle):
    with (bundle / "model.onnx").open("r+b") as file:
        file.truncate(10 << 30)


TAMPERED = {
    "a link": link,
    "a file outside": outside,
    "10 GB of nothing": sparse,
    "code beside the model": lambda bundle: (bundle / "custom.py").write_text("raise SystemExit"),
    "another model": lambda bundle: (bundle / "model.onnx").write_bytes(b"\x08\x08"),
    "a manifest of 20 MB": lambda bundle: (bundle / "manifest.json").write_bytes(b"[" * (20 << 20)),
    "a manifest of lists": lambda bundle: (bundle / "manifest.json").write_bytes(b"[" * 100_000),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_s15_tampered_bundle_is_not_served(imago, tiny_copy, free_port, name):
    TAMPERED[name](tiny_copy)
    done = imago("serve", "--bundle", tiny_copy, "--listen", f"127.0.0.1:{free_port}")
    assert done.returncode in (1, 3)
    assert f"imago: {tiny_copy}" in done.stderr
    assert "Traceback" not in done.stderr


EXTERNAL = "a model whose weights lie in another file"


def test_s15_model_that_names_another_file_is_not_served(imago, tiny_copy, resign, free_port):
    import onnx

    model = onnx.load_from_string((tiny_copy / "model.onnx").read_bytes())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    (tiny_copy / "model.onnx").write_bytes(model.SerializeToString())
    done = imago("serve", "--bundle", resign(tiny_copy), "--listen", f"127.0.0.1:{free_port}")
    assert done.returncode in (1, 3)
    assert "Traceback" not in done.stderr


# ---- S16: routes of the management -----------------------------------------------------------

ADMIN = [
    *("/shutdown", "/admin", "/debug", "/console", "/config", "/env", "/models/tiny/reload", "/models/tiny/unload"),
    *("/v2/repository/models/tiny/load", "/v2/repository/models/tiny/unload", "/.git/config", "/server/app.py"),
    *("/static/", "/debug/pprof", "/actuator/env", "/v2/shutdown", "/api/v1/shutdown", "/graphql"),
]


@pytest.mark.parametrize("path", ADMIN)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_s16_nothing_is_managed_without_a_key(target, send, path, method):
    answer = send(
        target.url, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.status in (401, 403, 404, 405)
