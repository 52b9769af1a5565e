"""What programs of that time do with the files, done here with TensorFlow's old session."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import image
from bundle.errors import BundleError
from converter import graph_def
from converter.artifact import Job
from converter.subject import Subject, open_subject, tensorflow

PIECES = next((Path(__file__).parents[2] / "server" / "bundles").glob("pieces-????????"))


def subject(resize):
    """The embedded model, as if its pictures were fitted otherwise."""
    made = open_subject(PIECES)
    spec = made.spec.model_copy(update={"resize": resize})
    return Subject(directory=PIECES, manifest=made.manifest.model_copy(update={"preprocess": spec}))


@pytest.fixture(scope="module", params=["crop", "pad", "squash"])
def job(request, tmp_path_factory):
    made = Job(subject=subject(request.param), folder=tmp_path_factory.mktemp("graph"))
    graph_def.write(made)
    return made


def asked(path, output, given):
    tf = tensorflow()
    with tf.Graph().as_default() as graph:
        definition = tf.compat.v1.GraphDef()
        definition.ParseFromString(path.read_bytes())
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run(output, given)


@pytest.mark.parametrize("size", [(160, 120), (90, 200), (40, 30)])
def test_a_jpeg_is_fitted_within_a_level_of_our_own_pixels(job, photo, size):
    data = photo(*size, form="JPEG", quality=95)
    found = asked(job.folder / "output_graph.pb", "pixels:0", {"DecodeJpeg/contents:0": data})[0].astype(int)
    wanted = image.preprocess(image.decode(data, job.subject.spec), job.subject.spec)
    assert np.abs(found - wanted).mean() < 1


def test_a_jpeg_gets_scores_by_either_name(job, jpeg):
    rows = [
        asked(job.folder / file, output, {"DecodeJpeg/contents:0": jpeg})
        for file, output in (("output_graph.pb", "final_result:0"), ("classify_image_graph_def.pb", "softmax:0"))
    ]
    assert rows[0].shape == (1, 11)
    assert np.array_equal(*rows)


def test_a_jpeg_that_becomes_other_pixels_is_refused(job, tmp_path):
    tf = tensorflow()
    copy = replace(job, folder=Path(shutil.copytree(job.folder, tmp_path / "copy")))
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString((copy.folder / "output_graph.pb").read_bytes())
    white = next(
        node.attr["value"].tensor
        for node in definition.node
        if node.op == "Const" and tf.make_ndarray(node.attr["value"].tensor).tolist() == 255
    )
    white.CopyFrom(tf.make_tensor_proto(240.0))  # of two: pictures are counted down from it and back
    (copy.folder / "output_graph.pb").write_bytes(definition.SerializeToString())
    with pytest.raises(BundleError, match="the pixels of a JPEG are off by"):
        graph_def.read(copy)


def test_the_tutorials_reader_finds_every_label(job):
    """It looks at how lines begin, and drops a quote before, a quote and a newline behind."""
    found, number = {}, None
    for line in (job.folder / "classification_labels.pbtxt").read_text().splitlines(keepends=True):
        if line.startswith("  target_class:"):
            number = int(line.split(": ")[1])
        if line.startswith("  target_class_string:"):
            found[number] = line.split(": ")[1][1:-2]
    assert found == dict(enumerate(job.subject.labels))


def test_a_label_that_the_tutorials_reader_would_cut_is_refused(tmp_path):
    made = open_subject(PIECES)
    made.__dict__["labels"] = ("part: sleeve", *made.labels[1:])
    with pytest.raises(BundleError, match="part: sleeve"):
        graph_def.write(Job(subject=made, folder=tmp_path))
    assert not list(tmp_path.iterdir())


def test_the_graph_holds_constants_and_no_functions(job):
    definition = tensorflow().compat.v1.GraphDef()
    definition.ParseFromString((job.folder / "output_graph.pb").read_bytes())
    assert not definition.library.function
    assert not {node.op for node in definition.node if "Variable" in node.op or "Call" in node.op}
