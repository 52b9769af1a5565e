"""Pictures in S3: each object is fetched once into the cache, by bucket, key, etag and size, and checked as it comes.

What is in the cache is whole, so a run that was broken off goes on where it was. A folder or list that was named is put together of links
into a folder of its own, under the objects' own names.
"""

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from bundle.errors import DataError
from bundle.storage import TRIES, Place, Refused, again, client, place
from training.data import lists
from training.data.items import Item
from training.progress import Progress

SCHEME = "s3://"
# Of one client; more are no faster, since Python signs them one by one.
THREADS = 16
FILES = {".lst", ".csv", ".jsonl", ".ndjson", ".json", ".manifest", ".rec", ".zip"}

# Answers that are about one object alone: it is listed, and the rest goes on.
_ONE = {"404", "NoSuchKey", "403", "AccessDenied", "InvalidObjectState"}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Anything = TypeVar("Anything")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Object:
    place: Place
    etag: str
    size: int  # bytes

    @property
    def digest(self) -> str:
        parts = (self.place.bucket, self.place.key, self.etag, str(self.size))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def local(given: str | Path, cache: Path, progress: Progress) -> Path:
    """Where it can be read: itself, or, of s3://, what it holds: a folder, a list with the pictures that it names below its own folder,
    or a .rec. Raises DataError, BundleError."""
    uri = re.sub("^s3:/+", SCHEME, str(given))  # a Path keeps one slash of the two
    if not uri.startswith(SCHEME):
        return Path(given)
    source = place(uri)
    single = Path(source.name).suffix.lower() in FILES
    root = source.parent if single else source
    prefix = f"{root.key}/" if root.key else ""
    found = {item.place.key.removeprefix(prefix): item for item in _listed(root.bucket, prefix)}
    if single:
        found = _needed(source, found, cache, progress)
    if not found:
        raise DataError(f"{uri}: no objects there; check the name")
    tree = _tree(root, found, cache, progress)
    return tree / source.name if single else tree


def items(items: Sequence[Item], cache: Path, progress: Progress | None) -> tuple[list[Item], list[tuple[str, str]]]:
    """Items with a URI as files of the cache, and those that cannot be had with the reason. Raises DataError, BundleError."""
    remote = [item for item in items if item.uri]
    if not remote:
        return list(items), []
    heads = _each(lambda item: _head(place(item.uri)), remote, "asking", progress)
    objects = [head for head in heads if isinstance(head, Object)]
    files = dict(zip(objects, _named(objects, cache, progress), strict=True))
    come = {
        item.uri: files[head] if isinstance(head, Object) else head for item, head in zip(remote, heads, strict=True)
    }
    there, skipped = [], []
    for item in items:
        found = come.get(item.uri, item.path)
        if isinstance(found, Path):
            there.append(replace(item, path=found))
        else:
            skipped.append((item.uri, f"{item.where}: {found}"))
    return there, skipped


# ---- what is there ---------------------------------------------------------------------------


def _s3() -> Any:
    return client(connections=THREADS)


def _listed(bucket: str, prefix: str) -> list[Object]:
    def step() -> list[Object]:
        pages = _s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        entries = (entry for page in pages for entry in page.get("Contents", ()))
        return [
            Object(Place(bucket, entry["Key"]), entry["ETag"].strip('"'), entry["Size"])
            for entry in entries
            if not entry["Key"].endswith("/")
        ]

    return again(Place(bucket, prefix), step)


def _head(source: Place) -> Object | str:
    """Or why it cannot be had."""
    try:
        answer = again(source, lambda: _s3().head_object(Bucket=source.bucket, Key=source.key))
    except Refused as error:
        return _reason(error)
    return Object(source, answer["ETag"].strip('"'), answer["ContentLength"])


def _needed(source: Place, found: dict[str, Object], cache: Path, progress: Progress) -> dict[str, Object]:
    """The file itself, what explains it, and the pictures that a list names."""
    if source.name not in found:
        raise DataError(f"{source}: no such object; check the name")
    wanted = {source.name, "labels.txt", str(Path(source.name).with_suffix(".idx"))}
    reader = lists.reader(Path(source.name), one_label=False)
    if reader:
        tree = _tree(source.parent, {source.name: found[source.name]}, cache, progress)
        named = reader(tree / source.name, tree, None).items
        wanted |= {item.path.relative_to(tree).as_posix() for item in named if item.path.is_relative_to(tree)}
    return {name: item for name, item in found.items() if name in wanted}


# ---- fetching --------------------------------------------------------------------------------


