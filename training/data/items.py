"""Pictures with their labels, as a source speaks of them and as training takes them; what numbers in a list mean."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import DataError
from training.data import records

# Number -> name; None where nothing names them, and a number is its own name.
Names = tuple[str, ...] | None


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A picture of a data set, by its place; labels are indices into the set's."""

    path: Path  # the file, or the .rec that holds it
    offset: int | None = None  # of the record in a .rec; None: the file is the photo
    sha256: str  # of the photo's own bytes
    labels: tuple[int, ...]  # those it has, ascending; where a photo has one label, exactly one
    unknown: tuple[int, ...] = ()  # labels nobody looked for: masked, never counted as absent

    def read(self) -> bytes:
        """The encoded picture. Raises OSError, and DataError for a .rec that was changed."""
        return self.path.read_bytes() if self.offset is None else records.read_at(self.path, self.offset).payload

    @property
    def name(self) -> str:
        """For people and reports."""
        return str(self.path) if self.offset is None else f"{self.path} at {self.offset}"

    @property
    def label(self) -> int:
        """The one label of a photo that has one."""
        (label,) = self.labels
        return label


@dataclass(frozen=True, kw_only=True)
class Item:
    """A picture as its source speaks of it; labels are names, which become indices once all sources are read."""

    path: Path
    offset: int | None = None  # of the record in a .rec
    uri: str = ""  # s3://... of a picture that is not here yet
    sha256: str = ""  # where the source has read the bytes already
    labels: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    where: str  # for sentences: the list and its line, or the file


@dataclass(frozen=True, kw_only=True)
class Source:
    labels: tuple[str, ...]  # all that it speaks of, in output order
    items: tuple[Item, ...]
    skipped: tuple[tuple[str, str], ...] = ()  # what it names and cannot be used, and why
    names: Names = None  # what numbers mean in the lists beside it
    complete: bool = True  # labels that it does not speak of are absent; else unknown

    @property
    def multi(self) -> bool:
        return any(len(item.labels) != 1 or item.unknown for item in self.items)


def index(value: float, where: str) -> int:
    """A label's number. Raises DataError."""
    if not value >= 0 or value % 1 != 0:
        raise DataError(f"{where}: label {value:g}, wanted a whole number from 0 on")
    return int(value)


def name(number: int, names: Names, where: str) -> str:
    """Raises DataError for a number that has no name."""
    if names is None:
        return str(number)
    if number >= len(names):
        raise DataError(f"{where}: label {number}, but the labels go from 0 to {len(names) - 1}; add its name to them")
    return names[number]


def hot(values: Sequence[float | None], names: Sequence[str], where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Present and unknown labels of a row with a value for each label: 1, 0, and -1, nan or None for unknown. Raises DataError."""
    if len(values) != len(names):
        raise DataError(f"{where}: values for {len(values)} labels, wanted {len(names)}")
    present, unknown = [], []
    for label, value in zip(names, values, strict=True):
        if value is None or value == -1 or math.isnan(value):
            unknown.append(label)
        elif value == 1:
            present.append(label)
        elif value != 0:
            raise DataError(f"{where}: label {label!r} is {value:g}; wanted 1, 0, or -1 for unknown")
    return tuple(present), tuple(unknown)


def spoken(numbers: Iterable[str], names: Names) -> tuple[str, ...]:
    """The labels of a list of numbers: the names where there are some, else the numbers that occur, in their order."""
    return names or tuple(sorted(set(numbers), key=int))
