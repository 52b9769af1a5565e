"""What an export is compared on: the bundle's golden pictures, drawn ones that stir every channel, and a folder of yours."""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bundle import image, store
from bundle.engine import cores
from bundle.errors import DataError, PictureError
from bundle.image import Preprocess
from bundle.manifest import Expected, parse
from bundle.predict import expand
from converter.subject import Subject

# Of a folder: to compare on, and to calibrate with. More would tell nothing new and take memory.
MOST = 1000
MOST_CALIBRATION = 200


def golden(subject: Subject) -> np.ndarray:
    """uint8 (n, h, w, 3) of a classifier's golden pictures."""
    data = store.read_file(subject.directory, "golden/expected.json")
    names = parse(Expected, data, str(subject.directory / "golden" / "expected.json")).pictures
    found = [store.read_file(subject.directory, f"golden/{name}") for name in sorted(names)]
    return np.stack([image.preprocess(image.decode(data, subject.spec), subject.spec) for data in found])


def drawn(spec: Preprocess) -> np.ndarray:
    """uint8 (8, h, w, 3): noise, soft colours, black, white, stripes; a fault that photos hide shows on one of them."""
    rng = np.random.default_rng(0)
    shape = (spec.height, spec.width, 3)
    rows, columns = np.mgrid[: spec.height, : spec.width]
    stripes = np.where((rows // 4 + columns // 8) % 2, 255, 0)[..., None].repeat(3, axis=2)
    ramp = np.stack([rows * 255 // spec.height, columns * 255 // spec.width, (rows + columns) % 256], axis=-1)
    made = [
        rng.integers(0, 256, shape),
        rng.integers(0, 256, (*shape[:2], 1)).repeat(3, axis=2),
        *(_soft(rng, shape) for _ in range(2)),
        np.zeros(shape),
        np.full(shape, 255),
        stripes,
        ramp,
    ]
    return np.stack(made).astype(np.uint8)


def _soft(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Large spots of colour."""
    coarse = rng.integers(0, 256, (8, 8, 3))
    return coarse[np.arange(shape[0]) * 8 // shape[0]][:, np.arange(shape[1]) * 8 // shape[1]]


def folder(path: Path, spec: Preprocess, most: int = MOST) -> np.ndarray:
    """uint8 (n, h, w, 3) of the pictures at any depth, `most` of them, the same whatever they are called. Raises DataError."""
    paths = _some(path, most)
    with ThreadPoolExecutor(cores()) as pool:
        found = list(pool.map(lambda one: _pixels(one, spec), paths))
    bad = [reason for reason in found if isinstance(reason, str)]
    good = [pixels for pixels in found if isinstance(pixels, np.ndarray)]
    if bad:
        print(f"note: {len(bad)} pictures could not be read and are left out, first {bad[0]}", file=sys.stderr)
    if not good:
        raise DataError(f"{path}: none of its {len(paths)} pictures can be read, first {bad[0]}")
    return np.stack(good)


def _some(path: Path, most: int) -> list[Path]:
    if not path.exists():
        raise DataError(f"{path}: no such folder; wanted one with pictures")
    paths = list(expand([path]))
    if len(paths) <= most:
        return paths
    # By content, so that not all are of the folder that comes first.
    chosen = sorted(paths, key=lambda one: hashlib.sha256(one.read_bytes()).digest())[:most]
    print(f"note: {most} of the {len(paths)} pictures in {path} are looked at", file=sys.stderr)
    return sorted(chosen)


def _pixels(path: Path, spec: Preprocess) -> np.ndarray | str:
    try:
        return image.preprocess(image.decode(path.read_bytes(), spec), spec)
    except (PictureError, OSError) as error:
        return f"{path}: {error}"
