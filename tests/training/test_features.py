"""Features: the engine's own numbers, each computed once, in whatever order and company photos come."""

import hashlib
import io
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle import canonical
from bundle.engine.keras_any import import_keras
from bundle.errors import DataError, PictureError
from bundle.image import Preprocess
from training import backbones, features
from training.data.cache import Cache
from training.progress import Progress
from training.run import Run

ROOT = Path(__file__).resolve().parents[2]
FITTED = Preprocess(height=40, width=40, resize="crop", resample="bilinear", color="rgb")


@dataclass(frozen=True)
class Picture:
    """What features ask of a photo."""

    path: Path
    sha256: str

    def read(self):
        return self.path.read_bytes()


@dataclass(frozen=True)
class Crop:
    """A policy: anywhere in the larger picture."""

    key: str = "crop 32 of 40"
    fitted: Preprocess = FITTED

    def apply(self, pixels, rng):
        top, left = rng.integers(0, 9, 2)
        return np.ascontiguousarray(pixels[top : top + 32, left : left + 32])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    pytest.importorskip("tensorflow", reason="of the train extra")
    path = tmp_path_factory.mktemp("weights") / "w.weights.h5"
    import_keras().utils.set_random_seed(0)
    backbones.features(backbones.Wanted(backbone="mobilenet", alpha=0.25, size=32, weights="none")).save_weights(path)
    return path


@pytest.fixture(scope="module")
def exported(weights, tmp_path_factory):
    """A cache with the export in it, made once."""
    folder = tmp_path_factory.mktemp("cache")
    features.backbone(_run(weights, folder))
    return folder


def _run(weights, folder, **changes):
    run = Run(data=folder, name="x", out=folder, alpha=0.25, size=32, weights=str(weights), cache=folder, cache_bytes=1)
    return replace(run, **changes)


@pytest.fixture
def run(weights, exported, tmp_path):
    """A run whose cache holds the export and no rows."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "exports").symlink_to(exported / "exports")
    return _run(weights, tmp_path / "cache")


@pytest.fixture
def photos(tmp_path):
    """(count) -> so many photos, always the same."""

    def make(count):
        return [_picture(tmp_path / f"{seed}.jpg", seed) for seed in range(count)]

    return make


def _picture(path, seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC).save(out, "JPEG")
    path.write_bytes(out.getvalue())
    return Picture(path, hashlib.sha256(out.getvalue()).hexdigest())


@pytest.fixture
def counted(run):
    """(**changes of the run) -> an extractor, and the pictures that its engine has seen."""

    def make(**changes):
        sees, seen = features.backbone(replace(run, **changes)), []
        inner = sees.engine
        sees.__dict__["engine"] = replace(inner, run=lambda batch: seen.extend(batch) or inner.run(batch))
        return sees, seen

    return make


def _bank(sees, photos, **options):
    return features.bank(sees, photos, progress=Progress(), **options)


def test_a_row_is_what_the_engine_says_of_the_picture(counted, photos, run):
    sees, _ = counted()
    pixels = Cache(directory=run.cache, spec=run.preprocess)
    found = _bank(sees, photos(9))
    assert found.dtype == np.float32
    assert np.array_equal(found, np.concatenate([sees.engine.run(pixels.read(photo)[None]) for photo in photos(9)]))


def test_ten_more_photos_cost_ten_runs(counted, photos):
    first = _bank(counted()[0], photos(30))
    sees, seen = counted()
    assert features.missing(sees, photos(40)) == photos(40)[30:]
    assert np.array_equal(_bank(sees, photos(40))[:30], first)
    assert len(seen) == 10
    assert features.missing(sees, photos(40)) == []


def test_a_photo_that_is_there_twice_costs_one_run(counted, photos):
    sees, seen = counted()
    found = _bank(sees, photos(2) + photos(1))
    assert len(seen) == 2
    assert np.array_equal(found[0], found[2])


CACHED = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from bundle.image import Preprocess
from training import features
from training.progress import Progress
from training.run import Run
weights, cache, wanted, *digests = sys.argv[1:]
cache = Path(cache)
run = Run(data=cache, name="x", out=cache, alpha=0.25, size=32, weights=weights, cache=cache, cache_bytes=1)
photos = [SimpleNamespace(sha256=digest) for digest in digests]
fitted = Preprocess(height=40, width=40, resize="crop", resample="bilinear", color="rgb")
policy = SimpleNamespace(key="crop 32 of 40", fitted=fitted)
found = features.bank(features.backbone(run), photos, policy=policy, copies=1, progress=Progress())
assert np.array_equal(found, np.load(wanted))
print(*sorted({"keras", "tensorflow", "onnxruntime", "onnx"} & sys.modules.keys()))
"""


