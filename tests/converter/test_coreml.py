"""Core ML files: what they say and answer, and that another answer or a damaged file is noticed."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bundle.errors import BundleError
from converter import coreml, coreml_network, coreml_program, coreml_spec
from converter.artifact import Job
from converter.subject import open_subject

pytest.importorskip("tensorflow", reason="of the train extra")
if find_spec("coremltools") is None:  # imported here it would let all tests of the process recurse deeper
    pytest.skip("of the export extra", allow_module_level=True)

ROOT = Path(__file__).parents[2]
BUNDLE = next((ROOT / "server" / "bundles").glob("pieces-????????"))
WEIGHTS = f"com.apple.CoreML/{coreml_program.WEIGHTS}"
FORMATS = pytest.mark.parametrize("kind", ["mlpackage", "mlmodel"])
KINDS = [".mlpackage", ".mlmodel"]
LOAD = {"mlpackage": coreml_program.load, "mlmodel": coreml_network.load}


@pytest.fixture(scope="module")
def subject():
    return open_subject(BUNDLE, author="Ann", licence="CC-BY-4.0")


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), np.uint8)


@pytest.fixture(scope="module")
def wanted(subject, pictures):
    """What Keras says of them."""
    return np.asarray(subject.network(pictures, training=False))


@pytest.fixture(scope="module")
def exported(subject, tmp_path_factory):
    """(quantize) -> the job of an export that is written, once each."""
    jobs = {}

    def run(quantize=None):
        if quantize not in jobs:
            jobs[quantize] = Job(subject=subject, folder=tmp_path_factory.mktemp("coreml"), quantize=quantize)
            coreml.write(jobs[quantize])
        return jobs[quantize]

    return run


@pytest.fixture
def copied(exported, tmp_path):
    """(kind) -> a file of that kind to tamper with."""

    def run(kind):
        path = exported().folder / f"{BUNDLE.name}.{kind}"
        copy = shutil.copytree if path.is_dir() else shutil.copy
        return Path(copy(path, tmp_path / path.name))

    return run


def specification(path):
    """Where it is, and its content."""
    coreml_spec.coremltools()
    from coremltools.proto import Model_pb2

    where = path / "Data" / coreml_program.SPEC if path.is_dir() else path
    return where, Model_pb2.Model.FromString(where.read_bytes())


def edited(path, edit):
    where, spec = specification(path)
    edit(spec)
    where.write_bytes(spec.SerializeToString())
    return LOAD[path.suffix[1:]](path)


def scores(model, pictures):
    return np.concatenate([model.run({"image": picture[None]})["probabilities"] for picture in pictures])


# ---- whole files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantize", "kinds", "most"),
    [(None, KINDS, 1e-5), ("fp16", KINDS, 2e-3), ("int8", [".mlpackage"], 3e-2)],
)
def test_every_file_answers_as_keras_does(exported, pictures, wanted, subject, quantize, kinds, most):
    found = coreml.read(exported(quantize))
    assert list(dict.fromkeys(one.path.suffix for one in found)) == kinds
    for one in found:
        assert one.labels == subject.labels
        assert np.abs(one.run(pictures) - wanted).max() < most


def test_smaller_numbers_make_smaller_packages(exported):
    sizes = [
        (exported(quantize).folder / f"{BUNDLE.name}.mlpackage" / "Data" / WEIGHTS).stat().st_size
        for quantize in (None, "fp16", "int8")
    ]
    assert sizes[0] > 1.8 * sizes[1] > 2.8 * sizes[2]


@FORMATS
def test_a_file_says_what_it_is(exported, kind, subject):
    path = exported().folder / f"{BUNDLE.name}.{kind}"
    told = LOAD[kind](path).metadata
    assert {
        "author": "Ann",
        "license": "CC-BY-4.0",
        "version": subject.manifest.id[:8],
        "id": subject.manifest.id,
    }.items() <= told.items()
    assert told["com.apple.coreml.model.preview.type"] == "imageClassifier"
    assert (told["resize"], told["vision"]) == ("pad", "scaleFit")
    description = specification(path)[1].description
    assert [one.name for one in description.input] == ["image"]
    assert {one.name for one in description.output} == {"label", "probabilities"}
    assert description.predictedProbabilitiesName == "probabilities"


def test_the_same_bundle_gives_the_same_bytes(exported, subject, tmp_path):
    coreml.write(Job(subject=subject, folder=tmp_path))
    first = exported().folder
    files = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert [(tmp_path / name).read_bytes() for name in files] == [(first / name).read_bytes() for name in files]


def test_a_model_that_makes_xml_is_refused(tmp_path):
    with pytest.raises(BundleError, match="only classifiers"):
        coreml.write(
            Job(subject=open_subject(next((ROOT / "server" / "bundles").glob("sheets-????????"))), folder=tmp_path)
        )


@pytest.mark.parametrize("quantize", ["fp16", "int8"])
def test_a_user_reads_nothing_of_what_coremltools_says(tmp_path, quantize):
    code = """
