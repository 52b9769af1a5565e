"""The Open Inference Protocol: tritonclient as it comes, the binary extension by hand, and errors that are {"error": "..."}."""

import json
import struct
from importlib.metadata import version

import numpy as np
import pytest

from bundle import model

INFER = "/v2/models/tiny/infer"
SHAPE = [1, 8, 8, 3]
ZEROS = [0] * 192
LENGTH = "Inference-Header-Content-Length"


def pixels(data=None, **more):
    return {"name": "pixels", "datatype": "UINT8", "shape": SHAPE, "data": ZEROS if data is None else data, **more}


def image(*texts, **more):
    return {"name": "image", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts), **more}


@pytest.fixture
def infer(client):
    """(**content) -> answer."""
    return lambda **content: client.post(INFER, json={"inputs": [pixels()], **content})


# ---- tritonclient against a real server ----------------------------------------------------


@pytest.fixture(scope="module")
def triton(served):
    http = pytest.importorskip("tritonclient.http", reason="of the dev extra")
    with http.InferenceServerClient(served.removeprefix("http://")) as client:
        yield http, client


@pytest.fixture(scope="module")
def batch(photo, tiny):
    opened = model.open(tiny, "onnx")
    array = np.stack([opened.prepare(photo(seed=seed)) for seed in range(3)])
    return array, opened.run(array), [photo(seed=seed) for seed in range(3)]


def given(http, array, datatype, name="pixels"):
    one = http.InferInput(name, list(array.shape), datatype)
    one.set_data_from_numpy(array)
    return one


def test_triton_sees_a_server_that_is_alive_and_ready(triton):
    _, client = triton
    assert (client.is_server_live(), client.is_server_ready(), client.is_model_ready("tiny")) == (True, True, True)
    assert (client.is_model_ready("cats"), client.is_model_ready("tiny", "1")) == (False, False)


def test_triton_reads_the_metadata(triton, tiny, number):
    _, client = triton
    found = client.get_model_metadata("tiny", number(tiny))
    assert (found["name"], found["versions"], found["inputs"][1]["shape"]) == ("tiny", [number(tiny)], [-1, 8, 8, 3])
    assert client.get_server_metadata()["name"] == "imago"


@pytest.mark.parametrize(("datatype", "kind"), [("UINT8", np.uint8), ("FP32", np.float32), ("INT64", np.int64)])
def test_triton_infers_with_binary_in_and_out(triton, batch, datatype, kind):
    http, client = triton
    answer = client.infer("tiny", [given(http, batch[0].astype(kind), datatype)])
    assert (answer.as_numpy("scores") == batch[1]).all()
    assert answer.as_numpy("label").shape == (3,)


def test_triton_sends_encoded_pictures(triton, batch):
    http, client = triton
    array = np.array(batch[2], dtype=np.object_)
    answer = client.infer("tiny", [given(http, array, "BYTES", "image")], request_id="me")
    assert (answer.as_numpy("scores") == batch[1]).all()
    assert answer.get_response()["id"] == "me"


@pytest.mark.parametrize("binary", [True, False])
def test_triton_chooses_outputs_and_their_form(triton, batch, binary):
    http, client = triton
    wanted = [http.InferRequestedOutput("scores", binary_data=binary)]
    answer = client.infer("tiny", [given(http, batch[0], "UINT8")], outputs=wanted)
    assert (answer.as_numpy("scores") == batch[1]).all()
    assert answer.as_numpy("label") is None


def test_triton_asks_for_classes(triton, batch):
    http, client = triton
    wanted = [http.InferRequestedOutput("scores", class_count=2)]
    found = client.infer("tiny", [given(http, batch[0], "UINT8")], outputs=wanted).as_numpy("scores")
    score, at, label = found[0][0].decode().split(":")
    assert found.shape == (3, 2)
    assert (float(score), int(at)) == (pytest.approx(batch[1][0].max(), abs=1e-6), int(batch[1][0].argmax()))
    assert label == ("red", "green", "blue")[int(at)]


def test_triton_gets_the_sentence_of_an_error(triton, batch):
    from tritonclient.utils import InferenceServerException

    http, client = triton
    with pytest.raises(InferenceServerException, match="no model 'cats' is served"):
        client.infer("cats", [given(http, batch[0], "UINT8")])


# ---- what is there -------------------------------------------------------------------------


def test_server_names_itself_and_its_extensions(client):
    extensions = ["binary_tensor_data", "classification", "model_repository"]
    assert client.get("/v2").json == {"name": "imago", "version": version("imago"), "extensions": extensions}


def test_models_are_named(client):
    assert client.get("/v2/models").json == {"models": ["tiny", "multi"]}