def test_what_is_kept_needs_no_photo_no_keras_and_no_engine(counted, photos, run, tmp_path):
    np.save(tmp_path / "wanted.npy", _bank(counted()[0], photos(5), policy=Crop(), copies=1))
    words = [run.weights, run.cache, tmp_path / "wanted.npy", *(photo.sha256 for photo in photos(5))]
    command = [sys.executable, "-c", CACHED, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert (done.stdout, done.returncode) == ("\n", 0), done.stderr


def test_copies_follow_the_photos_themselves(counted, photos):
    sees, _ = counted()
    found = _bank(sees, photos(3), policy=Crop(), copies=2)
    assert found.shape == (9, 256)
    assert np.array_equal(found[:3], _bank(sees, photos(3)))
    larger = Cache(directory=sees.run.cache, spec=FITTED)
    views = [(photo, copy) for copy in (1, 2) for photo in photos(3)]
    cut = [Crop().apply(larger.read(photo), features.rng(0, photo, copy)) for photo, copy in views]
    assert np.array_equal(found[3:], np.concatenate([sees.engine.run(pixels[None]) for pixels in cut]))


def test_a_copy_is_the_same_in_any_company(counted, photos):
    all_of_them = _bank(counted(seed=3)[0], photos(4), policy=Crop(), copies=2)
    sees, seen = counted(seed=3)
    assert np.array_equal(_bank(sees, photos(4)[::-1], policy=Crop(), copies=2)[4:8], all_of_them[4:8][::-1])
    assert not seen
    _bank(sees, photos(4), policy=Crop(), copies=3)
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("changes", "policy", "costs"),
    [
        ({}, Crop(), 0),
        ({"seed": 1}, Crop(), 2),
        ({}, Crop(key="another"), 2),
        ({"resize": "squash"}, Crop(), 4),
        ({"seed": 1}, None, 0),
    ],
)
def test_rows_are_taken_for_the_same_seed_policy_and_preprocessing_only(counted, photos, changes, policy, costs):
    _bank(counted()[0], photos(2), policy=Crop(), copies=1)
    sees, seen = counted(**changes)
    _bank(sees, photos(2), policy=policy, copies=1)
    assert len(seen) == costs


def test_other_weights_have_rows_of_their_own(counted, photos, tmp_path):
    _bank(counted()[0], photos(2))
    sees, seen = counted()
    other = replace(sees, digest="0" * 64)
    other.__dict__["engine"] = sees.engine
    _bank(other, photos(2))
    assert len(seen) == 2


def test_an_unreadable_photo_is_an_error_that_keeps_what_was_seen(counted, photos, tmp_path):
    (tmp_path / "bad.jpg").write_text("no picture")
    sees, seen = counted()
    with pytest.raises(PictureError):
        _bank(sees, [*photos(8), Picture(tmp_path / "bad.jpg", "b" * 64)])
    again, seen = counted()
    _bank(again, photos(8))
    assert not seen


def test_a_cache_that_cannot_be_written_is_only_slow(counted, photos, tmp_path):
    wanted = _bank(counted()[0], photos(3))
    sees, _ = counted()
    (tmp_path / "file").write_text("in the way")
    nowhere = replace(sees, run=replace(sees.run, cache=tmp_path / "file"))
    assert np.array_equal(_bank(nowhere, photos(3)), wanted)
    assert features.missing(nowhere, photos(3)) == photos(3)


def test_an_exported_network_is_looked_through_in_the_same_order(counted, photos, run):
    sees, _ = counted()
    network = features.exported(run, sees.exported, sees.width, "features")
    assert np.array_equal(_bank(network, photos(23)), _bank(sees, photos(23)))


def test_a_report_says_how_long_all_features_took_and_nothing_of_what_was_known(counted, photos):
    sees, _ = counted()
    progress = Progress()
    features.bank(sees, photos(3), progress=progress)
    first = progress.seconds["features"]
    features.bank(sees, photos(3), progress=progress)
    assert progress.seconds == {"features": first}
    features.bank(sees, photos(6), progress=progress)
    assert progress.seconds["features"] > first


# ---- the export ----------------------------------------------------------------------------


def test_an_export_is_made_once_and_is_the_layers(run, weights):
    sees = features.backbone(run)
    assert "model" not in sees.__dict__
    assert sees.digest == backbones.weights_digest(sees.model)
    assert sees.exported == canonical.onnx_from_keras(sees.model, "features")


@pytest.mark.parametrize("damage", [lambda whole: whole[:-1], lambda whole: whole[:5], lambda whole: b"", lambda whole: whole[:-9] + b"x" * 9])  # fmt: skip
def test_a_damaged_export_is_made_again(weights, exported, tmp_path, damage, monkeypatch):
    whole = next((exported / "exports").iterdir())
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / whole.name).write_bytes(damage(whole.read_bytes()))
    monkeypatch.setattr(canonical, "onnx_from_keras", lambda model, output: b"made again")
    assert features.backbone(_run(weights, tmp_path)).exported == b"made again"
    assert (tmp_path / "exports" / whole.name).read_bytes().endswith(b"\nmade again")


def test_other_weights_under_the_name_of_an_export_are_noticed(run, exported, tmp_path):
    sees = replace(features.backbone(run), digest="0" * 64, kept=tmp_path / "gone")
    with pytest.raises(DataError, match="other weights than when they were exported; run it again"):
        _ = sees.model


def test_weights_that_are_not_there_get_their_sentence(run):
    with pytest.raises(DataError, match=r"gone.weights.h5: no such weights file"):
        features.backbone(replace(run, weights="gone.weights.h5"))
