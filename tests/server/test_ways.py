"""The same picture by every way and protocol gives bit-equal scores; and several pictures share one path, in order."""

import base64
import io
import json
import struct

import numpy as np
import pytest
from PIL import Image

from bundle import model
from bundle.errors import Busy


@pytest.fixture(scope="module")
def opened(tiny):
    return model.open(tiny, "onnx")


def as_base64(data):
    return base64.b64encode(data).decode()


def v2(inputs, **more):
    return "/v2/models/tiny/infer", {"json": {"inputs": inputs, "outputs": [{"name": "scores"}], **more}}


def tensor(name, datatype, shape, **more):
    return {"name": name, "datatype": datatype, "shape": shape, **more}


def v2_binary(name, datatype, shape, raw):
    parameters = {"binary_data_size": len(raw)}
    content = {"inputs": [tensor(name, datatype, shape, parameters=parameters)], "outputs": [{"name": "scores"}]}
    text = json.dumps(content).encode()
    return "/v2/models/tiny/infer", {"data": text + raw, "headers": {"Inference-Header-Content-Length": len(text)}}


def v2_out_binary(name, datatype, shape, data):
    return v2([tensor(name, datatype, shape, data=data)], parameters={"binary_data_output": True})


def v1(**content):
    return "/v1/models/tiny:predict", {"json": content}


def posted(data, kind):
    return {"data": data, "content_type": kind}


def classify(**more):
    return "/classify", more


def form(data):
    return {"data": {"image": (io.BytesIO(data), "a.jpg")}}


# Name -> (the file's bytes, the pixels) -> path and arguments of a POST.
WAYS = {
    "multipart": lambda data, _: classify(**form(data)),
    "raw body": lambda data, _: classify(**posted(data, "image/jpeg")),
    "base64": lambda data, _: classify(json={"image": as_base64(data)}),
    "data URL": lambda data, _: classify(json={"image": "data:;base64," + as_base64(data)}),
    "invocations, form": lambda data, _: ("/invocations", form(data)),
    "invocations, image": lambda data, _: ("/invocations", posted(data, "image/jpeg")),
    "invocations, x-image": lambda data, _: ("/invocations", posted(data, "application/x-image")),
    "invocations, JSON": lambda data, _: ("/invocations", {"json": {"image": as_base64(data)}}),
    "invocations, instances": lambda data, _: ("/invocations", {"json": {"instances": [{"b64": as_base64(data)}]}}),
    "invocations, pixels": lambda _, pixels: ("/invocations", {"json": {"instances": [pixels.tolist()]}}),
    "V1 b64": lambda data, _: v1(instances=[{"b64": as_base64(data)}]),
    "V1 named b64": lambda data, _: v1(instances=[{"image_bytes": {"b64": as_base64(data)}}]),
    "V1 pixels": lambda _, pixels: v1(instances=[pixels.tolist()]),
    "V1 named pixels": lambda _, pixels: v1(instances=[{"pixels": pixels.astype(float).tolist()}]),
    "V1 columns": lambda data, _: v1(inputs={"image_bytes": [{"b64": as_base64(data)}]}),
    "V1 column without a name": lambda data, _: v1(inputs=[{"b64": as_base64(data)}]),
    "V1 column of one": lambda data, _: v1(inputs={"image_bytes": {"b64": as_base64(data)}}),
    "V1 column of pixels": lambda _, pixels: v1(inputs={"pixels": [pixels.tolist()]}),
    "V2 BYTES": lambda data, _: v2([tensor("image", "BYTES", [1], data=[as_base64(data)])]),
    "V2 BYTES, [1, 1]": lambda data, _: v2([tensor("image", "BYTES", [1, 1], data=[[as_base64(data)]])]),
    "V2 BYTES, content_type": lambda data, _: v2(
        [tensor("image", "BYTES", [1], data=[as_base64(data)], parameters={"content_type": "base64"})]
    ),
    "V2 UINT8": lambda _, pixels: v2([tensor("pixels", "UINT8", [1, 8, 8, 3], data=[pixels.tolist()])]),
    "V2 UINT8, flat": lambda _, pixels: v2([tensor("pixels", "UINT8", [1, 8, 8, 3], data=pixels.ravel().tolist())]),
    "V2 FP32": lambda _, pixels: v2([tensor("pixels", "FP32", [1, 8, 8, 3], data=[pixels.astype(float).tolist()])]),
    "V2 INT64, flat": lambda _, pixels: v2([tensor("pixels", "INT64", [1, 8, 8, 3], data=pixels.ravel().tolist())]),
    "V2 binary BYTES": lambda data, _: v2_binary("image", "BYTES", [1], struct.pack("<I", len(data)) + data),
    "V2 binary UINT8": lambda _, pixels: v2_binary("pixels", "UINT8", [1, 8, 8, 3], pixels.tobytes()),
    "V2 binary FP16": lambda _, pixels: v2_binary("pixels", "FP16", [1, 8, 8, 3], pixels.astype("<f2").tobytes()),
    "V2 binary FP32": lambda _, pixels: v2_binary("pixels", "FP32", [1, 8, 8, 3], pixels.astype("<f4").tobytes()),
    "V2 binary answer": lambda data, _: v2_out_binary("image", "BYTES", [1], [as_base64(data)]),
}


