"""Others' clients as they come, against a real server: KServe's REST client, and curl with the samples of the specifications."""

import base64
import gzip
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from bundle import model

ROOT = Path(__file__).resolve().parents[2]
KSERVE = ROOT / ".peers/kserve/bin/python"


@pytest.fixture(scope="module")
def opened(tiny):
    return model.open(tiny, "onnx")


@pytest.fixture(scope="module")
def pixels(opened, photo):
    """(1, 8, 8, 3)"""
    return opened.prepare(photo())[None]


@pytest.fixture(scope="module")
def scores(opened, pixels):
    return opened.run(pixels).tolist()


# ---- KServe --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kserve(served, photo, pixels, tmp_path_factory):
    """What KServe's client says of the server, by protocol."""
    if not KSERVE.exists():
        pytest.skip("no KServe here; `make peers-kserve` installs it")
    folder = tmp_path_factory.mktemp("kserve")
    (folder / "a.jpg").write_bytes(photo())
    (folder / "a.json").write_text(json.dumps(pixels[0].tolist()))
    command = [KSERVE, Path(__file__).with_name("kserve_client.py"), served, folder / "a.jpg", folder / "a.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kserve_s_client_speaks_v1(kserve, scores):
    found = kserve["v1"]
    assert (found["live"], found["ready"], found["scores"]) == (True, True, scores)
    assert found["unknown"].startswith("HTTPStatusError: no model 'cats' is served; there is tiny, '404 NOT FOUND'")
    assert found["bad"].startswith("HTTPStatusError: instances is no list of 1 to 64 pictures")


def test_kserve_s_client_speaks_v2(kserve, scores):
    found = kserve["v2"]
    assert [found[name] for name in ("live", "ready", "model ready", "unknown")] == [True, True, True, False]
    assert found["scores"] == dict.fromkeys(("binary", "list", "bytes"), scores)
    assert found["ids"] == ["binary", "list", "bytes"]
    assert found["bad"].startswith("HTTPStatusError: no model 'cats' is served; there is tiny, '404 NOT FOUND'")


# ---- curl, as the specifications call it ---------------------------------------------------


@pytest.fixture
def curl(tmp_path):
    """(*words) -> the status and the JSON that came; words that are bytes go through a file."""
    if not shutil.which("curl"):
        pytest.skip("no curl here")

    def run(*words):
        (tmp_path / "body").write_bytes(b"".join(word for word in words if isinstance(word, bytes)))
        named = [f"@{tmp_path}/body" if isinstance(word, bytes) else word for word in words]
        command = ["curl", "--silent", "--show-error", "--write-out", "%{stderr}%{http_code}", *named]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        return int(done.stderr), json.loads(done.stdout)

    return run


def test_tensorflow_serving_s_status_and_metadata(curl, served, tiny, number):
    fine = {"error_code": "OK", "error_message": ""}
    status, content = curl(f"{served}/v1/models/tiny")
    wanted = [{"version": number(tiny), "state": "AVAILABLE", "status": fine}]
    assert (status, content["model_version_status"]) == (200, wanted)
    status, content = curl(f"{served}/v1/models/tiny/metadata")
    assert (status, content["model_spec"]) == (200, {"name": "tiny", "signature_name": "", "version": number(tiny)})


def test_tensorflow_serving_s_predict(curl, served, pixels, scores):
    rows = json.dumps({"instances": pixels.tolist()})
    assert curl("-d", rows, "-X", "POST", f"{served}/v1/models/tiny:predict") == (200, {"predictions": scores})


def test_tensorflow_serving_s_picture_in_b64(curl, served, photo, scores):
    image = {"image_bytes": {"b64": base64.b64encode(photo()).decode()}}
    rows = json.dumps({"signature_name": "serving_default", "instances": [image]})
    assert curl("-d", rows, "-X", "POST", f"{served}/v1/models/tiny:predict") == (200, {"predictions": scores})


def test_tensorflow_serving_s_unknown_model(curl, served):
    status, content = curl("-d", '{"instances": [1.0,5.0]}', "-X", "POST", f"{served}/v1/models/half:predict")
    assert (status, list(content)) == (404, ["error"])


def test_open_inference_s_infer(curl, served, tiny, pixels, scores, number):
    tensor = {"name": "pixels", "shape": [1, 8, 8, 3], "datatype": "UINT8", "data": pixels.ravel().tolist()}
    body = json.dumps({"id": "42", "inputs": [tensor], "outputs": [{"name": "scores"}]})
    wanted = {"name": "scores", "datatype": "FP32", "shape": [1, 3], "data": scores[0]}
    head = {"model_name": "tiny", "model_version": number(tiny), "id": "42"}
    words = ("-X", "POST", "-H", "Content-Type: application/json", "-d", body, f"{served}/v2/models/tiny/infer")
    assert curl(*words) == (200, {**head, "outputs": [wanted]})


def test_open_inference_s_binary_infer(curl, served, pixels, scores):
    parameters = {"binary_data_size": pixels.nbytes}
    tensor = {"name": "pixels", "shape": [1, 8, 8, 3], "datatype": "UINT8", "parameters": parameters}
    text = json.dumps({"inputs": [tensor], "outputs": [{"name": "scores", "parameters": {"binary_data": False}}]})
    headers = ("Content-Type: application/octet-stream", f"Inference-Header-Content-Length: {len(text)}")
    words = [word for header in headers for word in ("-H", header)]
    status, content = curl(*words, "--data-binary", text.encode() + pixels.tobytes(), f"{served}/v2/models/tiny/infer")
    assert (status, content["outputs"][0]["data"]) == (200, scores[0])


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/tiny/ready"])
def test_open_inference_s_health_and_metadata(curl, served, path):
    assert curl(f"{served}{path}")[0] == 200


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_triton_s_load_and_unload_without_a_key_are_sentences(curl, served, verb):
    status, content = curl("-X", "POST", f"{served}/v2/repository/models/tiny/{verb}", "-d", "{}")
    assert (status, list(content)) == (403, ["error"])


# ---- compression ---------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["gzip", "gzip, deflate, br", "gzip;q=1.0, identity;q=0.5", "*"])
@pytest.mark.parametrize("path", ["/v1/models/tiny", "/v2/models/tiny", "/openapi.json"])
def test_answer_is_as_it_is_whatever_coding_is_accepted(served, path, coding):
    answer = requests.get(served + path, headers={"Accept-Encoding": coding}, timeout=60)
    assert "Content-Encoding" not in answer.headers
    assert len(answer.content) == int(answer.headers["Content-Length"])


@pytest.mark.parametrize("path", ["/v1/models/tiny:predict", "/v2/models/tiny/infer", "/classify"])
def test_compressed_request_is_415(served, path):
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = requests.post(served + path, data=gzip.compress(b"{}"), headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-content-type")


@pytest.fixture
def triton(served):
    http = pytest.importorskip("tritonclient.http", reason="of the dev extra")
    with http.InferenceServerClient(served.removeprefix("http://")) as client:
        yield client


@pytest.fixture
def tensor(pixels):
    http = pytest.importorskip("tritonclient.http", reason="of the dev extra")
    found = http.InferInput("pixels", list(pixels.shape), "UINT8")
    found.set_data_from_numpy(pixels)
    return found


def test_triton_that_accepts_gzip_is_answered(triton, tensor, scores):
    answer = triton.infer("tiny", [tensor], response_compression_algorithm="gzip")
    assert answer.as_numpy("scores").tolist() == scores


def test_triton_that_sends_gzip_is_told(triton, tensor):
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException, match="a compressed body is not read here"):
        triton.infer("tiny", [tensor], request_compression_algorithm="gzip")
