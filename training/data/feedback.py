"""`imago data feedback`: what people said to a server's answers, from its directory or bucket, as one list to train on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bundle import pull, storage
from bundle.errors import DataError
from bundle.storage import Place

# Of an object, which has one line.
MOST_BYTES = 16 << 20


def gather(source: str, target: Path, model: str) -> tuple[int, int]:
    """Writes the list, where a picture's last line counts; how many pictures it has, and how many have none of the labels.

    Raises DataError, BundleError."""
    last: dict[str, dict[str, Any]] = {}
    refs: dict[str, str] = {}
    for row in _remote(storage.place(source), model) if pull.remote(source) else _local(Path(source), target, model):
        digest = row["label-metadata"]["sha256"]
        # Of one who sent the picture it has a suffix, and so is the longer one.
        refs[digest] = max(refs.get(digest, ""), row["source-ref"], key=len)
        last[digest] = {**row, "source-ref": refs[digest]}
    if not last:
        raise DataError(f"{source}: nothing was said to a model {model}; look at what is there, and at --model")
    kept = [row for row in last.values() if row["label"] is not None]
    target.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return len(kept), len(last) - len(kept)


def _local(folder: Path, target: Path, model: str) -> Iterator[dict[str, Any]]:
    """Oldest first; names are made relative to where the list will stand."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; wanted what --feedback names")
    way = os.path.relpath(folder.resolve(), target.resolve().parent)
    for path in sorted(folder.glob(f"{model}.????-??-??.jsonl")):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            row = _row(line, f"{path}: line {number}")
            yield {**row, "source-ref": os.path.normpath(os.path.join(way, row["source-ref"]))}


def _remote(folder: Place, model: str) -> Iterator[dict[str, Any]]:
    s3 = storage.client()
    prefix = (folder / f"{model}.").key
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=folder.bucket, Prefix=prefix)
    keys = storage.again(folder, lambda: [item["Key"] for page in pages for item in page.get("Contents", ())])
    for place in (Place(folder.bucket, key) for key in sorted(keys) if key.endswith(".jsonl")):
        if place.parent.name[: -len(".YYYY-MM-DD")] == model:  # and not another one whose name goes on
            yield _row(storage.read(s3, place, MOST_BYTES).decode(), str(place))


def _row(line: str, where: str) -> dict[str, Any]:
    """Raises DataError."""
    try:
        row: dict[str, Any] = json.loads(line)
        if isinstance(row["source-ref"] + row["label-metadata"]["sha256"], str) and "label" in row:
            return row
    except (ValueError, KeyError, TypeError):
        pass
    raise DataError(f"{where}: no line that the server has written; remove it")