def scores(answer, labels):
    """The scores of one picture, in whichever shape they came."""
    if length := answer.headers.get("Inference-Header-Content-Length"):
        return np.frombuffer(answer.data[int(length) :], "<f4").tolist()
    content = answer.json
    if "model_name" in content:
        return content["outputs"][0]["data"]
    if isinstance(content.get("model"), dict):
        found = {label["label"]: label["probability"] for label in content["predictions"]}
        return [found[label] for label in labels]
    (row,) = content.get("predictions") or content["outputs"]
    return row


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_bit_equal_scores(client, opened, jpeg, way):
    pixels = opened.prepare(jpeg)
    path, request = WAYS[way](jpeg, pixels)
    answer = client.post(path, **request)
    assert answer.status_code == 200, answer.text
    assert scores(answer, opened.labels) == opened.run(pixels[None])[0].tolist()


# ---- several pictures ----------------------------------------------------------------------


COLORS = ["lime", "red", "blue", "red", "lime"] * 12


@pytest.fixture
def solids(encoded):
    return [encoded(Image.new("RGB", (9, 9), color), "PNG") for color in COLORS]


def best(rows):
    return [("red", "lime", "blue")[int(np.argmax(row))] for row in rows]


def test_v1_keeps_the_order_of_many(client, solids):
    answer = client.post("/v1/models/tiny:predict", json={"instances": [{"b64": as_base64(one)} for one in solids]})
    assert best(answer.json["predictions"]) == COLORS


def test_v2_keeps_the_order_of_many(client, solids):
    given = tensor("image", "BYTES", [len(solids)], data=[as_base64(one) for one in solids])
    answer = client.post("/v2/models/tiny/infer", json={"inputs": [given]})
    found, label = answer.json["outputs"]
    assert (found["shape"], label["shape"]) == ([60, 3], [60])
    assert best(np.reshape(found["data"], (60, 3))) == COLORS


def test_many_pictures_pass_a_queue_that_is_shorter(serving, tiny, solids):
    with serving(tiny, queue=1) as app:
        answer = app.test_client().post(
            "/v1/models/tiny:predict", json={"instances": [{"b64": as_base64(solids[0])}] * 64}
        )
    assert best(answer.json["predictions"]) == ["lime"] * 64


def test_one_request_takes_no_more_than_its_share_of_the_queue(serving, tiny, solids):
    with serving(tiny, queue=64, engine_threads=2) as app:
        assert app.extensions["imago"].get("tiny").pool._share == 4


def test_busy_for_one_picture_fails_the_request_and_leaves_nothing_queued(serving, tiny, jpeg):
    with serving(tiny, queue=1, deadline_ms=200) as app:
        pool = app.extensions["imago"].get("tiny").pool
        pool.close()  # nobody takes from the queue any more
        pool._queue.put_nowait(None)
        with pytest.raises(Busy):
            pool.rows([np.zeros((8, 8, 3), np.uint8)] * 3, timeout_s=60)
        pool._queue.get_nowait()


@pytest.mark.parametrize("path", ["/v1/models/tiny:predict", "/v2/models/tiny/infer", "/invocations"])
def test_one_bad_picture_fails_a_v1_or_v2_request(client, jpeg, path):
    texts = [as_base64(jpeg), as_base64(jpeg[:200])]
    given = (
        {"inputs": [tensor("image", "BYTES", [2], data=texts)]}
        if "v2" in path
        else {"instances": [{"b64": t} for t in texts]}
    )
    answer = client.post(path, json=given)
    assert answer.status_code == (200 if path == "/invocations" else 400)
    assert "the picture cannot be decoded" in (answer.json.get("error") or answer.json["results"][1]["detail"])


@pytest.mark.parametrize("count", [0, 65])
@pytest.mark.parametrize("path", ["/v1/models/tiny:predict", "/v2/models/tiny/infer", "/invocations"])
def test_no_picture_and_too_many_are_400(client, path, count):
    given = {"inputs": [tensor("image", "BYTES", [count], data=["aaaa"] * count)]}
    answer = client.post(path, json=given if "v2" in path else {"instances": [{"b64": "aaaa"}] * count})
    assert answer.status_code == 400
    assert "1 to 64" in (answer.json.get("error") or answer.json["detail"])
