"""fp16 and int8: smaller files that answer almost as Keras does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import image
from bundle.errors import BundleError
from converter import graph_def, keras_json, litert, onnx_file, rounding, saved_model
from converter.artifact import Job
from converter.subject import open_subject

pytest.importorskip("ai_edge_litert", reason="of the export extra")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

PIECES = next((Path(__file__).parents[2] / "server" / "bundles").glob("pieces-????????"))
FORMS = {"litert": litert, "onnx": onnx_file}


@pytest.fixture(scope="module")
def pieces():
    return open_subject(PIECES)


@pytest.fixture(scope="module")
def drawings(pieces):
    """The bundle's golden pictures, also turned and mirrored: uint8 (12, 96, 96, 3)."""
    decoded = [image.decode(path.read_bytes(), pieces.spec) for path in sorted(PIECES.glob("golden/*.png"))]
    pixels = np.stack([image.preprocess(picture, pieces.spec) for picture in decoded])
    turned = [pixels, pixels[:, ::-1], pixels[:, :, ::-1], pixels.transpose(0, 2, 1, 3)]
    return np.ascontiguousarray(np.concatenate(turned))


@pytest.fixture(scope="module", params=FORMS)
def form(request):
    return FORMS[request.param]


@pytest.fixture(scope="module")
def exported(form, pieces, drawings, tmp_path_factory):
    """Kind -> the job, written."""
    jobs = {}
    for kind in (None, "fp16", "int8"):
        folder = tmp_path_factory.mktemp(str(kind))
        jobs[kind] = Job(subject=pieces, folder=folder, quantize=kind, calibration=drawings)
        form.write(jobs[kind])
    return jobs


def size(job):
    return sum(path.stat().st_size for path in job.folder.iterdir())


@pytest.mark.parametrize(("kind", "off"), [("fp16", 0.01), ("int8", 0.2)])
def test_scores_are_near_those_of_keras(form, exported, pieces, drawings, kind, off):
    wanted = np.asarray(pieces.network(drawings, training=False))
    (artifact,) = form.read(exported[kind])
    found = artifact.run(drawings)
    assert np.abs(found - wanted).max() <= off
    assert artifact.labels == pieces.labels


def test_files_shrink_with_their_weights(exported):
    assert size(exported["fp16"]) < 0.6 * size(exported[None])
    assert size(exported["int8"]) < 0.4 * size(exported[None])


@pytest.mark.parametrize("kind", ["fp16", "int8"])
def test_a_second_export_has_the_same_bytes(form, exported, tmp_path, kind):
    form.write(replace(exported[kind], folder=tmp_path))
    first, second = (next(folder.iterdir()).read_bytes() for folder in (exported[kind].folder, tmp_path))
    assert first == second


@pytest.mark.parametrize("none", [None, np.zeros((0, 96, 96, 3), np.uint8)])
def test_int8_without_pictures_names_the_option(form, pieces, tmp_path, none):
    with pytest.raises(BundleError, match="--calibrate DIR"):
        form.write(Job(subject=pieces, folder=tmp_path, quantize="int8", calibration=none))
    assert not list(tmp_path.iterdir())


def test_int8_takes_pixels_and_gives_floats(pieces, drawings, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    litert.write(Job(subject=pieces, folder=tmp_path, quantize="int8", calibration=drawings))
    reader = Interpreter(model_content=next(tmp_path.iterdir()).read_bytes())
    assert reader.get_input_details()[0]["dtype"] is np.uint8
    assert reader.get_input_details()[0]["quantization"] == (1.0, 0)
    assert reader.get_output_details()[0]["dtype"] is np.float32


def test_every_format_says_what_it_can_do_besides_fp32():
    assert litert.QUANTIZE == onnx_file.QUANTIZE == {"fp16", "int8"}
    assert saved_model.QUANTIZE == graph_def.QUANTIZE == keras_json.QUANTIZE == frozenset()


def test_rounding_takes_no_more_than_half_a_step():
    weights = np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype(np.float32)
    step = np.abs(weights).max(axis=(0, 1, 2)) / 127
    assert np.all(np.abs(rounding.lost(weights, (0, 1, 2))) <= step / 2 + 1e-7)


def test_a_moved_bias_gives_a_rounded_layer_the_mean_of_the_exact_one(pieces, drawings):
    copy = rounding.corrected_keras(pieces.network, drawings)
    kernel, bias = copy.get_layer("conv1").get_weights()
    exact = first_layer(copy, [kernel, 0 * bias], drawings)
    rounded = kernel - rounding.lost(kernel, (0, 1, 2))
    assert np.abs(first_layer(copy, [rounded, bias], drawings) - exact).max() < 1e-5
    assert np.abs(first_layer(copy, [rounded, 0 * bias], drawings) - exact).max() > 1e-4


def first_layer(network, weights, pixels):
    """Mean a channel of what it gives with these weights."""
    from bundle.engine.keras_any import import_keras

    layer = network.get_layer("conv1")
    layer.set_weights(weights)
    given = import_keras().Model(network.inputs[0], layer.output)(pixels.astype(np.float32), training=False)
    return np.asarray(given, np.float64).mean(axis=(0, 1, 2))  # 27,000 float32 numbers one after the other lose 1e-4


def test_a_bundle_without_layers_goes_to_onnx_int8(tiny, tmp_path):
    subject = open_subject(tiny)
    pixels = np.random.default_rng(2).integers(0, 256, (20, 8, 8, 3), np.uint8)
    job = Job(subject=subject, folder=tmp_path, quantize="int8", calibration=pixels)
    onnx_file.write(job)
    (artifact,) = onnx_file.read(job)
    assert artifact.run(pixels).shape == (20, 3)
    assert artifact.labels == subject.labels


@pytest.mark.parametrize("form", [litert, saved_model, graph_def, keras_json])
def test_a_bundle_without_layers_is_refused_elsewhere(form, tiny, tmp_path):
    with pytest.raises(BundleError, match="--to onnx"):
        form.write(Job(subject=open_subject(tiny), folder=tmp_path))
