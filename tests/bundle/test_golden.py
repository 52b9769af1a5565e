"""Golden pictures: an answer beyond the tolerance is refused, other pixels with the right answer are a warning."""

import json

import pytest

from bundle import golden, model, store
from bundle.errors import BadPicture, BundleError, DataError


@pytest.fixture
def expect(tiny_copy, resign):
    """Changes what the one golden picture must give, and makes everything else agree."""

    def change(**new):
        path = tiny_copy / "golden" / "expected.json"
        content = json.loads(path.read_text())
        content["pictures"]["0.png"] |= new
        path.write_text(json.dumps(content))
        return resign(tiny_copy)

    return change


@pytest.fixture
def output(tiny):
    return json.loads((tiny / "golden" / "expected.json").read_text())["pictures"]["0.png"]["output"]


def test_good_bundle_opens_without_a_warning(tiny):
    assert model.open(tiny, "onnx").warnings == ()


def test_score_beyond_the_tolerance_is_refused(tiny_copy, expect, output):
    expect(output=[output[0] + 3e-4, *output[1:]])
    with pytest.raises(BundleError, match=r"golden/0\.png: scores differ by 0\.0003 .*, at most 0\.0001 wanted"):
        model.open(tiny_copy, "onnx")


def test_score_within_the_tolerance_is_good(tiny_copy, expect, output):
    expect(output=[output[0] + 5e-5, *output[1:]])
    assert model.open(tiny_copy, "onnx").warnings == ()


@pytest.mark.parametrize("count", [0, 2, 4])
def test_another_number_of_scores_is_refused(tiny_copy, expect, output, count):
    expect(output=[*output, 0.0][:count])
    with pytest.raises(BundleError, match="scores differ by inf"):
        model.open(tiny_copy, "onnx")


def test_other_pixels_with_the_right_answer_are_a_warning(tiny_copy, expect):
    expect(input_sha256="0" * 64)
    (warning,) = model.open(tiny_copy, "onnx").warnings
    assert warning.startswith("golden/0.png decodes to slightly other pixels here, its scores agree within ")


def test_only_the_golden_check_notices_another_model(tiny_copy, resign, onnx):
    (tiny_copy / "model.onnx").write_bytes(onnx("Sigmoid"))
    assert store.verify(resign(tiny_copy)).name == "tiny"
    with pytest.raises(BundleError, match="scores differ"):
        model.open(tiny_copy, "onnx")


def test_no_golden_pictures_are_refused(tiny_copy, resign):
    (tiny_copy / "golden" / "expected.json").write_text('{"pictures": {}}')
    with pytest.raises(BundleError, match="no pictures, at least one wanted; write the bundle again with --golden DIR"):
        model.open(resign(tiny_copy), "onnx")


def test_golden_picture_that_is_not_there_is_refused(tiny_copy, resign):
    (tiny_copy / "golden" / "0.png").unlink()
    with pytest.raises(BundleError, match=r"golden/0\.png: missing"):
        model.open(resign(tiny_copy), "onnx")


def test_score_that_is_not_a_number_is_refused(tiny_copy, expect, output):
    expect(output=[float("nan"), *output[1:]])
    with pytest.raises(BundleError, match=r"expected\.json: pictures\.0\.png\.output\.0: "):
        model.open(tiny_copy, "onnx")


def test_record_refuses_what_is_no_picture(spec, jpeg):
    with pytest.raises(BadPicture):
        golden.record({"0.jpg": jpeg[:300]}, spec, lambda batch: batch)


@pytest.mark.parametrize("count", [0, 17])
def test_a_folder_with_too_few_or_many_pictures_is_refused(tmp_path, spec, png, count):
    for number in range(count):
        (tmp_path / f"{number}.png").write_bytes(png)
    with pytest.raises(DataError, match=f"{count} golden pictures; wanted a folder with 1 to 16"):
        golden.from_folder(tmp_path, spec)


def test_given_pictures_keep_their_bytes_and_lose_their_names(tmp_path, spec, jpeg):
    (tmp_path / "Aunt Mary.JPG").write_bytes(jpeg)
    (tmp_path / ".DS_Store").write_bytes(b"x")
    assert golden.from_folder(tmp_path, spec) == {"0.jpg": jpeg}


def test_a_file_that_is_no_picture_is_named(tmp_path, spec):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"notes\.txt: the bytes are no picture"):
        golden.from_folder(tmp_path, spec)