import sys
from pathlib import Path
from converter import coreml
from converter.artifact import Job
from converter.subject import open_subject
job = Job(subject=open_subject(Path(sys.argv[1])), folder=Path(sys.argv[2]), quantize=sys.argv[3])
coreml.write(job)
coreml.read(job)
"""
    command = [sys.executable, "-c", code, str(BUNDLE), str(tmp_path), quantize]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ---- tampered files ------------------------------------------------------------------------


def first_kernel(spec):
    return next(one for one in spec.neuralNetworkClassifier.layers if one.HasField("convolution")).convolution.weights


def test_one_weight_changed_in_the_package_gives_other_scores(copied, pictures, wanted):
    path = copied("mlpackage")
    blob = path / "Data" / WEIGHTS
    data = bytearray(blob.read_bytes())
    data[-4:] = np.float32(9).tobytes()
    blob.write_bytes(data)
    assert np.abs(scores(coreml_program.load(path), pictures) - wanted).max() > 1e-3


def test_one_weight_changed_in_the_network_gives_other_scores(copied, pictures, wanted):
    def change(spec):
        first_kernel(spec).floatValue[0] += 9

    assert np.abs(scores(edited(copied("mlmodel"), change), pictures) - wanted).max() > 1e-3


def block(spec):
    function = spec.mlProgram.functions["main"]
    return function.block_specializations[function.opset]


def swap_labels(spec):
    if spec.HasField("neuralNetworkClassifier"):
        labels = spec.neuralNetworkClassifier.stringClassLabels.vector
        labels[0], labels[1] = labels[1], labels[0]
        return
    classify = next(one for one in block(spec).operations if one.type == "classify")
    names = classify.inputs["classes"].arguments[0].value.immediateValue.list.values
    first, second = (names[place].immediateValue.tensor.strings.values for place in (0, 1))
    first[0], second[0] = second[0], first[0]


@FORMATS
def test_swapped_labels_are_read_as_they_stand(copied, subject, kind):
    first, second, *rest = subject.labels
    assert edited(copied(kind), swap_labels).labels == (second, first, *rest)


def shift_mean(spec):
    if spec.HasField("neuralNetworkClassifier"):
        next(one for one in spec.neuralNetworkClassifier.layers if one.HasField("add")).add.alpha += 0.2
        return
    name = next(one for one in block(spec).operations if one.type == "add").inputs["y"].arguments[0].name
    const = next(one for one in block(spec).operations if one.outputs[0].name == name)
    const.attributes["val"].immediateValue.tensor.floats.values[0] += 0.2


def swap_colours(spec):
    kind = spec.description.input[0].type.imageType
    kind.colorSpace = kind.BGR


def add_bias(spec):
    """As Core ML scales before the first layer."""
    spec.neuralNetworkClassifier.preprocessing[0].scaler.greenBias = 30


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        ("mlpackage", shift_mean),
        ("mlmodel", shift_mean),
        ("mlpackage", swap_colours),
        ("mlmodel", swap_colours),
        ("mlmodel", add_bias),
    ],
)
def test_other_pixels_in_front_of_the_network_give_other_scores(copied, pictures, wanted, kind, edit):
    assert np.abs(scores(edited(copied(kind), edit), pictures) - wanted).max() > 1e-3


# ---- damaged and strange files -------------------------------------------------------------


@FORMATS
def test_a_truncated_specification_is_one_sentence(copied, kind):
    path = copied(kind)
    where, _ = specification(path)
    where.write_bytes(where.read_bytes()[:-1000])
    with pytest.raises(BundleError, match=r"^[^\n]+; export it again$"):
        LOAD[kind](path)


@pytest.mark.parametrize("rest", [0, 40, 100_000])
def test_truncated_weights_are_one_sentence(copied, rest):
    path = copied("mlpackage")
    blob = path / "Data" / WEIGHTS
    blob.write_bytes(blob.read_bytes()[:rest])
    with pytest.raises(BundleError, match=r"^[^\n]+; export it again$"):
        coreml_program.load(path)


@FORMATS
def test_a_file_that_is_not_there_is_one_sentence(tmp_path, kind):
    with pytest.raises(BundleError, match=r"^[^\n]+; export it again$"):
        LOAD[kind](tmp_path / f"none.{kind}")


def test_an_operation_that_is_not_known_is_refused_by_its_name(copied):
    def change(spec):
        next(one for one in block(spec).operations if one.type == "relu6").type = "dream"

    with pytest.raises(BundleError, match="operation dream"):
        edited(copied("mlpackage"), change)


def test_a_layer_that_is_not_known_is_refused_by_its_name(copied):
    def change(spec):
        spec.neuralNetworkClassifier.layers[0].crop.SetInParent()

    with pytest.raises(BundleError, match="layer crop"):
        edited(copied("mlmodel"), change)


def test_a_picture_of_another_size_is_refused(exported):
    model = coreml_program.load(exported().folder / f"{BUNDLE.name}.mlpackage")
    with pytest.raises(BundleError, match=r"\(1, 8, 8, 3\)"):
        model.run({"image": np.zeros((1, 8, 8, 3), np.uint8)})


def test_a_conversion_leaves_the_process_as_it_was(subject, tmp_path):
    before = sys.getrecursionlimit()
    coreml.write(Job(subject=subject, folder=tmp_path))
    assert sys.getrecursionlimit() == before
