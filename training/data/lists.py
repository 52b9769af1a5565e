"""Lists of pictures with their labels: im2rec's .lst, CSV, and SageMaker's augmented manifest. A wrong line is named by its number.

.lst: `index<TAB>label<TAB>path`, where label is a class's number; or a column for each label, with 1, 0, and -1 or nan for unknown.
CSV: `filename,labels`, the labels apart by | or ; or a comma, else by blanks, and a third column `unknown` of the same form if need be;
or `filename` and a column for each label, with 1, 0, and nothing for unknown.
Manifest: a JSON object a line, `source-ref` and one more attribute: a number, a list (of 1, 0 and null for each label, or of numbers, as
Ground Truth writes it with its class-map), or an object {label: 1, 0 or null}.
"""

import csv
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bundle.errors import DataError
from training.data.items import Item, Names, Source, hot, index, name, spoken

FILENAMES = {"filename", "file", "image", "path"}
_SEPARATORS = re.compile(r"[|;,]")


def lst(path: Path, images: Path, names: Names) -> Source:
    """Raises DataError."""
    items, skipped = [], []
    wide = 0
    for where, line in _lines(path):
        _, *values, picture = _columns(line, where)
        wide = wide or len(values)
        if len(values) != wide:
            raise DataError(f"{where}: {len(values)} labels, the lines before have {wide}")
        if wide == 1 and math.isnan(values[0]):
            skipped.append((picture, f"{where}: its label is unknown"))
            continue
        present, unknown = numbers(values, names, where)
        items.append(Item(path=images / picture, labels=present, unknown=unknown, where=where))
    if wide == 1:
        labels = spoken((item.labels[0] for item in items), names)
    else:
        labels = names or tuple(str(at) for at in range(wide))
    return Source(labels=labels, items=_once(items), skipped=tuple(skipped), names=names, complete=wide == 1)


