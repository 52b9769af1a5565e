"""A folder with a folder per class: which photos there are, what they are called, and who is kept for validation."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bundle.engine import cores
from bundle.errors import DataError
from bundle.store import sha256

# A fifth of the photos judges the rest, where no validation folder is given.
VALIDATION_SHARE = 0.2

# Files that systems leave in folders; they are not worth a word.
_LITTER = {"thumbs.db", "desktop.ini"}


@dataclass(frozen=True, kw_only=True)
class Photo:
    path: Path
    label: int  # index into the labels
    sha256: str

    def read(self) -> bytes:
        """The encoded picture. Raises OSError."""
        return self.path.read_bytes()

    @property
    def name(self) -> str:
        """For people and reports."""
        return str(self.path)


@dataclass(frozen=True, kw_only=True)
class Photos:
    """A data set: labels in output order, and who trains and who judges."""

    labels: tuple[str, ...]
    train: tuple[Photo, ...]
    validation: tuple[Photo, ...]
    notes: tuple[str, ...]  # sentences for the report
    scores: Literal["softmax", "sigmoid"] = "softmax"
    skipped: tuple[tuple[str, str], ...] = ()  # what was left out, and why

    def truth(self, photos: Sequence[Photo]) -> np.ndarray:
        """int64 (n,) of indices."""
        return np.array([photo.label for photo in photos], np.int64)


def load(data: Path, validation: Path | None) -> Photos:
    """Raises DataError where there is nothing to learn from."""
    labels = class_names(data)
    photos = _scan(data, labels)
    if validation is None:
        train, judges = split(photos)
        return Photos(labels=labels, train=train, validation=judges, notes=tuple(_notes(labels, train, judges)))
    found = class_names(validation)
    strange = sorted(set(found) - set(labels))
    if strange:
        raise DataError(f"{validation}: classes {', '.join(strange)} are not in {data}; rename or remove those folders")
    judges = _scan(validation, labels)
    return Photos(labels=labels, train=photos, validation=judges, notes=tuple(_notes(labels, photos, judges)))


def judging(  # noqa: PLR0913
    data: Path,
    labels: tuple[str, ...],
    scores: Literal["softmax", "sigmoid"],
    *,
    images: Path | None = None,
    cache: Path | None = None,
    progress: Any = None,
) -> Photos:
    """All pictures of a source as `validation`, with the labels of a model that is there already. Raises DataError."""
    strange = sorted(set(class_names(data)) - set(labels))
    if strange:
        raise DataError(f"{data}: classes {', '.join(strange)} are not in the model; rename or remove those folders")
    return Photos(labels=labels, train=(), validation=_scan(data, labels), notes=(), scores=scores)


def class_names(folder: Path) -> tuple[str, ...]:
    """Sub-folder names in order of their characters: the order of a model's outputs. Raises DataError."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; wanted one with a sub-folder of pictures for each class")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    twins = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
    if twins:
        raise DataError(f"{folder}: class {twins[0]!r} is there in several spellings; put its pictures into one folder")
    if len(names) < 2:
        found = f"only the class {names[0]!r}" if names else "no sub-folders"
        raise DataError(f"{folder}: {found}; wanted a sub-folder of pictures for each of at least two classes")
    return tuple(names)


def split(photos: Iterable[Photo]) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
    """Training and validation photos by content alone: adding or renaming photos moves none of the others.

    Every class keeps its photo with the smallest hash for training, so none is judged that was never seen.
    """
    photos = tuple(photos)
    first = {}
    for photo in photos:
        first[photo.label] = min(photo.sha256, first.get(photo.label, photo.sha256), key=_reversed)
    judges = {p for p in photos if int(p.sha256[:8], 16) / 2**32 < VALIDATION_SHARE and p.sha256 != first[p.label]}
    return tuple(p for p in photos if p not in judges), tuple(p for p in photos if p in judges)


def without(photos: Photos, bad: set[Path]) -> Photos:
    """The same set less the unreadable files. Raises DataError where a class or the judges are gone."""
    train = tuple(photo for photo in photos.train if photo.path not in bad)
    judges = tuple(photo for photo in photos.validation if photo.path not in bad)
    left = {photo.label for photo in train}
    empty = [label for at, label in enumerate(photos.labels) if at not in left]
    if empty:
        raise DataError(f"no readable training picture of {', '.join(empty)}; add some, or remove the class's folder")
    if not judges:
        raise DataError("no readable validation picture; add pictures, or name a folder with --validation")
    return Photos(labels=photos.labels, train=train, validation=judges, notes=photos.notes)


def digest(photos: Photos) -> str:
    """sha256 over labels and contents, whatever the files are called."""
    lines = [*photos.labels, "train", *_lines(photos.train), "validation", *_lines(photos.validation)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _lines(photos: Iterable[Photo]) -> list[str]:
    return sorted(f"{photo.label} {photo.sha256}" for photo in photos)


def _reversed(text: str) -> str:
    """Another order than the one that chooses the judges."""
    return text[::-1]


def _scan(folder: Path, labels: tuple[str, ...]) -> tuple[Photo, ...]:
    paths = [(path, at) for at, label in enumerate(labels) for path in _files(folder / label)]
    with ThreadPoolExecutor(cores()) as pool:
        digests = pool.map(lambda item: sha256(item[0]), paths)
        photos = [Photo(path=path, label=at, sha256=sha) for (path, at), sha in zip(paths, digests, strict=True)]
    # By content: neither names nor the order of a file system reach the model.
    return tuple(sorted(photos, key=lambda photo: (photo.label, photo.sha256, str(photo.path))))


def _files(folder: Path) -> list[Path]:
    """At any depth, hidden files and litter left out; whether they are pictures shows when they are decoded."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.rglob("*") if path.is_file() and path.name.lower() not in _LITTER)
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _notes(labels: tuple[str, ...], train: tuple[Photo, ...], judges: tuple[Photo, ...]) -> list[str]:
    notes = []
    seen = {photo.sha256 for photo in train}
    both = sum(photo.sha256 in seen for photo in judges)
    if both:
        notes.append(f"{both} validation pictures are also training pictures: the figures look better than they are")
    by_content: dict[str, set[int]] = {}
    for photo in (*train, *judges):
        by_content.setdefault(photo.sha256, set()).add(photo.label)
    torn = sum(len(where) > 1 for where in by_content.values())
    if torn:
        notes.append(f"{torn} pictures lie in more than one class")
    counts = Counter(photo.label for photo in train)
    few = [f"{label} ({counts[at]})" for at, label in enumerate(labels) if counts[at] < 20]
    if few:
        notes.append(f"fewer than 20 training pictures: {', '.join(few)}")
    return notes