def test_version_that_was_told_can_be_asked_for(client, tiny, number):
    paths = [f"/v2/models/tiny{which}" for which in ("", f"/versions/{number(tiny)}")]
    assert client.get(paths[0]).json == client.get(paths[1]).json
    assert [client.get(f"{path}/ready").json for path in paths] == [{"name": "tiny", "ready": True}] * 2
    assert [client.post(f"{path}/infer", json={"inputs": [pixels()]}).status_code for path in paths] == [200, 200]


def test_loading_server_is_alive_and_not_ready(loading):
    paths = ("/v2/health/live", "/v2/health/ready", "/v2/models/tiny/ready", "/v2/models/tiny", "/v2/models")
    assert [loading.get(path).status_code for path in paths] == [200, 503, 503, 503, 503]
    assert loading.post(INFER, json={"inputs": [pixels()]}).headers["Retry-After"] == "1"


def test_server_that_goes_down_is_not_ready_and_still_answers(serving, tiny):
    with serving(tiny) as app:
        app.extensions["imago"].drain()
        client = app.test_client()
        found = [client.get(path).status_code for path in ("/v2/health/ready", "/v2/models/tiny/ready")]
        assert client.post(INFER, json={"inputs": [pixels()]}).status_code == 200
    assert found == [503, 503]


# ---- infer ---------------------------------------------------------------------------------


def test_answer_has_both_outputs_and_what_was_given(infer, tiny, number):
    answer = infer(id="a-1", parameters={"note": "x", "count": 2})
    content = json.loads(answer.data)
    assert list(content) == ["model_name", "model_version", "id", "parameters", "outputs"]
    assert (content["model_version"], content["id"], content["parameters"]) == (
        number(tiny),
        "a-1",
        {"note": "x", "count": 2},
    )
    about = [(one["name"], one["datatype"], one["shape"]) for one in content["outputs"]]
    assert about == [("scores", "FP32", [1, 3]), ("label", "BYTES", [1])]


@pytest.mark.parametrize("names", [["scores"], ["label"], ["label", "scores"], ["scores", "label"]])
def test_outputs_come_as_they_are_asked_for(infer, names):
    answer = infer(outputs=[{"name": name} for name in names])
    assert [one["name"] for one in answer.json["outputs"]] == names


def test_empty_list_of_outputs_is_all(infer):
    assert len(infer(outputs=[]).json["outputs"]) == 2


def test_one_output_may_be_binary_and_another_not(infer):
    answer = infer(
        outputs=[{"name": "scores", "parameters": {"binary_data": False}}, {"name": "label"}],
        parameters={"binary_data_output": True},
    )
    size = int(answer.headers[LENGTH])
    scores, label = json.loads(answer.data[:size])["outputs"]
    assert (len(scores["data"]), label["parameters"], answer.mimetype) == (
        3,
        {"binary_data_size": 7},
        "application/octet-stream",
    )
    assert answer.data[size:] == struct.pack("<I", 3) + b"red"


def content(*inputs, **more):
    return {"inputs": list(inputs), **more}


def parameters(**values):
    return pixels(parameters=values)


