"""A data set of pictures and their labels: who trains, who judges, who is left out and why."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from bundle.engine import cores
from bundle.errors import DataError
from bundle.store import sha256
from training.data import lists, s3, sources
from training.data.cache import default_directory
from training.data.items import Item, Names, Photo, Source
from training.data.split import alike_in_both, split
from training.progress import Progress

__all__ = ["Photo", "Photos", "Reading", "decoded", "digest", "judging", "load"]

Scores = Literal["softmax", "sigmoid"]
Skipped = tuple[tuple[str, str], ...]

# Fewer training pictures than this of a label are spoken of.
FEW = 20


@dataclass(frozen=True, kw_only=True)
class Photos:
    """A data set: labels in output order, and who trains and who judges; `test` judges once, at the end."""

    labels: tuple[str, ...]
    scores: Scores  # softmax: a photo has one label; sigmoid: any number of them
    train: tuple[Photo, ...]
    validation: tuple[Photo, ...]
    test: tuple[Photo, ...] = ()
    chosen: bool = False  # validation was chosen from the data, by content
    empty: tuple[str, ...] = ()  # labels of the data without a training picture: the model will not know them
    notes: tuple[str, ...] = ()  # sentences for the report
    skipped: Skipped = ()  # what was left out, and why

    @property
    def everything(self) -> tuple[Photo, ...]:
        return self.train + self.validation + self.test

    def truth(self, photos: Sequence[Photo]) -> np.ndarray:
        """int64 (n,) of indices; with scores sigmoid float32 (n, k) of 1, 0, and NaN where unknown."""
        if self.scores == "softmax":
            return np.array([photo.label for photo in photos], np.int64)
        marks = np.zeros((len(photos), len(self.labels)), np.float32)
        for row, photo in zip(marks, photos, strict=True):
            row[list(photo.labels)] = 1
            row[list(photo.unknown)] = np.nan
        return marks


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How sources are read; as in Run."""

    images: Path | None = None
    labels: Path | None = None
    multi_label: bool | None = None
    cache: Path = field(default_factory=default_directory)
    progress: Progress | None = None


def load(data: Path, validation: Path | None = None, *, test: Path | None = None, how: Reading | None = None) -> Photos:
    """What the sources say, before any picture is decoded; see `decoded`. Raises DataError where there is nothing to learn from."""
    how = how or Reading()
    given = lists.read_names(how.labels) if how.labels else None
    first = _read(data, given, how)
    paths = {"train": data, "validation": validation, "test": test}
    # What numbers mean in the training list, they mean in the others.
    found = {name: _read(path, first.names, how) for name, path in paths.items() if path and name != "train"}
    found = {"train": first, **found}
    labels = given or first.labels
    multi = any(source.multi for source in found.values()) if how.multi_label is None else how.multi_label
    if len(labels) < (1 if multi else 2):
        only = f"only the class {labels[0]!r}" if labels else "no sub-folders" if data.is_dir() else "no pictures"
        raise DataError(f"{data}: {only}; wanted at least two classes, a sub-folder of pictures for each or a list")
    _check_spelling(data, labels)
    sets, skipped = {}, []
    for name, source in found.items():
        _check_labels(paths[name] or data, source, labels, how.labels or data)
        sets[name], left = _photos(paths[name] or data, source, labels, multi, how)
        skipped += left
    said = Photos(
        labels=labels,
        scores="sigmoid" if multi else "softmax",
        train=sets["train"],
        validation=sets.get("validation", ()),
        test=sets.get("test", ()),
        chosen=validation is None,
        skipped=tuple(skipped),
    )
    return decoded(said, (), {})


def judging(data: Path, labels: tuple[str, ...], scores: Scores, how: Reading) -> Photos:
    """All pictures of a source as `validation`, with the labels of a model that is there already. Raises DataError."""
    multi = scores == "sigmoid"
    source = _read(data, labels, replace(how, multi_label=multi))
    _check_labels(data, source, labels, Path("the model"))
    photos, skipped = _photos(data, source, labels, multi, how)
    if not photos:
        raise DataError(_none(data, skipped))
    return Photos(labels=labels, scores=scores, train=(), validation=photos, skipped=tuple(skipped))


