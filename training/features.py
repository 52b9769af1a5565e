"""Frozen features: what a backbone sees in each photo, through the engine that will serve it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from bundle.engine import Engine, cores, keras_any, onnx_cpu
from training.data.cache import Cache
from training.data.photos import Photo
from training.run import Run

# Pictures read ahead; also the batch that a GPU gets.
CHUNK = 64


def engine(run: Run, backbone: Any, exported: bytes) -> Engine:
    """Keras on a GPU; else ONNX Runtime, where a photo's features depend on nothing but the photo."""
    width = backbone.output_shape[1]
    if keras_any.sees_gpu():
        return keras_any.from_model(backbone, run.preprocess, width, run.backbone)
    return onnx_cpu.load(exported, run.preprocess, width, output="features")


def rows(runs: Engine, cache: Cache, photos: tuple[Photo, ...]) -> Iterator[np.ndarray]:
    """What the engine gives for each photo in order, (d,); holds no more than a chunk of pictures in memory."""
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(photos), CHUNK):
            chunk = photos[start : start + CHUNK]
            if runs.device == "gpu":
                yield from runs.run(np.stack(list(pool.map(cache.read, chunk))))
            else:
                yield from pool.map(lambda photo: runs.run(cache.read(photo)[None])[0], chunk)
