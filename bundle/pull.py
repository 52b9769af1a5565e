"""Where a bundle's URI leads: a directory, or `s3://bucket/folder/NAME-ID8`, which is pulled into a cache; knows no HTTP.

`s3://bucket/folder/NAME.latest` is a text object that holds NAME-ID8: the name that moves. On a disk a link does that.
"""

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle import cache, store
from bundle.errors import BundleError, Unreachable
from bundle.manifest import Manifest, bundle_id, parse_manifest
from bundle.storage import Missing, Place, again, client, names, place, read, save, write

FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}-[0-9a-f]{8}")
LATEST = ".latest"


def remote(uri: str) -> bool:
    return uri.startswith("s3://")


def cache_directory() -> Path:
    """Where pulled bundles lie when no other folder is named. Raises BundleError."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imago" / "bundles"
    except RuntimeError:
        raise BundleError("this user has no home folder; name one for bundles with --bundle-cache") from None


@dataclass(frozen=True)
class Found:
    """What a URI stood for when it was looked at."""

    uri: str
    mark: str  # see `mark`
    path: Path


def find(uri: str, root: Path | None) -> Found:
    """Links are resolved; from s3:// it is pulled where it is not in the cache yet, and old ones leave the cache; None: the user's.

    Raises BundleError.
    """
    seen = mark(uri)  # before the rest, so that no change is overlooked
    return Found(uri, seen, _cached(seen, root or cache_directory()) if remote(uri) else Path(uri).resolve())


def mark(uri: str) -> str:
    """Changes whenever what `uri` stands for does; costs one small request, or a look at a few files. Raises BundleError."""
    if not remote(uri):
        return _looks(Path(uri).resolve())
    found = place(uri)
    return str(pinned(client(), found)) if found.name.endswith(LATEST) else uri


def pull(uri: str, root: Path) -> Path:
    """`root`/NAME-ID8, verified; what is there already is not fetched, and what was changed there is replaced. Raises BundleError."""
    s3 = client()
    source = pinned(s3, place(uri))
    if not FOLDER.fullmatch(source.name):
        raise BundleError(f"{uri}: wanted a bundle's folder NAME-ID8, or NAME{LATEST}; `imago bundle list` shows them")
    content = read(s3, source / "manifest.json", store.MAX_TEXT_BYTES)
    manifest = _checked(content, source)
    target = root / source.name
    try:
        return target if _whole(target, manifest) else _fetch(s3, source, manifest, content, target)
    except OSError as error:
        raise BundleError(
            f"{target}: cannot be written ({error.strerror or error}); free the disk, or name another folder"
        ) from error


def push(directory: Path, uri: str) -> Place:
    """Copies a bundle under the folder `uri`, its manifest last, so that half of one is never taken for a whole. Raises BundleError."""
    manifest, s3 = store.verify(directory), client()
    target = place(uri) / f"{manifest.name}-{manifest.id[:8]}"
    try:
        there = _checked(read(s3, target / "manifest.json", store.MAX_TEXT_BYTES), target)
    except Unreachable:
        raise
    except BundleError as error:
        if not isinstance(error.__cause__, Missing):
            raise
    else:
        if there.id != manifest.id:
            raise BundleError(f"{target}: another bundle has this name; push to another folder")
        return target
    for path in [*sorted(manifest.files), "manifest.json"]:
        write(s3, target / path, directory / path)
    return target


def point(target: Place) -> Place:
    """Lets NAME.latest beside a pushed bundle hold its folder's name."""
    pointer = target.parent / (target.name[:-9] + LATEST)
    s3 = client()
    again(pointer, lambda: s3.put_object(Bucket=pointer.bucket, Key=pointer.key, Body=f"{target.name}\n".encode()))
    return pointer


