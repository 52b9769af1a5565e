"""Each format: the file alone gives Keras' scores and the bundle's labels, and a changed file does not."""

import importlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle.errors import BundleError
from converter.about import about
from converter.artifact import Job
from converter.subject import open_subject

pytest.importorskip("ai_edge_litert", reason="of the export extra")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # converters have opinions

FORMATS = ("litert", "onnx_file", "saved_model", "graph_def", "keras_json")
PIECES = next((Path(__file__).parents[2] / "server" / "bundles").glob("pieces-????????"))
OFFSET = -0.8715  # bytes that stand nowhere else


@pytest.fixture(scope="module")
def several(tmp_path_factory, parts):
    """A bundle of a network that may see several labels in a picture."""
    from bundle import canonical
    from bundle.engine.keras_any import import_keras
    from bundle.write import write

    keras = import_keras()
    rng = np.random.default_rng(5)
    layers = [
        keras.Input((8, 8, 3), dtype="uint8", name="pixels"),
        keras.layers.Rescaling(1 / 127.5, OFFSET, name="scale"),
        keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.GlobalAveragePooling2D(name="pool"),
        keras.layers.Dense(3, "sigmoid", name="head"),
    ]
    model = keras.Sequential(layers, name="several")
    model.set_weights([rng.uniform(0.1, 0.9, weight.shape) for weight in model.get_weights()])
    made = replace(
        parts,
        name="several",
        source="keras",
        scores="sigmoid",
        labels=("cat", "dog", "owl"),
        thresholds=(0.5, 0.4, 0.6),
        models={"model.keras": canonical.keras_bytes(model), "model.onnx": canonical.onnx_from_keras(model, "scores")},
    )
    return open_subject(write(tmp_path_factory.mktemp("several"), made))


@pytest.fixture(scope="module")
def pieces():
    return open_subject(PIECES)


@pytest.fixture(scope="module", params=FORMATS)
def form(request):
    return importlib.import_module(f"converter.{request.param}")


@pytest.fixture(scope="module")
def exported(form, several, tmp_path_factory):
    """The job, once written."""
    job = Job(subject=several, folder=tmp_path_factory.mktemp("exported"))
    form.write(job)
    return job


@pytest.fixture
def copied(exported, tmp_path):
    """The job with a folder that a test may spoil."""
    return replace(exported, folder=Path(shutil.copytree(exported.folder, tmp_path / "copied")))


@pytest.fixture(scope="module")
def noise(several):
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), np.uint8)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def spoil(folder, old, new):
    """Replaces bytes wherever they stand in the files of an export; they must stand somewhere."""
    found = {name: data for name, data in files(folder).items() if old in data}
    assert found
    for name, data in found.items():
        (folder / name).write_bytes(data.replace(old, new))


def test_noise_gets_the_scores_that_keras_gives(form, exported, several, noise):
    wanted = np.asarray(several.network(noise, training=False))
    for artifact in form.read(exported):
        scores = artifact.run(noise)
        assert scores.dtype == np.float32
        assert np.abs(scores - wanted).max() <= 1e-5


def test_labels_come_from_the_file(form, exported):
    assert [artifact.labels for artifact in form.read(exported)] == [("cat", "dog", "owl")] * len(form.read(exported))


def test_what_the_file_says_about_itself_is_what_the_bundle_says(form, exported, several):
    wanted = None if form.__name__ == "converter.graph_def" else about(several)
    assert [artifact.told for artifact in form.read(exported)] == [wanted] * len(form.read(exported))


def test_the_embedded_model_gets_the_scores_that_keras_gives(form, pieces, tmp_path):
    job = Job(subject=pieces, folder=tmp_path)
    form.write(job)
    pixels = np.random.default_rng(1).integers(0, 256, (3, 96, 96, 3), np.uint8)
    wanted = np.asarray(pieces.network(pixels, training=False))
    for artifact in form.read(job):
        assert np.abs(artifact.run(pixels) - wanted).max() <= 1e-5
        assert artifact.labels == pieces.labels


def test_a_second_export_has_the_same_bytes(form, exported, tmp_path):
    if form.__name__ == "converter.saved_model":
        pytest.skip("TensorFlow counts functions over the process and draws a number for the folder")
    form.write(replace(exported, folder=tmp_path))
    assert files(tmp_path) == files(exported.folder)


def test_a_changed_weight_changes_the_scores_or_is_refused(form, copied, several, noise):
    bias = several.network.get_layer("head").get_weights()[1]
    spoil(copied.folder, bias.tobytes(), (bias + np.float32(0.1)).tobytes())
    if form.__name__ == "converter.saved_model":  # its weights have a checksum
        with pytest.raises(BundleError, match="export the bundle again"):
            form.read(copied)
        return
    wanted = np.asarray(several.network(noise, training=False))
    assert all(np.abs(artifact.run(noise) - wanted).max() > 1e-3 for artifact in form.read(copied))


def test_a_shifted_mean_changes_the_scores(form, copied, several, noise):
    if form.__name__ == "converter.keras_json":
        spoil(copied.folder, str(OFFSET).encode(), b"-0.9715")
    else:
        spoil(copied.folder, np.float32(OFFSET).tobytes(), np.float32(OFFSET - 0.1).tobytes())
    wanted = np.asarray(several.network(noise, training=False))
    assert all(np.abs(artifact.run(noise) - wanted).max() > 1e-3 for artifact in form.read(copied))


def test_swapped_labels_are_seen_or_refused(form, copied):
    spoil(copied.folder, b"cat", b"___")
    spoil(copied.folder, b"dog", b"cat")
    spoil(copied.folder, b"___", b"dog")
    if form.__name__ == "converter.litert":  # the zip has a checksum
        with pytest.raises(BundleError, match="CRC"):
            form.read(copied)
        return
    assert all(artifact.labels == ("dog", "cat", "owl") for artifact in form.read(copied))


def test_every_file_that_is_cut_off_is_refused_in_one_sentence(form, exported, tmp_path):
    told = ("about.json", "labels.txt", "classification_labels.pbtxt", "output_labels.txt", "fingerprint.pb")
    names = [name for name in files(exported.folder) if not name.endswith(told)]
    for number, name in enumerate(names):
        job = replace(exported, folder=Path(shutil.copytree(exported.folder, tmp_path / str(number))))
        data = (job.folder / name).read_bytes()
        (job.folder / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(BundleError, match=r"cannot (be read|load it)") as refused:
            form.read(job)
        assert "\n" not in str(refused.value)


def test_an_empty_folder_is_refused(form, exported, tmp_path):
    with pytest.raises(BundleError, match="export the bundle again"):
        form.read(replace(exported, folder=tmp_path))