def decoded(photos: Photos, skipped: Iterable[tuple[Photo, str]], small: Mapping[str, np.ndarray]) -> Photos:
    """The same once the pictures are decoded: unreadable ones are out, labels without a training picture too, and what looks alike is on
    one side. `small`: sha256 -> thumbnail (see training/data/cache.py). Raises DataError where nobody is left to train or to judge."""
    reasons = dict(skipped)
    left = [tuple(p for p in part if p not in reasons) for part in (photos.train, photos.validation, photos.test)]
    names = tuple((photo.name, reason) for photo, reason in reasons.items())
    learned = {label for part in left[: 2 if photos.chosen else 1] for photo in part for label in photo.labels}
    kept = [at for at in range(len(photos.labels)) if at in learned]
    gone = tuple(label for at, label in enumerate(photos.labels) if at not in learned)
    if len(kept) < (1 if photos.scores == "sigmoid" else 2):
        seen = "; ".join([f"no readable training picture of {', '.join(gone)}", *(_first(photos.skipped + names))])
        raise DataError(f"{seen}; wanted some of each class, and at least two classes")
    if gone:
        left, strangers = _without(left, photos, kept)
        names += strangers
    train, judges, tests = left
    if photos.chosen:
        train, judges = split(sorted((*train, *judges), key=_order), small, len(kept))
    if not judges:
        raise DataError("no readable validation picture; add pictures, or name some with --validation")
    done = replace(
        photos,
        labels=tuple(photos.labels[at] for at in kept),
        train=train,
        validation=judges,
        test=tests,
        empty=photos.empty + gone,
        skipped=photos.skipped + names,
    )
    return replace(done, notes=tuple(_notes(done, small)))


