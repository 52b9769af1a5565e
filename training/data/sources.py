"""Any source of pictures in one form: a folder per class or a zip of one, a list file, a RecordIO file."""

import hashlib
from pathlib import Path

from bundle.errors import DataError
from training.data import archive, folders, lists, records
from training.data.items import Item, Names, Source, spoken

WANTED = "a folder per class, a zip of one, .lst, .csv, .jsonl, .manifest or .rec"


def read(path: Path, *, images: Path | None, names: Names, cache: Path, one_label: bool) -> Source:
    """`images`: where a list's relative names begin, else beside it; `names`: what its numbers mean, where no labels.txt beside it
    says so. Raises DataError."""
    if path.is_dir():
        return folders.read(path)
    if not path.is_file():
        raise DataError(f"{path}: no such folder or file; wanted {WANTED}")
    beside = path.with_name("labels.txt")
    if path.suffix.lower() == ".zip":
        return folders.read(archive.folder(path, cache))
    names = lists.read_names(beside) if beside.is_file() else names
    if path.suffix.lower() == ".rec":
        return _records(path, names)
    reader = lists.reader(path, one_label=one_label)
    if reader is None:
        raise DataError(f"{path}: a file of no kind that is read here; wanted {WANTED}")
    return reader(path, images or path.parent, names)


def _records(path: Path, names: Names) -> Source:
    """Read whole once, for the digests; a record's place stands for it afterwards."""
    items, skipped, wide = [], [], 0
    for record in records.read(path):
        where = f"{path}: byte {record.offset}"
        wide = wide or len(record.labels)
        if len(record.labels) != wide:
            raise DataError(f"{where}: {len(record.labels)} labels, the records before have {wide}; pack them alike")
        if wide == 1 and record.labels[0] != record.labels[0]:
            skipped.append((f"{path} at {record.offset}", "its label is unknown"))
            continue
        present, unknown = lists.numbers(record.labels, names, where)
        digest = hashlib.sha256(record.payload).hexdigest()
        items.append(Item(path=path, offset=record.offset, sha256=digest, labels=present, unknown=unknown, where=where))
    _check_whole(path, len(items) + len(skipped))
    labels = spoken((i.labels[0] for i in items), names) if wide == 1 else names or tuple(map(str, range(wide)))
    return Source(labels=labels, items=tuple(items), skipped=tuple(skipped), names=names, complete=wide == 1)


def _check_whole(path: Path, count: int) -> None:
    """A .rec that was cut between two records looks whole; the .idx beside it knows better. Raises DataError."""
    beside = path.with_suffix(".idx")
    if beside.is_file() and (listed := len(records.offsets(beside))) != count:
        raise DataError(f"{path}: {count} records, but {beside.name} lists {listed}; fetch or pack both again")
