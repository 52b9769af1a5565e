"""Networks of every backbone, and programs of several tensors: Core ML's operations mean what Keras and TensorFlow mean."""

import gc
from importlib.util import find_spec

import numpy as np
import pytest

from bundle.errors import BundleError
from converter import coreml_network, coreml_program
from converter.coreml_package import Features, network, package
from converter.subject import tensorflow

pytest.importorskip("tensorflow", reason="of the train extra")
if find_spec("coremltools") is None:  # imported here it would let all tests of the process recurse deeper
    pytest.skip("of the export extra", allow_module_level=True)

WORDS = {"description": "of a test", "version": "1", "resize": "crop"}
WAYS = {"mlpackage": (package, coreml_program.load), "mlmodel": (network, coreml_network.load)}


@pytest.fixture(scope="module")
def tf():
    return tensorflow()


def photos(side, count=8):
    """Coarse and fine noise together: pixels that are all alike would leave a normalised network without a signal."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (count, 4, 4, 3)).repeat(-(-side // 4), 1).repeat(-(-side // 4), 2)
    return ((coarse[:, :side, :side] + random.integers(0, 256, (count, side, side, 3))) // 2).astype(np.uint8)


def calibrated(model, pictures):
    """Means and variances of these pictures, so that activations stay near 1 in every layer."""
    for layer in model.layers:
        if hasattr(layer, "moving_variance"):
            layer.momentum = 0.0
    model(pictures.astype(np.float32), training=True)
    return model


def classifier(name, side, activation, **options):
    """A backbone with random weights, a hidden layer and five scores."""
    import keras

    keras.utils.set_random_seed(0)
    pixels = keras.Input((side, side, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, -1.0)(pixels)
    base = getattr(keras.applications, name)(
        weights=None, include_top=False, pooling="avg", input_tensor=scaled, **options
    )
    hidden = keras.layers.Dense(8, "relu")(base.output)
    return calibrated(keras.Model(pixels, keras.layers.Dense(5, activation)(hidden)), photos(side, 16))


def program(tf, model):
    spec = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")
    return tf.function(lambda image: model(image, training=False), autograph=False).get_concrete_function(spec)


def differences(tf, model, kinds, folder):
    """From Keras, for each kind of file."""
    pictures = photos(model.input_shape[1])
    wanted, concrete = np.asarray(model(pictures.astype(np.float32), training=False)), program(tf, model)
    found = {}
    for kind in kinds:
        write, load = WAYS[kind]
        write(concrete, folder / f"x.{kind}", about=WORDS, features=Features(labels=tuple("abcde")))
        loaded = load(folder / f"x.{kind}")
        rows = [loaded.run({"image": picture[None]})["probabilities"] for picture in pictures]
        found[kind] = np.abs(np.concatenate(rows) - wanted).max()
    return found


def rounding(model):
    """How far the scores move in Keras itself where every kernel is off by half a bit: random deep networks amplify it."""
    pictures, kept = photos(model.input_shape[1]).astype(np.float32), model.get_weights()
    random = np.random.default_rng(0)
    before = np.asarray(model(pictures, training=False))
    noisy = [np.float32(one * (1 + random.uniform(-6e-8, 6e-8, one.shape))) if one.ndim == 4 else one for one in kept]
    model.set_weights(noisy)
    moved = np.abs(np.asarray(model(pictures, training=False)) - before).max()
    model.set_weights(kept)
    return moved


NETWORKS = {
    "MobileNet": (96, "softmax", {"alpha": 0.25}),
    "MobileNetV2": (96, "sigmoid", {"alpha": 0.35}),
    "InceptionV3": (96, "softmax", {}),
    "ResNet50": (64, "sigmoid", {}),
    "EfficientNetV2B0": (64, "softmax", {"include_preprocessing": False}),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_backbone_answers_as_in_keras(tf, tmp_path, name):
    side, activation, options = NETWORKS[name]
    model = classifier(name, side, activation, **options)
    found = differences(tf, model, WAYS, tmp_path)
    assert max(found.values()) < max(1e-5, 5 * rounding(model)), found


def test_a_program_of_several_tensors_keeps_their_names_and_values(tf, tmp_path):
    @tf.function(
        input_signature=[
            tf.TensorSpec((1, 4), tf.int32, "tokens"),
            tf.TensorSpec((1,), tf.int32, "at"),
            tf.TensorSpec((1, 6, 8), tf.float32, "cache"),
        ],
        autograph=False,
    )
    def step(tokens, at, cache):
        table = tf.constant(np.random.default_rng(0).normal(size=(5, 8)), tf.float32)
        rows = tf.gather(table, tokens)
        mean, variance = tf.nn.moments(rows, [-1], keepdims=True)
        rows = tf.nn.gelu((rows - mean) * tf.math.rsqrt(variance + 1e-3), approximate=True)
        keys, values = tf.split(cache, 2, axis=-1)
        seen = tf.matmul(rows[..., :4], keys, transpose_b=True)
        seen = tf.where((tf.range(6) <= at)[None, None], seen, -1e9)  # coremltools misreads a condition of a lower rank
        found = tf.concat([tf.nn.softmax(seen) @ values, rows[..., 4:]], -1)
        written = tf.one_hot(at, 6)[:, :, None]
        return {"cache_out": cache * (1 - written) + written * found[:, :1], "logits": tf.nn.relu(found)}

    inputs = {
        "tokens": np.array([[0, 3, 1, 4]], np.int32),
        "at": np.array([2], np.int32),
        "cache": np.random.default_rng(1).normal(size=(1, 6, 8)).astype(np.float32),
    }
    features = Features(images=(), outputs=("cache_out", "logits"))
    package(step.get_concrete_function(), tmp_path / "step.mlpackage", about=WORDS, features=features)
    loaded = coreml_program.load(tmp_path / "step.mlpackage")
    found, wanted = loaded.run(inputs), step(**inputs)
    assert set(found) == {"cache_out", "logits"}
    for name, value in found.items():
        np.testing.assert_allclose(value, wanted[name].numpy(), atol=1e-5)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # of a temporary folder that coremltools drops
def test_a_layer_that_coremltools_cannot_convert_is_one_sentence(tf, tmp_path):
    strange = tf.function(lambda image: tf.linalg.det(image[..., :3, :]), autograph=False)
    concrete = strange.get_concrete_function(tf.TensorSpec((1, 8, 3, 3), tf.float32, name="image"))
    with pytest.raises(BundleError, match=r"^x.mlpackage: coremltools cannot convert the network: [^\n]+$"):
        package(concrete, tmp_path / "x.mlpackage", about=WORDS, features=Features())
    gc.collect()
