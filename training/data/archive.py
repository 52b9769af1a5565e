"""A zip of a data folder, taken out of its wrapping: only plain files, only inside, only so many bytes."""

import os
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from bundle.errors import DataError
from bundle.store import sha256

MOST_FILES = 400_000
MOST_BYTES = 40 << 30
# Deflate's own limit is about 1,000; XML of many like lines comes to 100.
MOST_RATIO = 300
BLOCK = 1 << 20


def folder(data: Path, cache: Path) -> Path:
    """`data` itself where it is a folder; of a zip the folder that it holds, unpacked once into the cache. Raises DataError."""
    if not data.is_file():
        return data
    target = cache / "unpacked" / sha256(data)[:16]
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=target.parent))
        try:
            _unpack(data, temporary)
            os.replace(temporary, target)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise DataError(f"{data}: no good zip file: {error}; wanted a folder of pairs, or a zip of one") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return _inner(target)


def _inner(target: Path) -> Path:
    """Through folders that hold nothing but one folder, as zips of a folder do."""
    inside = [path for path in target.iterdir() if path.name not in ("__MACOSX", ".DS_Store")]
    return _inner(inside[0]) if len(inside) == 1 and inside[0].is_dir() else target


def _unpack(data: Path, target: Path) -> None:
    left = min(MOST_BYTES, max(1 << 20, data.stat().st_size * MOST_RATIO))
    with zipfile.ZipFile(data) as archive:
        members = archive.infolist()
        if len(members) > MOST_FILES:
            raise DataError(f"{data}: {len(members)} files, at most {MOST_FILES} wanted")
        for member in members:
            path = target / _name(data, member)
            if member.is_dir():
                path.mkdir(parents=True, exist_ok=True)
            else:
                left = _write(archive, member, path, left, data)


def _name(data: Path, member: zipfile.ZipInfo) -> PurePosixPath:
    path = PurePosixPath(member.filename)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in member.filename or not path.parts:
        raise DataError(f"{data}: {member.filename!r} leads out of the folder; pack plain relative names")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(f"{data}: {member.filename!r} is a link or a device; pack the file itself")
    if member.flag_bits & 1:
        raise DataError(f"{data}: {member.filename!r} is encrypted; pack it without a password")
    return path


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, left: int, data: Path) -> int:
    """How many bytes may still come; what the header says of the size is not believed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as packed, path.open("xb") as file:
        while block := packed.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise DataError(f"{data}: it unpacks to more than {MOST_RATIO} times its size; pack only the pairs")
            file.write(block)
    return left
