"""fp16 and int8: smaller files that answer almost as Keras does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import image
from bundle.errors import BundleError
from converter import graph_def, keras_json, litert, onnx_file, rounding, rounding_keras, saved_model
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


def correlated(kernel, channels):
    """Moments of a kernel whose inputs go together, and those inputs."""
    rng = np.random.default_rng(0)
    given = np.maximum(rng.normal(size=(40, 12, 12, 4)) @ rng.normal(size=(4, channels)), 0).astype(np.float32)
    moments = rounding.Moments(kernel, kernel.shape[3] == 1)
    for picture in given:
        moments.add(picture)
    return moments, given


@pytest.mark.parametrize("shape", [(1, 1, 32, 8), (3, 3, 16, 8), (3, 3, 16, 1)], ids=["1x1", "3x3", "depthwise"])
def test_rounded_weights_lie_on_the_grid_that_a_converter_finds(shape):
    kernel = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    found = correlated(kernel, shape[2])[0].rounded()
    axes = (0, 1) if shape[3] == 1 else (0, 1, 2)
    assert found.shape == shape
    assert np.abs(rounding.lost(found, axes)).max() < 1e-5
    assert np.array_equal(np.abs(found).max(axis=axes), np.abs(kernel).max(axis=axes))


def test_weights_make_up_for_one_another():
    kernel = np.random.default_rng(1).normal(size=(1, 1, 32, 8)).astype(np.float32)
    moments, given = correlated(kernel, 32)
    fitted, nearest = (
        (given @ (kernel - one)[0, 0]).std(axis=(0, 1, 2)).mean()
        for one in (moments.rounded(), rounding.nearest(kernel, (0, 1, 2)))
    )
    assert fitted < 0.6 * nearest


def test_pictures_smaller_than_the_kernel_leave_the_nearest():
    kernel = np.random.default_rng(1).normal(size=(3, 3, 4, 1)).astype(np.float32)
    moments = rounding.Moments(kernel, True)
    moments.add(np.ones((2, 2, 4), np.float32))
    assert np.array_equal(moments.rounded(), rounding.nearest(kernel, (0, 1)))


def test_a_moved_bias_gives_a_rounded_layer_the_mean_of_the_exact_one(pieces, drawings):
    copy = rounding_keras.corrected(pieces.network, drawings)
    name = [layer.name for layer in copy.layers if type(layer).__name__ == "Conv2D"][-1]
    kernel, bias = copy.get_layer(name).get_weights()
    exact = means(pieces.network, name, drawings)
    assert np.abs(means(copy, name, drawings, pieces.network) - exact).max() < 1e-4
    assert np.abs(rounding.lost(kernel, (0, 1, 2))).max() < 1e-6
    assert np.abs(bias).max() > 1e-4


def means(network, name, pixels, inputs=None):
    """A channel of what a layer gives; fed, where told, with what it gets in another network."""
    from bundle.engine.keras_any import import_keras

    source = inputs or network
    given = import_keras().Model(source.inputs[0], source.get_layer(name).input)(pixels, training=False)
    return np.asarray(network.get_layer(name)(given), np.float64).mean(axis=(0, 1, 2))


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
