"""manifest.json: what it may say, and the id that follows from it."""

import json
import math

import pytest

from bundle import manifest
from bundle.errors import BundleError
from bundle.manifest import ClassifierManifest, Expected, ExpectedXml, XmlManifest

FILE = {"sha256": "0" * 64, "size": 1}


@pytest.fixture
def content(tiny):
    return json.loads((tiny / "manifest.json").read_text())


def parsed(content):
    return manifest.parse_manifest(json.dumps(content).encode(), "here/manifest.json")


def refusal(data, wanted=None):
    with pytest.raises(BundleError) as caught:
        manifest.parse(wanted, data, "here/expected.json") if wanted else manifest.parse_manifest(
            data, "here/manifest.json"
        )
    return str(caught.value)


def test_what_is_written_is_what_is_read(content):
    assert parsed(content).model_dump(mode="json") == content


def test_bytes_of_the_file_are_canonical(tiny, content):
    assert (tiny / "manifest.json").read_bytes() == manifest.canonical(content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"license": "MIT"}, "license: Extra inputs are not permitted"),
        ({"format": "imago-bundle-2"}, "format: Input should be 'imago-bundle-1'"),
        ({"labels": "3"}, "labels: Input should be a valid integer"),
        ({"labels": 3.5}, "labels: Input should be a valid integer"),
        ({"labels": True}, "labels: Input should be a valid integer"),
        ({"labels": 0}, "labels: Input should be greater than or equal to 1"),
        ({"kind": "regressor"}, "kind: Input should be 'classifier' or 'xml'"),
        ({"kind": ["xml"]}, "kind: Input should be 'classifier' or 'xml'"),
        ({"source": "pickle"}, "source: Input should be 'keras' or 'onnx'"),
        ({"scores": "relu"}, "scores: Input should be 'softmax' or 'sigmoid'"),
        ({"name": "../tiny"}, "name: String should match pattern"),
        ({"name": "tiny\n"}, "name: String should match pattern"),
        ({"name": "a" * 65}, "name: String should match pattern"),
        ({"id": "xyz"}, "id: String should match pattern"),
        ({"tolerance": 0}, "tolerance: Input should be greater than 0"),
        ({"metrics": {"accuracy": "good"}}, "metrics.accuracy: Input should be a valid number"),
        ({"metrics": None}, "metrics: Input should be an object"),
        ({"thresholds": [0.5]}, "thresholds: 1 found, 0 wanted for softmax"),
        ({"scores": "sigmoid"}, "thresholds: 0 found, 3 wanted for sigmoid"),
        ({"source": "keras"}, "files: model.keras missing"),
        ({"files": {}}, "files: golden/expected.json, labels.txt, model.onnx missing"),
    ],
    ids=str,
)
def test_wrong_value_is_refused_by_name(content, change, words):
    assert refusal(json.dumps({**content, **change}).encode()).startswith(f"here/manifest.json: {words}")


@pytest.mark.parametrize("key", ClassifierManifest.model_fields)
def test_missing_key_is_refused_by_name(content, key):
    del content[key]
    assert refusal(json.dumps(content).encode()) == (
        f"here/manifest.json: {key}: Field required; write the bundle again"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resmaple": "bilinear"}, "preprocess.resmaple: Extra inputs are not permitted"),
        ({"resample": "nearest"}, "preprocess.resample: Input should be 'bilinear'"),
        ({"resize": "stretch"}, "preprocess.resize: Input should be 'squash', 'crop' or 'pad'"),
        ({"height": 0}, "preprocess.height: Input should be greater than or equal to 1"),
        ({"width": 5000}, "preprocess.width: Input should be less than or equal to 4096"),
        ({"color": "bgr"}, "preprocess.color: Input should be 'rgb'"),
    ],
    ids=str,
)
def test_wrong_preprocess_is_refused_by_name(content, change, words):
    content["preprocess"] |= change
    assert refusal(json.dumps(content).encode()).startswith(f"here/manifest.json: {words}")


