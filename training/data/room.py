"""Whether the disks have room for a run, before it starts."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from bundle.errors import DataError
from training import distort
from training.data.cache import Cache, thumbnails
from training.data.items import Photo
from training.run import Run

# Parameters of the backbones at full width, in millions, and the width of what they see; for an estimate.
_PARAMETERS = {
    "mobilenet": (3.3, 1024),
    "mobilenet_v2": (2.3, 1280),
    "inception_v3": (21.9, 2048),
    "resnet50": (23.6, 2048),
    "efficientnet_v2_b0": (6.0, 1280),
}
# Weights of a checkpoint: the network, two moments of Adam, and the best so far; and the file that is written before the old one goes.
_CHECKPOINT = 8
# model.keras, model.onnx, and both again in the folder that becomes the bundle.
_BUNDLE = 4
_SMALL = 20_000_000  # report, golden pictures, logs


def needed(photos: Sequence[Photo], run: Run) -> dict[Path, int]:
    """Bytes that the run will write, by folder: what is in the cache already is not counted. Raises DataError as distort.policy does."""
    millions, width = _PARAMETERS[run.backbone]
    weights = int(4e6 * millions * run.alpha**2) + 4_000_000
    pixels = Cache(directory=run.cache, spec=run.preprocess)
    new = sum(not pixels.has(photo) for photo in photos)
    thumbs = sum(not thumbnails(run.cache).has(photo) for photo in photos)
    features = len(photos) * (1 + run.copies) * int(4 * width * run.alpha)
    kept = (
        new * _pixels(run)
        + thumbs * 4096
        + features
        + (_CHECKPOINT * weights if run.fine_tune or run.weights == "none" else 0)
    )
    return {run.cache: kept, run.out: _BUNDLE * weights + _SMALL}


def _pixels(run: Run) -> int:
    """Bytes of a photo in the cache: as it is served and, where training photos are varied, the larger one that this is done to."""
    policy = distort.policy(run)
    specs = [run.preprocess] if policy.name == "none" else [run.preprocess, policy.fitted]
    return sum(3 * spec.height * spec.width for spec in specs)


def check(photos: Sequence[Photo], run: Run) -> None:
    """Raises DataError where a disk has not room enough."""
    wanted: dict[int, tuple[Path, int]] = {}
    for folder, size in needed(photos, run).items():
        there = _there(folder)
        _, before = wanted.get(there.stat().st_dev, (there, 0))
        wanted[there.stat().st_dev] = (folder, before + size)
    for folder, size in wanted.values():
        free = shutil.disk_usage(_there(folder)).free
        if size > free:
            raise DataError(
                f"{folder}: the run needs about {_gb(size)} of disk and {_gb(free)} are free; free it, or name others with --cache and --out"
            )


def _there(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
