"""Programs of fixed shapes, run as a decoder asks: with caches that grow, and several documents at once."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bundle.engine import XmlEngine
from bundle.errors import BundleError
from converter import xml_files
from converter.about import refusing
from converter.artifact import Job
from converter.xml_files import Network, Program, XmlArtifact
from converter.xml_layers import CACHES, GROWN, MEMORY

# Arrays by name, in and out.
Run = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def fixed(job: Job, opened: Callable[[Path], Run], runtime: str) -> XmlArtifact:
    """What stands in job.folder; the encoder is opened first. Raises BundleError."""
    network, schema = xml_files.read(job.folder)
    both = (network.encoder, network.step)
    paths = [job.folder / program.file for program in both]
    encode, step = (_tried(opened(path), program, path) for path, program in zip(paths, both, strict=True))
    engine = _growing(encode, step, network, runtime)
    return XmlArtifact(path=paths[0], runtime=runtime, engine=engine, network=network, schema=schema)


def _growing(encode: Run, step: Run, network: Network, name: str) -> XmlEngine:
    """`encode` and `step` take and give what network.json says."""
    (image,) = network.encoder.inputs
    most, lock = network.most_tokens, threading.Lock()  # a LiteRT interpreter holds its tensors

    def look(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = [_memory(encode, image, pixels[at : at + 1], lock) for at in range(len(pixels))]
        return np.concatenate([keys for keys, _ in found], axis=1), np.concatenate([v for _, v in found], axis=1)

    def one(row: int, token: np.ndarray, *held: np.ndarray) -> list[np.ndarray]:
        at = held[0].shape[3]
        caches = [_padded(cache[:, row : row + 1], most) for cache in held[:2]]
        memory = [part[:, row : row + 1] if part.shape[1] > 1 else part for part in held[2:]]
        inputs = dict(zip((*CACHES, *MEMORY), (*caches, *memory), strict=True))
        inputs |= {"token": token[row : row + 1].astype(np.int32), "position": np.array([at], np.int32)}
        with lock:
            found = step(inputs)
            return [found["logits"], *(np.array(found[grown][:, :, :, : at + 1]) for grown in GROWN)]

    def following(token: np.ndarray, *held: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = [one(row, token, *held) for row in range(len(token))]
        logits, keys, values = (
            np.concatenate(part, axis=min(at, 1)) for at, part in enumerate(zip(*rows, strict=True))
        )
        return logits, keys, values

    return XmlEngine(name=name, device="cpu", encode=look, step=following)


def _tried(run: Run, program: Program, path: Path) -> Run:
    """After one run on zeros. Raises BundleError where what comes out is not what network.json says."""
    with refusing(path, "run"):
        found = run({name: _zeros(value.shape, value.type) for name, value in program.inputs.items()})
    for name, value in program.outputs.items():
        shape = found[name].shape if name in found else None
        if shape != value.shape:
            raise BundleError(
                f"{path}: {name} has the shape {shape}, {value.shape} wanted by network.json; export it again"
            )
    return run


def _zeros(shape: tuple[int | None, ...], kind: str) -> np.ndarray:
    return np.zeros([at or 1 for at in shape], np.uint8 if kind == "image" else kind)


def _memory(encode: Run, image: str, pixels: np.ndarray, lock: threading.Lock) -> tuple[np.ndarray, np.ndarray]:
    with lock:
        found = encode({image: pixels})
        keys, values = (np.array(found[name]) for name in MEMORY)
    return keys, values


def _padded(cache: np.ndarray, most: int) -> np.ndarray:
    whole = np.zeros((*cache.shape[:3], most, cache.shape[4]), np.float32)
    whole[:, :, :, : cache.shape[3]] = cache
    return whole