@pytest.mark.parametrize(
    "path",
    ["../evil", "a/../../evil", "a/..", "..", ".", "", "/etc/passwd", "a//b", "./a", "a/./b", "a/", "a\\b", "..\\evil"],
)
def test_path_that_may_leave_the_bundle_is_refused(content, path):
    content["files"][path] = FILE
    assert f"{path!r} must be a plain relative path without .. or links" in refusal(json.dumps(content).encode())


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a\\b"])
def test_golden_path_that_may_leave_the_bundle_is_refused(path):
    picture = {"input_sha256": "0" * 64, "output": [1.0]}
    assert "must be a plain relative path" in refusal(json.dumps({"pictures": {path: picture}}).encode(), Expected)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"\0" * 99, b"[" * 100_000, b"{}x"], ids=repr)
def test_what_is_no_manifest_is_refused_in_one_sentence(data):
    text = refusal(data)
    assert text.startswith("here/manifest.json: ")
    assert text.endswith("; write the bundle again")
    assert "\n" not in text


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_number_that_is_not_finite_is_refused(content, number):
    text = json.dumps(content).replace("0.9", number)
    assert "metrics.accuracy" in refusal(text.encode())


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_number_that_is_not_finite_is_never_written(content, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        manifest.canonical({**content, "tolerance": number})


def test_several_mistakes_are_counted(content):
    text = refusal(json.dumps({**content, "labels": "3", "name": 1, "more": 1}).encode())
    assert "(and 2 more)" in text


def test_id_does_not_hang_on_the_order_of_keys(content):
    assert manifest.bundle_id(dict(reversed(content.items()))) == content["id"]


@pytest.mark.parametrize("key", sorted(ClassifierManifest.model_fields.keys() - {"id"}))
def test_id_covers_every_key_but_itself(content, key):
    assert manifest.bundle_id({**content, key: "another"}) != content["id"]


def test_id_leaves_itself_out(content):
    assert manifest.bundle_id({**content, "id": "another"}) == content["id"]


def test_manifest_cannot_be_changed(content):
    with pytest.raises(ValueError, match="frozen"):
        parsed(content).labels = 4


# ---- XML -----------------------------------------------------------------------------------


@pytest.fixture
def boxes_content(boxes):
    return json.loads((boxes / "manifest.json").read_text())


def test_what_is_written_of_xml_is_what_is_read(boxes_content):
    found = parsed(boxes_content)
    assert (type(found), found.model_dump(mode="json")) == (XmlManifest, boxes_content)


@pytest.mark.parametrize("key", sorted(XmlManifest.model_fields.keys() - {"kind"}))
def test_missing_key_of_xml_is_refused_by_name(boxes_content, key):
    del boxes_content[key]
    assert refusal(json.dumps(boxes_content).encode()) == (
        f"here/manifest.json: {key}: Field required; write the bundle again"
    )


@pytest.mark.parametrize("key", ["score", "least", "iou", "wrong", "interval", "pictures"])
def test_missing_word_of_sure_is_refused_by_name(boxes_content, key):
    del boxes_content["sure"][key]
    assert refusal(json.dumps(boxes_content).encode()).startswith(f"here/manifest.json: sure.{key}: Field required")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": 3}, "labels: Extra inputs are not permitted"),
        ({"tolerance": 0.1}, "tolerance: Extra inputs are not permitted"),
        ({"vocabulary": 0}, "vocabulary: Input should be greater than or equal to 1"),
        ({"most_tokens": 2.5}, "most_tokens: Input should be a valid integer"),
        ({"kind": "classifier"}, "scores: Field required"),
        ({"source": "keras"}, "files: model.keras missing"),
        ({"files": {}}, "files: encoder.onnx, golden/expected.json, schema.rng, step.onnx missing"),
    ],
    ids=str,
)
def test_wrong_value_of_xml_is_refused_by_name(boxes_content, change, words):
    assert refusal(json.dumps({**boxes_content, **change}).encode()).startswith(f"here/manifest.json: {words}")


def test_golden_token_that_is_no_whole_number_is_refused():
    content = {"pictures": {"0.png": {"input_sha256": "0" * 64, "output": [1, 2.5]}}}
    assert "pictures.0.png.output.1" in refusal(json.dumps(content).encode(), ExpectedXml)