def folders(uri: str) -> list[tuple[Place, Manifest | BundleError]]:
    """The bundles right under the folder `uri`, by name, one that cannot be read with its reason."""
    s3, folder = client(), place(uri)
    found: list[tuple[Place, Manifest | BundleError]] = []
    for name in again(folder, lambda: sorted(filter(FOLDER.fullmatch, names(s3, folder)))):
        source = folder / name
        try:
            found.append((source, _checked(read(s3, source / "manifest.json", store.MAX_TEXT_BYTES), source)))
        except BundleError as error:
            found.append((source, error))
    return found


def pinned(s3: Any, source: Place) -> Place:
    """NAME.latest followed to the folder that it names; anything else is what it is. Raises BundleError."""
    if not source.name.endswith(LATEST):
        return source
    text = read(s3, source, 200).decode("ascii", "replace").strip()
    if not FOLDER.fullmatch(text) or text[:-9] != source.name.removesuffix(LATEST):
        raise BundleError(
            f"{source}: holds {text[:80]!r}, wanted the name of a folder beside it, NAME-ID8; push it again"
        )
    return source.parent / text


# ---- steps ---------------------------------------------------------------------------------


def _cached(uri: str, root: Path) -> Path:
    """A pinned bundle, in a cache."""
    name = place(uri).name
    if FOLDER.fullmatch(name):
        cache.use(root, name)
    found = pull(uri, root)
    cache.use(root, name)
    cache.prune(root)
    return found


def _looks(root: Path) -> str:
    try:
        seen = [(path, path.lstat()) for path in [root, *sorted(root.rglob("*"))]]
    except OSError as error:
        raise Unreachable(f"{root}: cannot be read now ({error.strerror})") from error
    return "\n".join(f"{path} {status.st_mtime_ns} {status.st_size}" for path, status in seen)


def _checked(content: bytes, source: Place) -> Manifest:
    """Its id is the content's, and the folder's name is its own."""
    where = f"{source}/manifest.json"
    manifest = parse_manifest(content, where)
    if (
        bundle_id(manifest.model_dump(mode="json")) != manifest.id
        or source.name != f"{manifest.name}-{manifest.id[:8]}"
    ):
        raise BundleError(f"{where}: does not belong to this folder's id; push the bundle again")
    return manifest


def _whole(target: Path, manifest: Manifest) -> bool:
    """Whether it is there already. One that was changed is taken away; another bundle of that name is left alone."""
    if not target.exists():
        return False
    try:
        there = store.verify(target)
    except BundleError:
        shutil.rmtree(target)
        return False
    if there.id != manifest.id:
        raise BundleError(f"{target}: another bundle has this name; move it away")
    return True


def _fetch(s3: Any, source: Place, manifest: Manifest, content: bytes, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    size = sum(file.size for file in manifest.files.values())
    if size > shutil.disk_usage(target.parent).free:
        raise BundleError(f"{target.parent}: no room for the {size >> 20} MB of {source.name}; free the disk")
    temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=target.parent))
    try:
        (temporary / "manifest.json").write_bytes(content)
        for path, file in manifest.files.items():
            if not path.isprintable():  # the contract refuses absolute paths and those with ..
                raise BundleError(f"{source}/manifest.json: files: {path!r} is no plain name; push the bundle again")
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            save(s3, source / path, temporary / path, file.size)
        _verify(temporary, source)
        temporary.chmod(0o755)  # mkdtemp makes it private
        return _publish(temporary, target, manifest)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _verify(temporary: Path, source: Place) -> None:
    """Names where a bad file came from: nobody knows the temporary folder."""
    try:
        store.verify(temporary)
    except BundleError as error:
        what = str(error).rpartition("; ")[0].replace(str(temporary), str(source))
        raise BundleError(f"{what}; push the bundle again") from error


def _publish(temporary: Path, target: Path, manifest: Manifest) -> Path:
    try:
        temporary.rename(target)
    except OSError:
        if not _whole(target, manifest):  # another process was quicker
            raise
    return target
