"""The folder that servers pull bundles into: which were used when, and which may go; knows no storage.

`.pulled/NAME-ID8` is as old as the last use of the bundle beside it. What has no such file was not put there by a server, and stays.
"""

import contextlib
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

# Of each name: enough to go back, and few enough that a new version a day fills no disk.
KEEP = 5
# Whoever pulls a bundle has verified and loaded it by then. What is loaded needs its files no more.
FLOOR_S = 3600.0
ABANDONED_S = 86_400.0


def use(root: Path, name: str) -> None:
    """Before and after it is pulled; a folder that cannot be written is left as it is."""
    with contextlib.suppress(OSError):
        mark = root / ".pulled" / name
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def prune(root: Path) -> None:
    """Removes all but the `KEEP` bundles of each name that were used last, none of the last hour, and pulls that were broken off."""
    later: Counter[str] = Counter()  # name -> how many of its bundles were used later than the one at hand
    for mark in sorted((root / ".pulled").glob("*"), key=_age_s):
        name, there = mark.name[:-9], (root / mark.name).is_dir()
        later[name] += there
        if (later[name] > KEEP or not there) and _age_s(mark) > FLOOR_S:
            _remove(root / mark.name)
            mark.unlink(missing_ok=True)
    for left in root.glob(".tmp-*"):
        if _age_s(left) > ABANDONED_S:
            shutil.rmtree(left, ignore_errors=True)


def _age_s(path: Path) -> float:
    """Zero for one that another process has just taken away."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _remove(directory: Path) -> None:
    """In one step for whoever looks."""
    with contextlib.suppress(OSError):
        aside = Path(tempfile.mkdtemp(prefix=".tmp-", dir=directory.parent))
        try:
            directory.rename(aside / "bundle")
        finally:
            shutil.rmtree(aside, ignore_errors=True)
