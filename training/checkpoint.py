"""Checkpoints of a training loop: arrays and a few numbers in one file, written aside and renamed, so that `kill -9` leaves a whole one.

Keras' BackupAndRestore was tried: it writes over the last checkpoint in place, in two files, and keeps neither the seeds of
Dropout nor the best weights so far.
"""

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.errors import DataError


def save(path: Path, groups: Mapping[str, Sequence[np.ndarray]], state: Any) -> None:
    """`groups` of arrays by name, and a `state` that JSON can write. Raises DataError, e.g. where the disk is full."""
    out = io.BytesIO()
    arrays = {f"{name}_{at}": array for name, group in groups.items() for at, array in enumerate(group)}
    np.savez(out, state=np.array(json.dumps(state)), **arrays)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tmp-", delete=False) as file:
            temporary = file.name
            file.write(out.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise DataError(
            f"{path}: the checkpoint cannot be written: {error.strerror}; make room and run it again"
        ) from None


def load(path: Path, groups: Mapping[str, Sequence[np.ndarray]]) -> tuple[dict[str, list[np.ndarray]], Any] | None:
    """What `save` wrote; None where there is nothing, or not for arrays of the shapes and types in `groups`."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            if len(saved.files) != 1 + sum(map(len, groups.values())):
                return None
            found = {name: [saved[f"{name}_{at}"] for at in range(len(group))] for name, group in groups.items()}
            state = json.loads(str(saved["state"]))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    fits = all(_alike(one, two) for name in groups for one, two in zip(found[name], groups[name], strict=True))
    return (found, state) if fits else None


def _alike(one: np.ndarray, two: np.ndarray) -> bool:
    return (one.shape, one.dtype) == (two.shape, two.dtype)
