"""The network from pictures to tokens: a small CNN whose map is kept, a transformer decoder that looks at it. Stock Keras layers, all named."""

from typing import Any

import numpy as np

from bundle.engine.keras_any import import_keras
from bundle.xml.codec import Codec
from training import backbones
from training.xml_run import XmlRun

# Deeper maps are too coarse for a button among several.
SEES = "conv_pw_5_relu"

# The shortest wave of the coordinates: 8 of 256 units.
LAST = 32

# Running means of a small set settle within an epoch.
BATCH_MOMENTUM = 0.95


def build(run: XmlRun, codec: Codec, most: int) -> Any:
    """pixels uint8 (n, h, w, 3), tokens int32 (n, t) -> logits float32 (n, t, tokens): of what follows each of the tokens.
    `most` is the most positions."""
    keras = import_keras()
    layers = keras.layers
    pixels = layers.Input((run.height, run.width, 3), dtype="uint8", name="pixels")
    before = layers.Input((None,), dtype="int32", name="tokens")
    memory = _memory(run, _map(run, pixels))
    logits = _decoder(run, memory, before, len(codec.automaton.tokens), most)
    model = keras.Model([pixels, before], logits, name="xml")
    if codec.grammar.vector:
        _ordered(model, codec)
    return model


def _map(run: XmlRun, pixels: Any) -> Any:
    """What the encoder sees: float32 (n, rows, columns, channels)."""
    return _own(run, pixels) if run.encoder == "own" else _frozen(run, pixels)


def _own(run: XmlRun, pixels: Any) -> Any:
    layers = import_keras().layers
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(pixels)
    for at, channels in enumerate(run.channels):
        last = at == len(run.channels) - 1
        x = layers.Conv2D(
            channels, 5 if at == 0 else 3, 1 if last else 2, padding="same", use_bias=False, name=f"conv_{at}"
        )(x)
        x = layers.BatchNormalization(momentum=BATCH_MOMENTUM, name=f"norm_{at}")(x)
        x = layers.ReLU(name=f"relu_{at}")(x)
    return x


def _frozen(run: XmlRun, pixels: Any) -> Any:
    """A MobileNet's map at an eighth of the picture's sides, as ImageNet made it: its layers do not learn."""
    named = run.encoder.partition(":")[2]
    whole = backbones.features(backbones.Wanted(backbone=named, alpha=run.alpha, size=run.height, weights=run.weights))
    backbone = import_keras().Model(whole.input, whole.get_layer(SEES).output, name="backbone")
    backbone.trainable = False
    return backbone(pixels, training=False)


def _memory(run: XmlRun, x: Any) -> Any:
    """(n, places, width): each place knows what is there, and in which row and column it lies (the biases)."""
    layers = import_keras().layers
    _, rows, columns, _ = x.shape
    shape = (rows, columns, run.d_model)
    x = layers.EinsumDense("nhwc,cd->nhwd", shape, bias_axes="hd", bias_initializer="random_normal", name="rows")(x)
    x = layers.EinsumDense("nhwc,cd->nhwd", shape, bias_axes="wd", bias_initializer="random_normal", name="columns")(x)
    x = layers.Reshape((rows * columns, run.d_model), name="places")(x)
    return layers.LayerNormalization(epsilon=1e-6, name="memory")(x)


def _decoder(run: XmlRun, memory: Any, before: Any, tokens: int, most: int) -> Any:
    keras = import_keras()
    layers = keras.layers
    place = keras.ops.cumsum(keras.ops.ones_like(before), axis=1) - 1
    x = layers.Embedding(tokens, run.d_model, name="token")(before)
    x = x + layers.Embedding(most, run.d_model, name="position")(place)
    for at in range(run.layers):
        y = layers.LayerNormalization(epsilon=1e-6, name=f"norm_self_{at}")(x)
        attention = layers.MultiHeadAttention(run.heads, run.d_model // run.heads, name=f"self_{at}")
        x = x + layers.Dropout(run.dropout, name=f"drop_self_{at}")(attention(y, y, use_causal_mask=True))
        y = layers.LayerNormalization(epsilon=1e-6, name=f"norm_cross_{at}")(x)
        attention = layers.MultiHeadAttention(run.heads, run.d_model // run.heads, name=f"cross_{at}")
        x = x + layers.Dropout(run.dropout, name=f"drop_cross_{at}")(attention(y, memory))
        y = layers.LayerNormalization(epsilon=1e-6, name=f"norm_dense_{at}")(x)
        y = layers.Dense(4 * run.d_model, activation="relu", name=f"wide_{at}")(y)
        x = x + layers.Dropout(run.dropout, name=f"drop_dense_{at}")(layers.Dense(run.d_model, name=f"narrow_{at}")(y))
    x = layers.LayerNormalization(epsilon=1e-6, name="norm_last")(x)
    return layers.Dense(tokens, name="logits")(x)


def _ordered(model: Any, codec: Codec) -> None:
    """Numbers, rows and columns start as waves of where they lie, so that near ones are alike before anything is learned: a network that
    starts with 256 numbers by chance first has to find out which are neighbours."""
    spots = [at for at, (kind, _) in enumerate(codec.automaton.tokens) if kind == "number"]
    numbers = np.array([float(codec.automaton.tokens[at][1]) for at in spots])
    extent = float(np.ptp(numbers)) + 1
    embedded, logits = model.get_layer("token"), model.get_layer("logits")
    (rows,), (kernel, bias) = embedded.get_weights(), logits.get_weights()
    waves = _waves(numbers / extent, rows.shape[1])
    rows[spots] += 0.3 * waves
    kernel[:, spots] += 0.1 * waves.T
    embedded.set_weights([rows])
    logits.set_weights([kernel, bias])
    for name in ("rows", "columns"):
        layer = model.get_layer(name)
        kernel, bias = layer.get_weights()
        places = (np.arange(bias.size // bias.shape[-1]) + 0.5) / (bias.size // bias.shape[-1])
        half = bias.shape[-1] // 2
        wave = np.zeros((len(places), bias.shape[-1]), np.float32)
        wave[:, slice(0, half) if name == "rows" else slice(half, 2 * half)] = _waves(places, half)
        layer.set_weights([kernel, bias + wave.reshape(bias.shape)])


def _waves(places: np.ndarray, width: int) -> np.ndarray:
    """float32 (n, width): sines and cosines of places from 0 to 1, from half a wave to LAST waves over all of them."""
    count = -(-width // 2)
    angles = 2 * np.pi * np.outer(places, np.geomspace(0.5, LAST, count))
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :width].astype(np.float32)
