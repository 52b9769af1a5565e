"""Writes an image's digest into the `images:` of a kustomization.yaml by its lines, so that order and comments stay."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OVERLAYS = Path(__file__).resolve().parent.parent / "k8s" / "overlays"
IMAGE = "imago-server"


def find(overlay: str) -> Path:
    """The kustomization.yaml of a folder of k8s/overlays, or of one elsewhere; `pin` will find its entry. Ends the program with a sentence."""
    paths = (OVERLAYS / overlay / "kustomization.yaml", Path(overlay, "kustomization.yaml"))
    path = next((path for path in paths if path.is_file()), None)
    if not path:
        names = sorted(path.parent.relative_to(OVERLAYS).as_posix() for path in OVERLAYS.rglob("kustomization.yaml"))
        sys.exit(f"push: {overlay}: no such overlay; there are {', '.join(names) or 'none'}")
    with _told(path):
        pinned(path.read_text(encoding="utf-8"), "name", "digest", str(path))
    return path


def pin(path: Path, new_name: str, digest: str) -> None:
    """Writes them into the file. Ends the program with a sentence."""
    with _told(path, f"; {new_name}@{digest} is pushed, so push again or write it there"):
        write(path, pinned(path.read_text(encoding="utf-8"), new_name, digest, str(path)))


@contextmanager
def _told(path: Path, more: str = "") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        sys.exit(f"push: {path}: {error.strerror}{more}")


def pinned(text: str, new_name: str, digest: str, where: str) -> str:
    """The text with newName and digest of the entry imago-server; a newTag goes. Ends the program with a sentence."""
    lines = text.splitlines(keepends=True)
    start, end = _entry(lines) or sys.exit(
        f"push: {where}: no entry `- name: {IMAGE}` in a list `images:`; add those two lines"
    )
    entry = _set(lines[start:end], "newName", new_name)
    entry = _set(_renamed(entry, "newTag", "digest"), "digest", digest)
    return "".join([*lines[:start], *entry, *lines[end:]])


def write(path: Path, text: str) -> None:
    """All of it or nothing."""
    path = path.resolve()
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".tmp-", delete=False, encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, path.stat().st_mode & 0o777)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def _entry(lines: list[str]) -> tuple[int, int] | None:
    """Where the image's entry begins and ends: its first line has the dash."""
    inside, start, named = False, 0, False
    for number, line in enumerate([*lines, "end:\n"]):
        top, item = re.match(r"[^\s#-]", line), re.match(r"\s*- ", line)
        if inside and named and (top or item):
            return start, _trimmed(lines, number)
        if top:
            inside = bool(re.fullmatch(r"images:\s*(#.*)?\s*", line))
        elif item:
            start, named = number, False
        named |= bool(re.fullmatch(rf"\s*(- )?name:\s+[\"']?{IMAGE}[\"']?\s*(#.*)?\s*", line))
    return None


def _trimmed(lines: list[str], end: int) -> int:
    """Comments and empty lines before the next entry belong to that."""
    while re.fullmatch(r"\s*(#.*)?\s*", lines[end - 1]):
        end -= 1
    return end


def _renamed(entry: list[str], old: str, new: str) -> list[str]:
    """The line of `old` becomes that of `new`, or goes where there is one."""
    key = re.compile(rf"^(\s*(?:- )?){old}:")
    if any(re.match(rf"\s*(?:- )?{new}:", line) for line in entry):
        return [line for line in entry if not key.match(line)]
    return [key.sub(rf"\g<1>{new}:", line) for line in entry]


def _set(entry: list[str], key: str, value: str) -> list[str]:
    """The value changes and the comment behind it stays; a new key comes last."""
    pattern = re.compile(rf"^(\s*(?:- )?{key}:)[ \t]*[^\s#]*([ \t]+#.*)?$", re.MULTILINE)
    if any(pattern.match(line) for line in entry):
        return [pattern.sub(rf"\g<1> {value}\g<2>", line) for line in entry]
    indent = " " * (entry[0].index("-") + 2)
    last = entry[-1] if entry[-1].endswith("\n") else entry[-1] + "\n"
    return [*entry[:-1], last, f"{indent}{key}: {value}\n"]
