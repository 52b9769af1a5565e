"""A folder with a folder of pictures for each class."""

from pathlib import Path

from bundle.errors import DataError
from training.data.items import Item, Source

# Files that systems leave in folders; they are not worth a word.
_LITTER = {"thumbs.db", "desktop.ini"}


def read(folder: Path) -> Source:
    """Raises DataError."""
    labels = class_names(folder)
    found = [(path, label) for label in labels for path in _files(folder / label)]
    items = tuple(Item(path=path, labels=(label,), where=str(path)) for path, label in found)
    return Source(labels=labels, items=items, names=labels)  # im2rec numbers the folders in the same order


def class_names(folder: Path) -> tuple[str, ...]:
    """Sub-folder names in order of their characters: the order of a model's outputs. Raises DataError."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; wanted one with a sub-folder of pictures for each class")
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))


def _files(folder: Path) -> list[Path]:
    """At any depth, hidden files and litter left out; whether they are pictures shows when they are decoded."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name.lower() not in _LITTER)
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
