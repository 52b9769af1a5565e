"""model.keras without Keras: the bytes that Keras would have written."""

import numpy as np
import pytest

from bundle import canonical
from bundle.engine.keras_any import import_keras
from training import backbones, features, whole
from training.run import Run


@pytest.fixture(params=["mobilenet", "efficientnet_v2_b0"])
def sees(tmp_path, request):
    pytest.importorskip("tensorflow", reason="of the train extra")
    alpha = 0.25 if request.param == "mobilenet" else 1.0
    run = Run(
        data=tmp_path, name="x", out=tmp_path, backbone=request.param, alpha=alpha, size=32, weights="none",
        cache=tmp_path, cache_bytes=1,
    )  # fmt: skip
    model = backbones.features(run)
    made = features.Extractor(
        run=run, digest=backbones.weights_digest(model), width=model.output_shape[1], exported=b""
    )
    made.__dict__["model"] = model
    return made


def _dense(seed, *sizes):
    rng = np.random.default_rng(seed)
    pairs = zip(sizes, sizes[1:], strict=False)
    return [
        (rng.normal(size=(before, after)).astype(np.float32), rng.normal(size=after).astype(np.float32))
        for before, after in pairs
    ]


def _model(sees, dense):
    """The layers, as training builds them."""
    keras = import_keras()
    x = sees.model.output
    for at, (_, bias) in enumerate(dense):
        x = keras.layers.Dense(len(bias), activation="softmax", name=f"head_{at}")(x)
    model = keras.Model(sees.model.input, x, name="classifier")
    for at, values in enumerate(dense):
        model.get_layer(f"head_{at}").set_weights(values)
    return model


def test_another_head_in_a_kept_file_gives_the_bytes_that_keras_writes(sees):
    for sizes in [(3,), (40, 3)]:
        first, second = _dense(1, sees.width, *sizes), _dense(2, sees.width, *sizes)
        whole.keras_bytes(sees, first, ["softmax"], lambda first=first: _model(sees, first))
        found = whole.keras_bytes(sees, second, ["softmax"], lambda: pytest.fail("built again"))
        assert found == canonical.keras_bytes(_model(sees, second))


def test_another_shape_is_built(sees):
    built = []
    for sizes, shape in [((3,), ["softmax"]), ((4,), ["softmax"]), ((3,), ["sigmoid"]), ((5, 3), ["softmax"])]:
        dense = _dense(1, sees.width, *sizes)
        whole.keras_bytes(sees, dense, shape, lambda dense=dense: built.append(dense) or _model(sees, dense))
    assert len(built) == 4


def test_a_damaged_file_is_built_again(sees):
    dense = _dense(1, sees.width, 3)
    wanted = whole.keras_bytes(sees, dense, [], lambda: _model(sees, dense))
    path = next((sees.run.cache / "models").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert whole.keras_bytes(sees, dense, [], lambda: _model(sees, dense)) == wanted
