"""Which bundles of a folder, on a disk or in S3, may go, and their removal; never one that a moving name or a person still uses.

Only what a sound manifest names is removed: half a bundle, and what is no bundle at all, stays and is told.
"""

import contextlib
import re
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from bundle import store
from bundle.errors import BundleError
from bundle.manifest import Manifest
from bundle.pull import FOLDER, LATEST, folders, pinned, remote
from bundle.storage import Place, client, delete, modified, objects, place

_USED = re.compile(r"(?:.+-)?([0-9a-f]{8,64})")


@dataclass(frozen=True)
class Row:
    """A bundle of the folder; `stays` is why, and empty where it may go. Without a manifest it always stays."""

    where: Place | Path
    at: float  # seconds since 1970: when its manifest was written
    manifest: Manifest | None
    stays: str = ""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.manifest.files.values()) if self.manifest else 0


def plan(root: str, *, keep: int, older_than_days: float = 0, used: Collection[str] = ()) -> list[Row]:
    """The bundles right under `root`, by name, the newest of each first. `used`: NAME-ID8, ids, or whole URIs. Raises BundleError."""
    if remote(root):
        rows, names = _in_s3(place(root))
    else:
        rows, names = _on_disk(Path(root))
    held = dict.fromkeys(names, "a name that moves points to it") | _used(root, used, rows)
    rows.sort(key=lambda row: (row.where.name[:-9], -row.at, row.where.name))
    return _decided(rows, held, keep=keep, youngest=time.time() - 86_400 * older_than_days)


def remove(row: Row) -> None:
    """The manifest first, so that half of one is never taken for a whole; what it does not name stays. Raises BundleError."""
    if row.manifest is None:
        raise BundleError(f"{row.where}: no sound manifest says what belongs to it; remove it by hand")
    paths = ["manifest.json", *sorted(row.manifest.files)]
    if isinstance(row.where, Place):
        for path in paths:
            delete(client(), row.where / path)
    else:
        _remove_files(row.where, paths)


# ---- steps ---------------------------------------------------------------------------------


def _decided(rows: list[Row], held: dict[str, str], *, keep: int, youngest: float) -> list[Row]:
    newer: Counter[str] = Counter()  # name -> bundles that were newer than the one at hand
    decided = []
    for row in rows:
        why = row.stays or held.get(row.where.name, "")
        if row.manifest:
            newer[row.manifest.name] += 1
            if not why and newer[row.manifest.name] <= keep:
                why = f"of the newest {keep}"
            if not why and row.at > youngest:
                why = "not old enough"
        decided.append(replace(row, stays=why))
    return decided


def _used(root: str, used: Collection[str], rows: list[Row]) -> dict[str, str]:
    """A slip of the pen must not cost a bundle: an id that is not in the folder is refused. URIs are copied, and old ones may be gone."""
    held: dict[str, str] = {}
    for given in (one for several in used for one in several.split(",")):
        folder, _, name = given.strip().rstrip("/").rpartition("/")
        if name.endswith(LATEST) or (folder and folder != root.rstrip("/")):
            continue  # looked at anyway, or elsewhere
        found = _USED.fullmatch(name)
        if not found:
            raise BundleError(f"--used {given}: wanted an id of 8 hex digits or more, NAME-ID8, or a URI that ends so")
        here = [row for row in rows if _meant(row, name, found[1])]
        if not here and not folder:
            raise BundleError(f"--used {given}: not in {root}, nothing was removed; `imago bundle list` shows its ids")
        held |= {row.where.name: "in use" for row in here}
    return held


def _meant(row: Row, name: str, digits: str) -> bool:
    whole = row.manifest.id if row.manifest else row.where.name[-8:]
    return (name in (digits, row.where.name)) and whole.startswith(digits)


def _in_s3(folder: Place) -> tuple[list[Row], set[str]]:
    """Its bundles, and the names that *.latest hold."""
    s3 = client()
    names = {pinned(s3, folder / name).name for name in objects(s3, folder) if name.endswith(LATEST)}
    rows = []
    for source, found in folders(str(folder)):
        if isinstance(found, BundleError):
            rows.append(Row(source, 0, None, str(found)))
        else:
            rows.append(Row(source, modified(s3, source / "manifest.json"), found))
    return rows, names


def _on_disk(folder: Path) -> tuple[list[Row], set[str]]:
    """Its bundles, and the names that links in it lead to."""
    if not folder.is_dir():
        raise BundleError(f"{folder}: no such directory")
    links = [path for path in folder.iterdir() if path.is_symlink()]
    targets = [path.resolve() for path in links]
    names = {target.name for target in targets if target.parent == folder.resolve()}
    found = (path for path in folder.iterdir() if FOLDER.fullmatch(path.name) and path.is_dir())
    return [_row(path) for path in found if path not in links], names


def _row(path: Path) -> Row:
    try:
        manifest = store.read_manifest(path)
        if path.name != f"{manifest.name}-{manifest.id[:8]}":
            raise BundleError(f"{path}/manifest.json: does not belong to this folder's id; it was renamed")
        return Row(path, (path / "manifest.json").stat().st_mtime, manifest)
    except BundleError as error:
        return Row(path, 0, None, str(error))


def _remove_files(folder: Path, paths: list[str]) -> None:
    try:
        for path in paths:
            (folder / path).unlink(missing_ok=True)
    except OSError as error:
        raise BundleError(f"{folder}: cannot be removed ({error.strerror}); see who may write there") from error
    parents = {parent for path in paths for parent in (folder / path).parents if parent.is_relative_to(folder)}
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        with contextlib.suppress(OSError):  # a stranger's file is in it
            parent.rmdir()