def _tree(root: Place, found: dict[str, Object], cache: Path, progress: Progress) -> Path:
    """A folder with links to the objects, by their names below `root`; another one whenever any of them has changed."""
    names = sorted(filter(_plain, found))
    for name in sorted(set(found) - set(names)):
        progress.note(f"{root / name} is left out: no plain name for a file")
    tree = _folder(found.values(), cache) / (root.name or root.bucket)
    for name, file in zip(names, _fetched([found[name] for name in names], cache, progress), strict=True):
        if isinstance(file, Path):
            _link(file, tree / name)
        else:
            progress.note(f"{root / name} is left out: {file}")
    return tree


def _named(objects: Sequence[Object], cache: Path, progress: Progress | None) -> list[Path | str]:
    """Files for objects from anywhere, by bucket and key where that is a plain name, or why there is none."""
    folder, come = _folder(objects, cache), _fetched(objects, cache, progress)
    for at, item in enumerate(objects):
        file = come[at]
        if isinstance(file, Path) and _plain(item.place.key):
            come[at] = folder / item.place.bucket / item.place.key
            _link(file, folder / item.place.bucket / item.place.key)
    return come


def _folder(objects: Iterable[Object], cache: Path) -> Path:
    digests = sorted(item.digest for item in objects)
    return cache / "s3" / "trees" / hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


def _plain(name: str) -> bool:
    """Whether it leads to a file in the folder and nowhere else."""
    parts = name.split("/")
    return (
        name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts) and len(max(parts, key=len)) < 200
    )


def _link(file: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            os.link(file, target)
    except FileExistsError:  # another run was quicker, or an object has the name of another's folder
        return
    except OSError:  # a file system without links
        shutil.copyfile(file, target)


def _fetched(objects: Sequence[Object], cache: Path, progress: Progress | None) -> list[Path | str]:
    """A file of the cache for each, or why there is none. Raises DataError where the disk is too small."""
    folder = cache / "s3" / "objects"
    missing = {item: folder / item.digest[:2] / item.digest for item in objects}
    missing = {item: path for item, path in missing.items() if not path.exists()}
    size = sum(item.size for item in missing)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if size > (free := shutil.disk_usage(folder).free):
            raise DataError(
                f"{folder}: {size >> 20} MB to fetch and {free >> 20} MB free; free the disk, or name another with --cache"
            )
        come = _each(lambda pair: _fetch(*pair), list(missing.items()), "fetching", progress)
    except OSError as error:
        if error.errno in _FULL:
            raise DataError(f"{folder}: the disk is full; free it and run again, what was fetched stays") from error
        raise DataError(f"{folder}: cannot be written ({error.strerror}); name another with --cache") from error
    reasons = {item: reason for item, reason in zip(missing, come, strict=True) if reason}
    return [reasons.get(item) or folder / item.digest[:2] / item.digest for item in objects]


def _fetch(item: Object, target: Path) -> str | None:
    """Whole and unchanged or not at all; the reason where it is not."""
    target.parent.mkdir(exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".tmp-", dir=target.parent)
    os.close(handle)
    try:
        for _ in range(TRIES):
            if again(item.place, lambda: _come(item, Path(temporary))):
                os.replace(temporary, target)
                return None
    except Refused as error:
        return _reason(error)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
    return f"it came damaged or changed {TRIES} times"


def _come(item: Object, path: Path) -> bool:
    """Whether what came is what the storage says it is."""
    answer = _s3().get_object(Bucket=item.place.bucket, Key=item.place.key)
    md5, size = hashlib.md5(usedforsecurity=False), 0
    with answer["Body"] as body, path.open("wb") as file:
        while block := body.read(1 << 20):
            file.write(block)
            md5.update(block)
            size += len(block)
    # The etag is the MD5 of what was put in one piece, and not encrypted with a key of one's own.
    plain = len(item.etag) == 32 and "SSECustomerAlgorithm" not in answer and "SSEKMSKeyId" not in answer
    return size == item.size and answer["ETag"].strip('"') == item.etag and (not plain or md5.hexdigest() == item.etag)


def _each(
    step: Callable[[Anything], Result], things: Sequence[Anything], name: str, progress: Progress | None
) -> list[Result]:
    """Several at a time, in order; the first error ends it."""
    if not things:
        return []
    with ThreadPoolExecutor(THREADS) as pool:
        done: Iterator[Result] | Iterable[Result] = pool.map(step, things)
        return list(progress.track(name, done, len(things)) if progress else done)


def _reason(error: Refused) -> str:
    """Raises what is not about this object alone: credentials, the bucket."""
    if error.reason not in _ONE:
        raise error
    return f"the storage says {error.reason}"
