"""Image to XML in every format: what comes back decodes to the bundle's documents, and what was changed is refused."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bundle.engine import load_xml
from bundle.errors import BundleError
from bundle.write import write
from bundle.xml import schema
from bundle.xml.codec import Codec
from bundle.xml.decode import Decoder
from bundle.xml.model import load as load_decoder
from converter import coreml_program, xml_check, xml_formats
from converter.artifact import Job
from converter.subject import open_subject
from training import xml_export, xml_model

FP32 = [("onnx", None), ("litert", None), ("savedmodel", None), ("coreml", None)]
FP16 = [("litert", "fp16"), ("coreml", "fp16")]
NONE = np.zeros((0, 16, 16, 3), np.uint8)
SHEETS = next((Path(__file__).parents[2] / "server" / "bundles").glob("sheets-????????"))
# Written as they are in every format.
WEIGHTS = {
    "a token's row": lambda network: network.get_layer("token").get_weights()[0][4],
    "a bias of the encoder": lambda network: network.get_layer("cross_1").value_dense.get_weights()[1].ravel(),
}

# The runtimes' own: what is left open at the end of a process.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def network(codec, **more):
    """A network with weights by chance, none of them zero."""
    about = {
        "encoder": "own",
        "channels": (4, 6),
        "height": 16,
        "width": 16,
        "weights": "none",
        "alpha": 0.25,
        "dropout": 0,
    }
    run = SimpleNamespace(**{**about, "d_model": 8, "heads": 2, "layers": 2, **more})
    model, rng = xml_model.build(run, codec, 24), np.random.default_rng(0)
    model.set_weights([np.abs(rng.normal(0.5, 0.3, weight.shape)) for weight in model.get_weights()])
    for name in ("token", "logits", "wide_0", "self_1"):
        layer = model.get_layer(name)
        layer.set_weights([rng.normal(0, 0.7, weight.shape) for weight in layer.get_weights()])
    return model


def made(root, parts, **more):
    """A bundle of such a network; its documents are nonsense."""
    codec = Codec(schema.parse(parts.schema))
    model = network(codec, **more)
    model.save(root / "model.keras")
    encoder, step = xml_export.export(model)
    files = {"encoder.onnx": encoder, "step.onnx": step, "model.keras": (root / "model.keras").read_bytes()}
    height, width = model.inputs[0].shape[1:3]
    spec = parts.preprocess.model_copy(update={"height": height, "width": width})
    written = write(root, replace(parts, source="keras", preprocess=spec, most_tokens=24, models=files))
    return open_subject(written)


@pytest.fixture(scope="module")
def subject(xml_parts, tmp_path_factory):
    return made(tmp_path_factory.mktemp("xml"), xml_parts)


@pytest.fixture(scope="module")
def exported(subject, tmp_path_factory):
    """(form, quantize) -> a Job whose folder is written; once each."""
    jobs = {}

    def run(form, quantize=None):
        if (form, quantize) not in jobs:
            job = jobs[form, quantize] = Job(subject=subject, folder=tmp_path_factory.mktemp(form), quantize=quantize)
            xml_formats.write(job, form)
        return jobs[form, quantize]

    return run


@pytest.fixture
def copied(exported, tmp_path):
    """The same, to tamper with."""

    def run(form, quantize=None):
        job = exported(form, quantize)
        return replace(job, folder=Path(shutil.copytree(job.folder, tmp_path / "copy")))

    return run


@pytest.fixture
def noise():
    return np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), np.uint8)


def files(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def checked(job, form, pictures=NONE):
    (artifact,) = xml_formats.read(job, form)
    return xml_check.check(job.subject, artifact, pictures)


# ---- agreement -----------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "quantize"), FP32)
def test_export_decodes_to_the_same_documents(exported, noise, form, quantize):
    found = checked(exported(form, quantize), form, noise)
    assert (found.documents, found.differ, found.others) == (3, 0, 0)
    assert found.tokens > 0
    assert found.logits <= 1e-5


@pytest.mark.parametrize(("form", "quantize"), FP16)
def test_half_precision_is_near_and_says_how_many_documents_differ(exported, noise, form, quantize):
    found = checked(exported(form, quantize), form, noise)
    assert found.documents == 3
    assert 1e-5 < found.logits < 2e-2


@pytest.mark.parametrize(("form", "quantize"), [("litert", None), ("coreml", None)])
def test_embedded_bundle_says_its_golden_documents(tmp_path, form, quantize):
    job = Job(subject=open_subject(SHEETS), folder=tmp_path, quantize=quantize)
    xml_formats.write(job, form)
    found = checked(job, form)
    assert (found.documents, found.differ, found.others, found.tokens) == (3, 0, 0, 1251)
    assert found.logits <= 1e-4


def test_encoder_that_is_a_frozen_backbone_agrees(xml_parts, tmp_path):
    subject = made(tmp_path, xml_parts, encoder="frozen:mobilenet", height=32, width=32)
    (tmp_path / "out").mkdir()
    job = Job(subject=subject, folder=tmp_path / "out")
    xml_formats.write(job, "litert")
    assert checked(job, "litert").logits <= 1e-4


def test_several_documents_grow_at_once(exported, subject, noise):
    (artifact,) = xml_formats.read(exported("litert"), "litert")
    own = load_decoder(subject.directory, subject.manifest, load_xml(subject.directory, subject.manifest, "onnx"))[1]
    theirs = Decoder(artifact.engine.encode, artifact.engine.step, artifact.codec(), 24)
    assert theirs.decode(noise[0], beam=3).xml == own.decode(noise[0], beam=3).xml


def test_bundle_without_layers_leaves_as_its_own_onnx(boxes, tmp_path):
    job = Job(subject=open_subject(boxes), folder=tmp_path)
    xml_formats.write(job, "onnx")
    assert checked(job, "onnx").logits == 0


def test_onnx_files_say_which_bundle_they_are_of(exported, subject):
    import onnx

    for path in exported("onnx").folder.glob("*.onnx"):
        props = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        assert (props["id"], props["name"]) == (subject.manifest.id, "boxes")


def test_litert_files_say_which_bundle_they_are_of(exported, subject):
    for path in exported("litert").folder.glob("*.tflite"):
        with zipfile.ZipFile(path) as archive:
            assert json.loads(archive.read("about.json"))["id"] == subject.manifest.id


def test_core_ml_files_say_which_bundle_they_are_of(exported, subject):
    for path in exported("coreml").folder.glob("*.mlpackage"):
        said = coreml_program.load(path).metadata
        assert (said["author"], said["id"]) == ("Imago", subject.manifest.id)


@pytest.mark.parametrize(("form", "quantize"), [*FP32, *FP16])
def test_network_json_names_files_that_are_there(exported, form, quantize):
    job = exported(form, quantize)
    (artifact,) = xml_formats.read(job, form)
    for program in (artifact.network.encoder, artifact.network.step):
        assert (job.folder / program.file).exists()
    assert artifact.network.precision == (quantize or "fp32")


# ---- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["graphdef", "keras-json", "tarot"])
def test_other_format_is_refused_with_those_there_are(subject, tmp_path, form):
    with pytest.raises(BundleError, match=f"no {form} of a model.*there are coreml, onnx, litert, savedmodel$"):
        xml_formats.write(Job(subject=subject, folder=tmp_path), form)


@pytest.mark.parametrize(("form", "there"), [("litert", "fp32 and fp16"), ("onnx", "fp32 only")])
def test_8_bits_are_refused(subject, tmp_path, form, there):
    with pytest.raises(BundleError, match=f"no int8 {form} of a model that makes XML; there is {there}$"):
        xml_formats.write(Job(subject=subject, folder=tmp_path, quantize="int8"), form)


@pytest.mark.parametrize("form", ["onnx", "litert"])
def test_classifier_is_refused(tiny, tmp_path, form):
    with pytest.raises(BundleError, match="a classifier, not a model that makes XML$"):
        xml_formats.write(Job(subject=open_subject(tiny), folder=tmp_path), form)


@pytest.mark.parametrize("form", ["litert", "savedmodel", "coreml"])
def test_bundle_without_layers_is_refused_with_what_there_is(boxes, tmp_path, form):
    with pytest.raises(BundleError, match="has no model.keras.*export it with --to onnx$"):
        xml_formats.write(Job(subject=open_subject(boxes), folder=tmp_path), form)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("form", "quantize"), [*FP32, *FP16])
@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_one_changed_weight_is_refused(copied, subject, form, quantize, weights):
    job, floats = copied(form, quantize), weights(subject.network)
    changed = floats.copy()
    changed[3] += 1
    old, new = (row.astype(np.float16 if quantize else np.float32).tobytes() for row in (floats, changed))
    held = [path for path in files(job.folder) if old in path.read_bytes()]
    assert held
    for path in held:
        path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(BundleError, match=r"logits differ|tokens that are not|share of other tokens") as refused:
        checked(job, form)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("form", [form for form, _ in FP32])
@pytest.mark.parametrize("part", [0, 0.5, 0.97])
def test_cut_file_is_refused(copied, form, part):
    job = copied(form)
    for path in files(job.folder):
        if path.name in ("fingerprint.pb", "Manifest.json"):  # which no runtime here reads
            continue
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * part)])
        with pytest.raises(BundleError) as refused:
            xml_formats.read(job, form)
        assert "\n" not in str(refused.value), path
        assert str(job.folder) in str(refused.value)
        path.write_bytes(data)


@pytest.mark.parametrize("form", [form for form, _ in FP32])
def test_missing_file_is_refused(copied, form):
    job = copied(form)
    victim = next(path for path in job.folder.iterdir() if "step" in path.name or path.is_dir())
    shutil.rmtree(victim) if victim.is_dir() else victim.unlink()
    with pytest.raises(BundleError, match=str(victim)):
        xml_formats.read(job, form)


def test_changed_schema_is_refused(copied):
    job = copied("onnx")
    path = job.folder / "schema.rng"
    path.write_bytes(path.read_bytes() + b"<!-- mine -->")
    with pytest.raises(BundleError, match=r"schema\.rng: not the bundle's schema"):
        checked(job, "onnx")


def test_schema_with_other_tokens_is_refused(copied):
    job = copied("onnx")
    path = job.folder / "schema.rng"
    path.write_bytes(path.read_bytes().replace(b"red", b"rose").replace(b"<value>green</value>", b""))
    with pytest.raises(BundleError, match=r"schema\.rng: \d+ tokens, \d+ wanted"):
        xml_formats.read(job, "onnx")


@pytest.mark.parametrize("change", [(b'"most_tokens":24', b'"most_tokens":23'), (b'"resize":"', b'"resize":"crop')])
def test_changed_network_json_is_refused(copied, change):
    job = copied("litert")
    path = job.folder / "network.json"
    assert change[0] in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(*change))
    with pytest.raises(BundleError, match=r"network\.json: "):
        checked(job, "litert")