def numbers(
    values: tuple[float, ...] | list[float], names: Names, where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Present and unknown labels of im2rec's numbers: one is a class, several are 1, 0, or unknown for each label. Raises DataError."""
    if len(values) == 1:
        return (name(index(values[0], where), names, where),), ()
    return hot(values, names or tuple(str(at) for at in range(len(values))), where)


def _columns(line: str, where: str) -> tuple[Any, ...]:
    """Index, labels and path of a line of a .lst."""
    number, *labels, picture = [cell.strip() for cell in line.split("\t")] if "\t" in line else [line, line]
    if not labels or not picture:
        raise DataError(f"{where}: {line[:60]!r}, wanted INDEX<TAB>LABEL<TAB>PATH")
    if not number.isdecimal():
        raise DataError(f"{where}: index {number[:20]!r}, wanted a whole number from 0 on")
    try:
        return number, *(float(label) for label in labels), picture
    except ValueError:
        raise DataError(f"{where}: labels {' '.join(labels)[:60]!r}, wanted numbers") from None


# ---- CSV -------------------------------------------------------------------------------------


def table(path: Path, images: Path, names: Names, *, one_label: bool) -> Source:
    """`one_label`: a cell is one label, whatever blanks it has. Raises DataError."""
    reader = csv.reader([f"{line}\n" for line in _text(path).splitlines()], strict=True)
    rows = []
    try:
        rows = [(f"{path}: line {reader.line_num}", [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}; wanted cells apart by commas") from None
    rows = [(where, cells) for where, cells in rows if any(cells)]
    head = rows[0][1] if rows else []
    if len(head) < 2 or head[0].lower() not in FILENAMES:
        raise DataError(f"{path}: line 1: {','.join(head)[:60]!r}, wanted filename,labels or filename,LABEL,LABEL,...")
    for where, cells in rows:
        if len(cells) != len(head) or not cells[0]:
            raise DataError(f"{where}: {len(cells)} cells, wanted a filename and {len(head) - 1} more")
    kinds = [cell.lower() for cell in head[1:]]
    if kinds in (["label"], ["labels"], ["labels", "unknown"]):
        return _listed(rows[1:], images, names, one_label)
    return _marked(head[1:], rows, images, names)


def _listed(rows: list[tuple[str, list[str]]], images: Path, names: Names, one_label: bool) -> Source:
    apart = (
        _SEPARATORS if any(_SEPARATORS.search(cell) for _, cells in rows for cell in cells[1:]) else re.compile(r"\s+")
    )

    def labels(cell: str, where: str) -> tuple[str, ...]:
        whole = one_label or cell in (names or ())
        found = [cell] if whole else [part.strip() for part in apart.split(cell) if part.strip()]
        return tuple(_known(label, names, where) for label in found if label)

    items = []
    for where, (picture, present, *rest) in rows:
        unknown = labels(rest[0], where) if rest else ()
        items.append(Item(path=images / picture, labels=labels(present, where), unknown=unknown, where=where))
    used = {label for item in items for label in item.labels + item.unknown}
    return Source(labels=names or tuple(sorted(used)), items=_once(items), names=names)


def _marked(head: list[str], rows: list[tuple[str, list[str]]], images: Path, names: Names) -> Source:
    first, _ = rows[0]
    labels = tuple(_known(label, names, first) for label in head)
    if len(set(labels)) < len(labels) or not all(labels):
        raise DataError(f"{first}: {','.join(head)[:60]!r}, wanted a name of its own for each column")
    items = []
    for where, (picture, *cells) in rows[1:]:
        try:
            values = [float(cell) if cell else None for cell in cells]
        except ValueError:
            raise DataError(
                f"{where}: {','.join(cells)[:60]!r}, wanted 1, 0 or nothing (unknown) for each label"
            ) from None
        present, unknown = hot(values, labels, where)
        items.append(Item(path=images / picture, labels=present, unknown=unknown, where=where))
    # In the order of the given names, where there are some.
    order = tuple(label for label in names if label in labels) if names else labels
    return Source(labels=order, items=_once(items), names=names, complete=False)


def _known(label: str, names: Names, where: str) -> str:
    if names is not None and label not in names:
        raise DataError(
            f"{where}: label {label!r} is not among the {len(names)} given ones; add it to them, or mend the line"
        )
    return label


# ---- manifest --------------------------------------------------------------------------------


def manifest(path: Path, images: Path, names: Names) -> Source:
    """Raises DataError."""
    rows = [(where, *_attributes(line, where)) for where, line in _lines(path)]
    hots = [value for _, _, value, _ in rows if isinstance(value, list)]
    # What Ground Truth writes has a class-map; without, values for each label are SageMaker's own default.
    ids = any(maps for *_, maps in rows) or len({len(value) for value in hots}) > 1 or not all(map(_is_hot, hots))
    maps: dict[str, str] = {}
    items, skipped = [], []
    for where, ref, value, given in rows:
        for key, label in given.items():
            if maps.setdefault(key, label) != label:
                raise DataError(f"{where}: class {key} is {label!r} here and {maps[key]!r} before")
        if value is None:
            skipped.append((ref, f"{where}: its label is unknown"))
            continue
        present, unknown = _meant(value, ids, names, where)
        remote = ref if ref.startswith("s3://") else ""
        items.append(Item(path=images / ref, uri=remote, labels=present, unknown=unknown, where=where))
    renamed = [_renamed(item, maps, names) for item in items]
    used = {label for item in renamed for label in item.labels + item.unknown}
    if hots and not ids and names is None:
        used |= {str(at) for at in range(len(hots[0]))}
    order = tuple(dict.fromkeys([*(maps[key] for key in sorted(maps, key=_numeric)), *sorted(used, key=_numeric)]))
    whole = not any(isinstance(value, dict) for _, _, value, _ in rows)
    return Source(labels=names or order, items=_once(renamed), skipped=tuple(skipped), names=names, complete=whole)


def _attributes(line: str, where: str) -> tuple[str, Any, dict[str, str]]:
    """The picture's address, the label attribute's value, and what its metadata says of numbers."""
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: no JSON: {error}") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: {line[:60]!r}, wanted an object with source-ref and a label")
    keys = [key for key in row if key not in ("source-ref", "image-ref") and not key.endswith("-metadata")]
    ref = row.get("source-ref", row.get("image-ref"))
    if not isinstance(ref, str) or not ref or len(keys) != 1:
        raise DataError(f"{where}: attributes {', '.join(row)}; wanted source-ref and one label attribute")
    value, metadata = row[keys[0]], row.get(f"{keys[0]}-metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    maps = metadata.get("class-map") or {}
    if not maps and isinstance(metadata.get("class-name"), str) and isinstance(value, int | str):
        return ref, value, {str(value): metadata["class-name"]}
    if not isinstance(maps, dict) or not all(isinstance(label, str) for label in maps.values()):
        raise DataError(f"{where}: class-map {json.dumps(maps)[:60]}, wanted an object of number: label")
    return ref, value, maps


def _is_hot(values: list[Any]) -> bool:
    return len(values) > 1 and all(
        value is None or (value in (0, 1) and not isinstance(value, str)) for value in values
    )


def _meant(value: Any, ids: bool, names: Names, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Present and unknown labels, numbers as their own names where nothing names them."""
    if isinstance(value, dict):
        if not all(mark is None or isinstance(mark, int | float) for mark in value.values()):
            raise DataError(f"{where}: {json.dumps(value)[:60]}, wanted 1, 0 or null for each label")
        return hot(list(value.values()), [_known(label, names, where) for label in value], where)
    if isinstance(value, list) and not ids:
        return hot(value, names or tuple(str(at) for at in range(len(value))), where)
    return tuple(
        dict.fromkeys(_label(one, names, where) for one in (value if isinstance(value, list) else [value]))
    ), ()


def _label(value: Any, names: Names, where: str) -> str:
    if isinstance(value, str) and not value.isdecimal():
        return _known(value, names, where)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise DataError(f"{where}: label {json.dumps(value)[:60]}, wanted a number, a name, a list of them, or null")
    return name(index(float(value), where), names, where)


def _renamed(item: Item, maps: dict[str, str], names: Names) -> Item:
    """With the manifest's own names for its numbers, unless others were given."""
    if names is not None or not maps:
        return item
    labels, unknown = (tuple(maps.get(label, label) for label in part) for part in (item.labels, item.unknown))
    return Item(path=item.path, uri=item.uri, labels=labels, unknown=unknown, where=item.where)


def _numeric(label: str) -> tuple[int, str]:
    return (int(label), "") if label.isdecimal() else (1 << 62, label)


# ---- any list --------------------------------------------------------------------------------


def read_names(path: Path) -> tuple[str, ...]:
    """Label names, one a line, in order of their numbers. Raises DataError."""
    names = tuple(line.strip() for line in _text(path).splitlines() if line.strip())
    if not names or len(set(names)) < len(names):
        raise DataError(
            f"{path}: {'a name is there twice' if names else 'empty'}; wanted the labels' names, one a line"
        )
    return names


def reader(path: Path, *, one_label: bool) -> Callable[[Path, Path, Names], Source] | None:
    """What reads a list of this name; None: it is none."""
    kinds = {".lst": lst, ".jsonl": manifest, ".ndjson": manifest, ".json": manifest, ".manifest": manifest}
    if path.suffix.lower() == ".csv":
        return lambda path, images, names: table(path, images, names, one_label=one_label)
    return kinds.get(path.suffix.lower())


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each line that is not blank, and where it is."""
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            yield f"{path}: line {number}", line.rstrip("\r")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}: line {line}: not UTF-8; save the file as UTF-8") from None


def _once(items: list[Item]) -> tuple[Item, ...]:
    """A picture that is listed twice alike counts once. Raises DataError where the labels differ."""
    first: dict[str | Path, Item] = {}
    for item in items:
        other = first.setdefault(item.uri or item.path, item)
        if (set(other.labels), set(other.unknown)) != (set(item.labels), set(item.unknown)):
            raise DataError(
                f"{item.where}: {item.path.name} has other labels than at {other.where}; keep one line a picture"
            )
    return tuple(first.values())
