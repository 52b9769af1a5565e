"""What other programs find in the files: sizes, names, metadata."""

import json
import zipfile
from pathlib import Path

import flatbuffers.table
import numpy as np
import pytest

from converter import keras_json, litert, onnx_file, saved_model
from converter.artifact import Job
from converter.subject import open_subject

schema = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="of the export extra")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

PIECES = next((Path(__file__).parents[2] / "server" / "bundles").glob("pieces-????????"))


@pytest.fixture(scope="module")
def pieces():
    return open_subject(PIECES, author="Ann", licence="CC-BY-4.0")


@pytest.fixture(scope="module")
def written(pieces, tmp_path_factory):
    """A format -> its folder."""
    folders = {}
    for form in (litert, onnx_file, saved_model, keras_json):
        folders[form] = tmp_path_factory.mktemp("written")
        form.write(Job(subject=pieces, folder=folders[form]))
    return folders


@pytest.fixture(scope="module")
def tflite(written):
    return (written[litert] / f"{PIECES.name}.tflite").read_bytes()


def followed(data, *slots):
    """The text at the end of a way through tables: a slot, or a slot and an element of the list there."""
    table = flatbuffers.table.Table(data, int.from_bytes(data[:4], "little"))
    for slot in slots[:-1]:
        place = table.Vector(table.Offset(4 + 2 * slot))
        table = flatbuffers.table.Table(data, table.Indirect(place))
    return table.String(table.Offset(4 + 2 * slots[-1]) + table.Pos).decode()


def test_the_metadata_table_names_the_labels_of_the_scores(tflite):
    model = schema.ModelT.InitFromPackedBuf(tflite, 0)
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    table = bytes(model.buffers[entry.buffer].data)
    assert table[4:8] == b"M001"
    assert followed(table, 0) == "pieces"
    assert (followed(table, 4), followed(table, 5)) == ("Ann", "CC-BY-4.0")
    assert followed(table, 3, 2, 0) == "pixels"
    assert followed(table, 3, 3, 0) == "scores"
    assert followed(table, 3, 3, 6, 0) == "labels.txt"


def test_the_labels_are_a_plain_file_in_the_zip_behind_the_model(written, pieces):
    with zipfile.ZipFile(written[litert] / f"{PIECES.name}.tflite") as archive:
        assert archive.read("labels.txt").decode().split() == list(pieces.labels)
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
        assert json.loads(archive.read("about.json"))["id"] == pieces.manifest.id


def test_weights_begin_at_multiples_of_sixteen(tflite):
    kernel = open_subject(PIECES).network.layers[-1].get_weights()[1].tobytes()
    assert tflite.count(kernel) == 1
    assert tflite.index(kernel) % 16 == 0


def test_onnx_says_what_it_is(written, pieces):
    import onnx

    model = onnx.load(written[onnx_file] / f"{PIECES.name}.onnx")
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert told["id"] == pieces.manifest.id
    assert json.loads(told["labels"]) == list(pieces.labels)
    assert (told["name"], told["scores"], told["author"]) == ("pieces", "softmax", "Ann")
    assert told["license"] == "CC-BY-4.0"


def test_a_saved_model_holds_every_weight_once(written, pieces):
    size = sum(path.stat().st_size for path in written[saved_model].rglob("variables.data*"))
    assert size < 1.05 * sum(weight.nbytes for weight in pieces.network.get_weights()) + 20_000


def test_keras_json_is_pure_json_with_an_open_batch(written):
    layers = json.loads((written[keras_json] / "model.json").read_text())
    assert layers["config"]["layers"][0]["config"]["batch_shape"] == [None, 96, 96, 3]


def test_keras_reads_the_json_by_its_own_function(written, pieces):
    from bundle.engine.keras_any import import_keras

    network = import_keras().models.model_from_json((written[keras_json] / "model.json").read_text())
    network.load_weights(written[keras_json] / "model.weights.h5")
    pixels = np.random.default_rng(3).integers(0, 256, (2, 96, 96, 3), np.uint8)
    assert np.array_equal(network(pixels, training=False), pieces.network(pixels, training=False))
