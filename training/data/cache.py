"""Decoded pictures on disk, so that training decodes a photo once for a given preprocessing, not once a run."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL.Image import Image

from bundle import image
from bundle.engine import cores
from bundle.errors import PictureError
from bundle.image import Preprocess
from training.data.items import Photo

DEFAULT_BYTES = 20 << 30

# What pictures look like from afar, to find those that look alike; of whatever run.
THUMBNAIL = Preprocess(height=16, width=16, resize="squash", resample="bilinear", color="rgb")


def default_directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imago"


@dataclass(frozen=True, kw_only=True)
class Cache:
    """Raw uint8 pixels, one file a picture, named by the photo's sha256 and the preprocessing."""

    directory: Path
    spec: Preprocess

    def read(self, photo: Photo) -> np.ndarray:
        """uint8 (h, w, 3); decoded and kept if it was not yet. Raises PictureError, OSError."""
        try:
            pixels = np.frombuffer(self._path(photo).read_bytes(), np.uint8)
            return pixels.reshape(self.spec.height, self.spec.width, 3)
        except (OSError, ValueError):  # not there, cut short by a full disk, or no cache can be kept at all
            return self.put(photo, image.decode(photo.read(), self.spec))

    def has(self, photo: Photo) -> bool:
        return self._path(photo).exists()

    def put(self, photo: Photo, decoded: Image) -> np.ndarray:
        """uint8 (h, w, 3) of a picture that is decoded already."""
        pixels = image.preprocess(decoded, self.spec)
        keep(self._path(photo), pixels.tobytes())
        return pixels

    def _path(self, photo: Photo) -> Path:
        spec = hashlib.sha256(self.spec.model_dump_json().encode()).hexdigest()[:12]
        return self.directory / "pixels" / spec / photo.sha256[:2] / photo.sha256


def thumbnails(directory: Path) -> Cache:
    return Cache(directory=directory, spec=THUMBNAIL)


def fill(photos: Iterable[Photo], *wanted: Cache) -> Iterator[tuple[Photo, str | None]]:
    """Decodes what is not decoded yet, on all cores, a photo once for all caches, of which the first has the most pixels;
    each photo in order, with the reason where it is unreadable."""

    def reason(photo: Photo) -> str | None:
        try:
            missing = [cache for cache in wanted if not cache.has(photo)]
            decoded = image.decode(photo.read(), wanted[0].spec) if missing else None
            for cache in missing:
                cache.put(photo, decoded)
        except PictureError as error:
            return str(error)
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        return None

    photos = tuple(photos)
    with ThreadPoolExecutor(cores()) as pool:
        yield from zip(photos, pool.map(reason, photos), strict=True)


def prune(directory: Path, limit: int) -> int:
    """Removes the files used longest ago until at most `limit` bytes are left; how many went."""
    files = sorted(
        ((path.stat(), path) for path in directory.rglob("*") if path.is_file()), key=lambda f: f[0].st_atime
    )
    # What S3 brought has two names.
    total = sum(status.st_size // status.st_nlink for status, _ in files)
    gone = 0
    for status, path in files:
        if total <= limit:
            break
        path.unlink(missing_ok=True)
        total -= status.st_size // status.st_nlink
        gone += 1
    return gone


def keep(path: Path, data: bytes) -> None:
    """Whole or not at all; a cache that cannot be written is a slow one, not an error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        os.replace(file.name, path)
    except OSError:
        return


def keep_sealed(path: Path, content: bytes) -> None:
    """Behind its own sha256, for what is believed when it is read again."""
    keep(path, hashlib.sha256(content).digest() + content)


def read_sealed(path: Path) -> bytes | None:
    """What was kept, if it is there and unchanged."""
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    return whole[32:] if hashlib.sha256(whole[32:]).digest() == whole[:32] else None
