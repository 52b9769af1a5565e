"""What tests of imports share: a file with labels beside it becomes a bundle, or a sentence."""

import json

import pytest

from bundle.errors import ImagoError

FILES = {"keras-json": "model.json", "keras": "model.keras", "onnx": "other.onnx", "graphdef": "output_graph.pb"}


def _bytes(content):
    if isinstance(content, bytes):
        return content
    if hasattr(content, "SerializeToString"):
        return content.SerializeToString()
    return (content if isinstance(content, str) else json.dumps(content)).encode()


@pytest.fixture
def run(request, tmp_path):
    """(content, labels=, **options) -> what was imported as the module's FORM; bytes, text, a protobuf, or what JSON can say."""
    from converter import imports
    from converter.import_request import Request

    form = request.module.FORM

    def run(content, labels="red\ngreen\nblue\n", **options):
        source = tmp_path / FILES[form]
        source.write_bytes(_bytes(content))
        (tmp_path / "labels.txt").write_text(labels)
        return imports.main(Request(form=form, source=source, out=tmp_path / "out", **options))

    return run


@pytest.fixture
def reason(tmp_path):
    """(a call, *its words, **options) -> the one line that refuses it; nothing is left where bundles go."""

    def reason(call, *words, **options):
        with pytest.raises(ImagoError) as caught:
            call(*words, **options)
        assert "\n" not in str(caught.value)
        assert not list((tmp_path / "out").glob("*"))
        return str(caught.value)

    return reason