def digest(photos: Photos) -> str:
    """sha256 over labels, unknowns and contents of what trains and what chooses, whatever the files are called."""
    parts = [photos.scores, *photos.labels, "train", *_lines(photos.train), "validation", *_lines(photos.validation)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _lines(photos: Iterable[Photo]) -> list[str]:
    return sorted(f"{photo.labels} {photo.unknown} {photo.sha256}" for photo in photos)


# ---- from items to photos --------------------------------------------------------------------


def _read(path: Path, names: Names, how: Reading) -> Source:
    here, images = (one and s3.local(one, how.cache, how.progress or Progress()) for one in (path, how.images))
    return sources.read(here or path, images=images, names=names, cache=how.cache, one_label=how.multi_label is False)


def _photos(
    path: Path, source: Source, labels: tuple[str, ...], multi: bool, how: Reading
) -> tuple[tuple[Photo, ...], list[tuple[str, str]]]:
    """Of a source's items, by content: neither names nor the order of a file system reach the model; and what it cannot use."""
    items, skipped = s3.items(source.items, how.cache, how.progress)
    known = [_indexed(item, source, labels, multi) for item in items]
    with ThreadPoolExecutor(cores()) as pool:
        read = list(pool.map(partial(_photo, len(labels)), items, known))
    photos = [photo for photo in read if isinstance(photo, Photo)]
    skipped = [*source.skipped, *skipped, *(line for line in read if not isinstance(line, Photo))]
    if source.items and not photos:
        raise DataError(_none(path, skipped))
    return tuple(sorted(photos, key=_order)), skipped


def _photo(count: int, item: Item, known: tuple[tuple[int, ...], tuple[int, ...]]) -> Photo | tuple[str, str]:
    labels, unknown = known
    if len(unknown) == count:
        return str(item.path), f"{item.where}: all its labels are unknown"
    try:
        digest = item.sha256 or sha256(item.path)
    except (OSError, ValueError) as error:  # the latter for a name that no file can have
        return str(item.path), f"{item.where}: cannot be read: {getattr(error, 'strerror', None) or error}"
    return Photo(path=item.path, offset=item.offset, sha256=digest, labels=labels, unknown=unknown)


def _indexed(
    item: Item, source: Source, labels: tuple[str, ...], multi: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of the labels that it has, and of those that nobody looked for. Raises DataError."""
    if not multi:
        if len(item.labels) != 1:
            found = f"{len(item.labels)} labels ({', '.join(item.labels)})" if item.labels else "no label"
            raise DataError(f"{item.where}: {found}, wanted one; pictures with several need --multi-label")
        return (labels.index(item.labels[0]),), ()
    unsaid = set() if source.complete else set(labels) - set(source.labels)
    unknown = (set(item.unknown) | unsaid) - set(item.labels)
    return tuple(at for at, label in enumerate(labels) if label in item.labels), tuple(
        at for at, label in enumerate(labels) if label in unknown
    )


def _check_labels(path: Path, source: Source, labels: tuple[str, ...], home: Path) -> None:
    strange = sorted(set(source.labels) - set(labels))
    if strange:
        where = next((item.where for item in source.items if strange[0] in item.labels + item.unknown), str(path))
        raise DataError(f"{where}: classes {', '.join(strange)} are not in {home}; rename or remove them")


def _check_spelling(data: Path, labels: Iterable[str]) -> None:
    twins = [label for label, count in Counter(label.casefold() for label in labels).items() if count > 1]
    if twins:
        raise DataError(f"{data}: class {twins[0]!r} is there in several spellings; give its pictures one")


def _order(photo: Photo) -> tuple[tuple[int, ...], str, str, int]:
    return photo.labels, photo.sha256, str(photo.path), photo.offset or 0


def _first(skipped: Skipped) -> list[str]:
    return [f"the first of {len(skipped)} left out: {skipped[0][0]}: {skipped[0][1]}"] if skipped else []


def _none(path: Path, skipped: Sequence[tuple[str, str]]) -> str:
    return "; ".join(
        [f"{path}: no picture that can be read", *_first(tuple(skipped)), "--images says where names begin"]
    )


# ---- what is left ----------------------------------------------------------------------------


def _without(
    parts: list[tuple[Photo, ...]], photos: Photos, kept: list[int]
) -> tuple[list[tuple[Photo, ...]], tuple[tuple[str, str], ...]]:
    """The sets with the labels that are left, by their new indices; who has none of them goes where a photo has one label."""
    new = {old: at for at, old in enumerate(kept)}
    left, strangers = [], []
    for part in parts:
        changed = []
        for photo in part:
            labels = tuple(new[label] for label in photo.labels if label in new)
            unknown = tuple(new[label] for label in photo.unknown if label in new)
            if photos.scores == "softmax" and not labels:
                strangers.append((photo.name, f"no training picture of {photos.labels[photo.label]}"))
            else:
                changed.append(replace(photo, labels=labels, unknown=unknown))
        left.append(tuple(changed))
    return left, tuple(strangers)


def _notes(photos: Photos, small: Mapping[str, np.ndarray]) -> list[str]:
    notes = []
    if photos.empty:
        notes.append(f"no training picture of {', '.join(photos.empty)}: the model will not know them")
    for name, judges in (("validation", photos.validation), ("test", photos.test)):
        both = 0 if photos.chosen and name == "validation" else alike_in_both(photos.train, judges, small)
        if both:
            notes.append(
                f"{both} {name} pictures are also training pictures, or nearly: the figures look better than they are"
            )
    by_content: dict[str, set[tuple[int, ...]]] = {}
    for photo in photos.train + photos.validation:
        by_content.setdefault(photo.sha256, set()).add(photo.labels)
    torn = sum(len(where) > 1 for where in by_content.values())
    if torn:
        notes.append(f"{torn} pictures lie in more than one class")
    counts = Counter(label for photo in photos.train for label in photo.labels)
    few = [f"{label} ({counts[at]})" for at, label in enumerate(photos.labels) if counts[at] < FEW]
    if few:
        notes.append(f"fewer than {FEW} training pictures: {', '.join(few)}")
    return notes
