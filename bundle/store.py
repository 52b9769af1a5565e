"""Bundles on disk: read and verify one, list many, tell two apart."""

import hashlib
import os
import stat
from pathlib import Path

from bundle.errors import BundleError
from bundle.manifest import Manifest, bundle_id, parse_manifest

# Checked before anything is read: a manifest or label file is never this large.
MAX_TEXT_BYTES = 16 << 20


def read_manifest(directory: Path) -> Manifest:
    """The manifest, checked against its own id; the files it names are not looked at (see `verify`)."""
    if not directory.is_dir():
        raise BundleError(f"{directory}: no such bundle directory; `imago bundle list DIR` shows what is there")
    path = directory / "manifest.json"
    manifest = parse_manifest(read_file(directory, "manifest.json"), str(path))
    found = bundle_id(manifest.model_dump(mode="json"))
    if found != manifest.id:
        raise BundleError(f"{path}: id is {manifest.id[:8]} but the content gives {found[:8]}; fetch the bundle again")
    return manifest


def verify(directory: Path) -> Manifest:
    """Every file is there, regular, unchanged, and nothing else is. Raises BundleError naming the first that is not."""
    manifest = read_manifest(directory)
    wanted = {**manifest.files}
    for path in _walk(directory):
        if path == "manifest.json":
            continue
        if path not in wanted:
            raise BundleError(f"{directory / path}: not in the manifest; remove it or fetch the bundle again")
        expected = wanted.pop(path)
        size = (directory / path).stat().st_size
        if size != expected.size:
            raise BundleError(f"{directory / path}: {size} bytes, {expected.size} wanted; fetch the bundle again")
        if sha256(directory / path) != expected.sha256:
            raise BundleError(f"{directory / path}: its content was changed (sha256 differs); fetch the bundle again")
    if wanted:
        raise BundleError(f"{directory / min(wanted)}: missing; fetch the bundle again")
    if manifest.kind == "classifier" and len(labels := read_labels(directory)) != manifest.labels:
        raise BundleError(
            f"{directory / 'labels.txt'}: {len(labels)} labels, {manifest.labels} wanted by manifest.json; write the bundle again"
        )
    return manifest


def read_labels(directory: Path) -> tuple[str, ...]:
    """One label a line, in output order. Raises BundleError."""
    path = directory / "labels.txt"
    try:
        text = read_file(directory, "labels.txt").decode()
    except UnicodeDecodeError:
        raise BundleError(f"{path}: not UTF-8; save it as UTF-8, one label a line") from None
    labels = tuple(text.removesuffix("\n").split("\n"))
    seen: set[str] = set()
    for number, label in enumerate(labels, start=1):
        if not label.strip() or label in seen:
            raise BundleError(f"{path}: line {number}: {label!r} is empty or there twice; one label a line, each once")
        seen.add(label)
    return labels


def read_file(directory: Path, path: str) -> bytes:
    """A small file of a bundle: regular, no link, at most 16 MiB."""
    full = directory / path
    try:
        status = full.lstat()
    except FileNotFoundError:
        raise BundleError(
            f"{full}: missing; is {directory} a bundle? `imago bundle list DIR` shows those there are"
        ) from None
    _check_regular(full, status)
    if status.st_size > MAX_TEXT_BYTES:
        raise BundleError(f"{full}: {status.st_size} bytes, at most {MAX_TEXT_BYTES} wanted; fetch the bundle again")
    return full.read_bytes()


def find(root: Path) -> list[Path]:
    """The bundle directories at or right under `root`, by name; what is being written (.tmp-*) is none yet."""
    if not root.is_dir():
        raise BundleError(f"{root}: no such directory")
    if (root / "manifest.json").exists():
        return [root]
    return sorted(
        path for path in root.iterdir() if not path.name.startswith(".") and (path / "manifest.json").is_file()
    )


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(directory: Path) -> list[str]:
    """Relative paths of all files, links and odd files refused."""
    paths = []
    for folder, names, files in os.walk(directory):
        for name in sorted(names) + sorted(files):
            full = Path(folder, name)
            status = full.lstat()
            if not stat.S_ISDIR(status.st_mode) or not any(full.iterdir()):  # an empty folder is a stranger too
                _check_regular(full, status)
                paths.append(full.relative_to(directory).as_posix())
    return sorted(paths)


def _check_regular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise BundleError(f"{path}: a link; a bundle holds plain files only, copy the file in its place")
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"{path}: not a plain file; remove it or fetch the bundle again")