BAD = {
    "no inputs": ({}, "wanted one input, in a list"),
    "no list": (content() | {"inputs": {}}, "wanted one input, in a list"),
    "empty list": (content(), "wanted one input, in a list"),
    "two inputs": (content(pixels(), pixels()), "wanted one input, in a list"),
    "input that is no object": (content(7), "wanted one input, in a list"),
    "unknown input": (content(pixels() | {"name": "x"}), "there is no input 'x'; wanted image or pixels"),
    "input without a name": (content({"shape": [1], "data": [1]}), "there is no input None"),
    "no shape": (content({"name": "pixels", "datatype": "UINT8", "data": ZEROS}), "no list of sizes"),
    "shape of text": (content(pixels(shape=["1"])), "no list of sizes"),
    "negative shape": (content(pixels(shape=[-1, 8, 8, 3])), "no list of sizes"),
    "shape of truths": (content(pixels(shape=[True, 8, 8, 3])), "no list of sizes"),
    "shape of nothing": (content(pixels(shape=[])), "no list of sizes"),
    "huge shape": (content(pixels(shape=[1, 1 << 40])), "no list of sizes"),
    "shape over 64 bits": (content(pixels(shape=[10**30])), "no list of sizes"),
    "no pictures": (content(pixels(shape=[0, 8, 8, 3], data=[])), "0 pictures in one request; wanted 1 to 64"),
    "too many pictures": (content(pixels(shape=[65, 8, 8, 3])), "65 pictures in one request; wanted 1 to 64"),
    "other shape": (content(pixels(shape=[1, 3, 8, 8])), "pixels has the shape [1, 3, 8, 8]; wanted [n, 8, 8, 3]"),
    "data for another shape": (
        content(pixels(shape=[2, 8, 8, 3])),
        "has 192 numbers; its shape [2, 8, 8, 3] wants 384",
    ),
    "nested otherwise": (
        content(pixels(data=[[0] * 96] * 2)),
        "pixels is nested as [2, 96]; its shape says [1, 8, 8, 3]",
    ),
    "ragged": (content(pixels(data=[[0] * 96, [0] * 95, 0])), "pixels is ragged"),
    "list among numbers": (content(pixels(data=[0, [0]])), "has a list in it"),
    "no data": (content({"name": "pixels", "datatype": "UINT8", "shape": SHAPE}), "either data, a list, or"),
    "data that is no list": (content(pixels(data="AAAA")), "either data, a list, or"),
    "unknown datatype": (content(pixels(datatype="UINT4")), "pixels are no 'UINT4'"),
    "BYTES for pixels": (content(pixels(datatype="BYTES")), "pixels are no 'BYTES'"),
    "BOOL for pixels": (content(pixels(datatype="BOOL")), "pixels are no 'BOOL'"),
    "no datatype": (content({"name": "pixels", "shape": SHAPE, "data": ZEROS}), "pixels are no None"),
    "datatype that is a number": (content(pixels(datatype=8)), "pixels are no 8"),
    "numbers for image": (content(image("aaaa", datatype="UINT8")), "the input image is BYTES of shape [n]"),
    "image in three dimensions": (content(image("aaaa", shape=[1, 1, 1])), "the input image is BYTES of shape [n]"),
    "image that is no text": (content(image(7)), "image[0] is no string; wanted base64"),
    "image that is no base64": (content(image("****")), "image[0] is no base64"),
    "image that is no picture": (content(image("aGVsbG8=")), "no picture that Imago reads"),
    "fewer images than said": (content(image("aaaa", shape=[2])), "image has 1 elements; its shape wants 2"),
    "brighter than white": (content(pixels(data=[256, *ZEROS[1:]])), "whole ones from 0 to 255"),
    "scaled": (content(pixels(data=[0.5, *ZEROS[1:]], datatype="FP32")), "not scaled"),
    "text in the data": (content(pixels(data=["0", *ZEROS[1:]])), "has a str in it"),
    "unknown output": (content(pixels(), outputs=[{"name": "x"}]), "there is no output 'x'; wanted scores or label"),
    "output without a name": (content(pixels(), outputs=[{}]), "there is no output None"),
    "output that is a list": (content(pixels(), outputs=[{"name": []}]), "there is no output []"),
    "output twice": (content(pixels(), outputs=[{"name": "label"}] * 2), "an output is asked for twice"),
    "outputs that are no list": (content(pixels(), outputs={"name": "label"}), "outputs is no list of objects"),
    "outputs that are texts": (content(pixels(), outputs=["label"]), "outputs is no list of objects"),
    "classes of the label": (
        content(pixels(), outputs=[{"name": "label", "parameters": {"classification": 2}}]),
        "classification is for the output scores",
    ),
    "classes below none": (
        content(pixels(), outputs=[{"name": "scores", "parameters": {"classification": -1}}]),
        "classification is for the output scores",
    ),
    "binary_data that is no truth": (
        content(pixels(), outputs=[{"name": "scores", "parameters": {"binary_data": 1}}]),
        "binary_data of scores is no boolean",
    ),
    "binary_data_output that is no truth": (
        content(pixels(), parameters={"binary_data_output": "yes"}),
        "binary_data_output of the request is no boolean",
    ),
    "id that is a number": (content(pixels(), id=7), "an id that is a string"),
    "parameters that are a list": (content(pixels(), parameters=[]), "parameters of the request are no object"),
    "parameters that are deep": (content(pixels(), parameters={"a": {}}), "parameters of the request are no object"),
    "parameters of an input": (content(pixels(parameters=7)), "parameters of an input are no object"),
    "binary size without bytes": (
        content({"name": "pixels", "datatype": "UINT8", "shape": SHAPE, "parameters": {"binary_data_size": 192}}),
        "binary_data_size is 192, but 0 bytes are behind the JSON",
    ),
    "binary size beside data": (content(parameters(binary_data_size=0)), "either data, a list, or binary_data_size"),
    "list": ([1], "wanted an object with inputs"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_request_is_400_in_the_protocol_s_shape(client, name):
    body, words = BAD[name]
    answer = client.post(INFER, json=body)
    assert (answer.status_code, list(answer.json), answer.mimetype) == (400, ["error"], "application/json")
    assert words in answer.json["error"]
    assert len(answer.json["error"]) < 300


# ---- the binary extension ------------------------------------------------------------------


def binary(raw, size=192, name="pixels", datatype="UINT8", shape=SHAPE):
    """JSON and bytes, and the length of the JSON."""
    about = {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}
    text = json.dumps({"inputs": [about]}).encode()
    return text + raw, len(text)


BYTES192 = bytes(192)
TEXT = {"name": "image", "datatype": "BYTES", "shape": [1]}

BAD_BINARY = {
    "no header": (binary(BYTES192), None, "the body is no JSON"),
    "header that is no number": (binary(BYTES192), "many", f"{LENGTH} is 'many'"),
    "negative header": (binary(BYTES192), "-1", f"{LENGTH} is '-1'"),
    "header in other digits": (binary(BYTES192), "\u00b2", f"{LENGTH} is "),
    "header longer than the body": (binary(BYTES192), "99999", f"{LENGTH} is '99999'"),
    "header of many digits": (binary(BYTES192), "9" * 5000, f"{LENGTH} is '999"),
    "header that is empty": (binary(BYTES192), "", f"{LENGTH} is ''"),
    "header within the JSON": (binary(BYTES192), "9", "the body is no JSON"),
    "no bytes": (binary(b""), ..., "binary_data_size is 192, but 0 bytes"),
    "too many bytes": (binary(BYTES192 + b"x"), ..., "binary_data_size is 192, but 193 bytes"),
    "negative size": (binary(BYTES192, -1), ..., "binary_data_size is -1"),
    "size that is text": (binary(BYTES192, "192"), ..., "binary_data_size is '192'"),
    "size for another shape": (binary(bytes(96), 96), ..., "has 96 numbers; its shape [1, 8, 8, 3] wants 192"),
    "size that splits a number": (binary(bytes(7), 7, datatype="FP32"), ..., "wanted 4 for each FP32"),
    "NaN": (binary(b"\xff" * 768, 768, datatype="FP32"), ..., "whole ones from 0 to 255"),
    "negative number": (binary(b"\xff" * 192, datatype="INT8"), ..., "whole ones from 0 to 255"),
    "BF16": (binary(bytes(384), 384, datatype="BF16"), ..., "pixels are no 'BF16'"),
    "element longer than the bytes": (binary(b"\xff\xff\xff\xffab", 6, **TEXT), ..., "image ends within an element"),
    "half a length": (binary(b"\1\0\0", 3, **TEXT), ..., "image ends within an element"),
    "two elements for one": (
        binary(b"\1\0\0\0a" * 2, 10, **TEXT),
        ...,
        "image has 5 bytes behind its elements; its shape wants 1",
    ),
    "bytes without a size": (
        ((text := json.dumps({"inputs": [pixels()]}).encode()) + b"abc", len(text)),
        *(..., "3 bytes are behind the JSON; wanted binary_data_size"),
    ),
}


@pytest.mark.parametrize("name", BAD_BINARY)
def test_bad_binary_request_is_400(client, name):
    (body, length), header, words = BAD_BINARY[name]
    headers = {} if header is None else {LENGTH: str(length) if header is ... else header}
    answer = client.post(INFER, data=body, headers=headers)
    assert (answer.status_code, list(answer.json)) == (400, ["error"])
    assert words in answer.json["error"]


# ---- other errors --------------------------------------------------------------------------


UNKNOWN = ["/v2/models/cats", "/v2/models/cats/ready", "/v2/models/tiny/versions/1", "/v2/models/tiny/versions/1/ready"]


@pytest.mark.parametrize("path", [*UNKNOWN, "/v2/nowhere", "/v2/models//ready", "/v2/models/tiny/config"])
def test_unknown_model_version_or_path_is_404(client, path):
    answer = client.get(path)
    assert (answer.status_code, list(answer.json)) == (404, ["error"])


@pytest.mark.parametrize("path", ["/v2/models/cats/infer", "/v2/models/tiny/versions/1/infer"])
def test_unknown_model_or_version_is_404_for_a_post(client, path):
    answer = client.post(path, json={"inputs": [pixels()]})
    assert (answer.status_code, list(answer.json)) == (404, ["error"])


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", INFER, "POST"),
        ("POST", "/v2/health/live", "GET"),
        ("POST", "/v2", "GET"),
        ("DELETE", "/v2/models", "GET"),
    ],
)
def test_wrong_method_is_405_with_the_right_one(client, method, path, allow):
    answer = client.open(path, method=method)
    assert (answer.status_code, list(answer.json)) == (405, ["error"])
    assert allow in answer.headers["Allow"].split(", ")


def test_body_over_the_limit_is_413(serving, tiny):
    with serving(tiny, max_body_mb=1) as app:
        answer = app.test_client().post(INFER, data=bytes((1 << 20) + 1))
    assert (answer.status_code, list(answer.json)) == (413, ["error"])
