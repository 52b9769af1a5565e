"""POST /classify: the same picture gives the same answer whichever way it comes."""

import base64
import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from bundle import model
from bundle.write import write

PICTURE = {"Content-Type": "image/jpeg"}


@pytest.fixture(scope="module")
def wanted(tiny, jpeg):
    """What the bundle itself says of the picture."""
    opened = model.open(tiny, "onnx")
    return opened.answer(opened.run(opened.prepare(jpeg)[None])[0], 5)


def form(*pictures, field="image"):
    return {"data": {field: [(io.BytesIO(data), f"{at}.jpg") for at, data in enumerate(pictures)]}}


def in_json(text):
    return {"json": {"image": text}}


def as_base64(data):
    return base64.b64encode(data).decode()


WAYS = {
    "multipart": form,
    "image/jpeg": lambda data: {"data": data, "content_type": "image/jpeg"},
    "image/anything": lambda data: {"data": data, "content_type": "image/x-anything"},
    "octet-stream": lambda data: {"data": data, "content_type": "application/octet-stream"},
    "base64": lambda data: in_json(as_base64(data)),
    "data URL": lambda data: in_json("data:image/jpeg;base64," + as_base64(data)),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_bit_equal_probabilities(client, jpeg, wanted, way):
    answer = client.post("/classify", **WAYS[way](jpeg))
    assert (answer.status_code, answer.json["predictions"]) == (200, wanted)


def test_answer_is_predictions_model_and_request_id_in_this_order(client, jpeg, tiny):
    answer = client.post("/classify", data=jpeg, headers={**PICTURE, "X-Request-ID": "me-1"})
    content = json.loads(answer.data)
    assert list(content) == ["predictions", "model", "request_id"]
    assert content["model"] == {"name": "tiny", "id": json.loads((tiny / "manifest.json").read_text())["id"]}
    assert content["request_id"] == "me-1"


def solid(encoded, color):
    return encoded(Image.new("RGB", (9, 9), color), "PNG")


def test_several_pictures_give_results_in_order(client, encoded):
    colors = ["lime", "red", "blue", "red", "lime"]
    answer = client.post("/classify", **form(*(solid(encoded, color) for color in colors)))
    best = [result["predictions"][0]["label"] for result in answer.json["results"]]
    assert best == ["green", "red", "blue", "red", "green"]


def test_bad_picture_is_a_problem_in_its_own_slot(client, jpeg, wanted):
    answer = client.post("/classify", **form(jpeg, jpeg[:200], b"", jpeg), headers={"X-Request-ID": "me-2"})
    first, second, third, last = answer.json["results"]
    assert (answer.status_code, first, last) == (200, {"predictions": wanted}, {"predictions": wanted})
    assert [(slot["status"], slot["code"], slot["request_id"]) for slot in (second, third)] == [
        (422, "bad-picture", "me-2"),
        (415, "not-a-picture", "me-2"),
    ]


def test_one_bad_picture_fails_as_a_whole(client, jpeg):
    assert client.post("/classify", **form(jpeg[:200])).status_code == 422


@pytest.mark.parametrize(("top", "count"), [("1", 1), ("2", 2), ("3", 3), ("1000", 3)])
def test_top_is_how_many_labels_come(client, jpeg, top, count):
    answer = client.post(f"/classify?top={top}", data=jpeg, headers=PICTURE)
    assert len(answer.json["predictions"]) == count


@pytest.mark.parametrize("name", ["tiny", "multi"])
def test_model_answers_under_its_own_name(client, jpeg, name):
    assert client.post(f"/models/{name}/classify", data=jpeg, headers=PICTURE).json["model"]["name"] == name


def test_first_model_answers_without_a_name(client, jpeg):
    assert client.post("/classify", data=jpeg, headers=PICTURE).json["model"]["name"] == "tiny"


def test_several_labels_a_picture_come_with_present(client, encoded):
    answer = client.post("/models/multi/classify?top=1", data=solid(encoded, "red"), headers=PICTURE)
    found = [(label["label"], label["present"]) for label in answer.json["predictions"]]
    assert found == [("red", True), ("green", False), ("blue", False)]


def test_content_type_is_not_believed(client, png, jpeg, wanted):
    assert client.post("/classify", data=jpeg, content_type="image/png").json["predictions"] == wanted


def test_labels_of_any_language_come_as_they_are(serving, parts, tmp_path, jpeg):
    labels = ("größer", "<b>&amp;</b>", "猫")
    with serving(write(tmp_path, replace(parts, labels=labels))) as app:
        answer = app.test_client().post("/classify", data=jpeg, headers=PICTURE)
    assert {label["label"] for label in answer.json["predictions"]} == set(labels)
