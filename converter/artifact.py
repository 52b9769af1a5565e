"""What a format gives back to be checked: an exported file, run by its own runtime."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from converter.subject import Subject

Quantize = Literal["fp16", "int8"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One format of one bundle, written into a folder that is empty."""

    subject: Subject
    folder: Path
    quantize: Quantize | None = None  # None: fp32
    calibration: np.ndarray | None = None  # uint8 (n, h, w, 3): what int8 finds its ranges with


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An exported classifier as it stands in its file; nothing here comes from the bundle."""

    path: Path
    runtime: str  # and its version: what runs it
    run: Callable[[np.ndarray], np.ndarray]  # uint8 (n, h, w, 3) -> float32 (n, k)
    labels: tuple[str, ...] | None  # in output order, as the file or its neighbour says; None: the format holds none
    told: Mapping[str, str] | None = None  # what it says about itself, as about.about; None: the format has no place
