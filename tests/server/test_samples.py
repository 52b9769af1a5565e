"""The pictures to try: the embedded default knows each, and nobody else offers them."""

import io
import shutil
from pathlib import Path

import pytest
from PIL import Image

from server import samples

EMBEDDED = sorted(path.parent for path in (samples.PACKAGE / "bundles").glob("*/manifest.json"))
needs_default = pytest.mark.skipif(not EMBEDDED, reason="`make bundles` has not run")


def found(app):
    with app.test_request_context():
        context = {}
        app.update_template_context(context)
        return context["samples"]


@pytest.fixture(scope="module")
def default(serving):
    with serving() as app:
        yield app


@needs_default
def test_three_pictures_are_offered_and_known(default):
    offered, client = found(default), default.test_client()
    assert len(offered) == 3
    for sample in offered:
        with client.get(sample["url"]) as picture:
            assert (picture.status_code, picture.mimetype) == (200, "image/png")
            data = picture.data
        best = client.post("/classify", data=data, content_type="image/png").json["predictions"][0]
        assert best["label"] == Path(sample["url"]).stem
        assert best["probability"] > 0.9
        assert sample["alt"] == f"a drawn {best['label'].replace('-', ' ')}"


def test_pictures_are_small():
    sizes = [path.stat().st_size for path in (samples.PACKAGE / "static" / "samples").iterdir()]
    assert len(sizes) == 3
    assert max(sizes) < 4000


def test_other_models_offer_none(app):
    assert found(app) == []


@needs_default
def test_embedded_default_behind_another_model_or_copied_offers_none(serving, tiny, tmp_path):
    copy = shutil.copytree(EMBEDDED[0], tmp_path / EMBEDDED[0].name)
    for bundles in ((tiny, EMBEDDED[0]), (copy,)):
        with serving(*bundles) as app:
            assert found(app) == []


def test_nothing_is_offered_while_the_models_load(loading):
    assert found(loading.application) == []


@needs_default
def test_make_step_draws_the_same_pictures_again(tmp_path):
    pytest.importorskip("resvg_py", reason="of the train extra")
    from training import tryouts as drawn

    drawn.write(tmp_path)
    for path in (samples.PACKAGE / "static" / "samples").iterdir():
        again = Image.open(io.BytesIO((tmp_path / path.name).read_bytes())).convert("RGB")
        assert again.tobytes() == Image.open(path).convert("RGB").tobytes()
