"""The frozen description of one training run: every knob, once, for the command line, the tuner and the launcher."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundle.image import Preprocess

Backbone = Literal["mobilenet", "inception_v3", "resnet50"]
Resize = Literal["squash", "crop", "pad"]


@dataclass(frozen=True, kw_only=True)
class Run:
    data: Path
    validation: Path | None  # None: a fifth of `data`, chosen by file content
    name: str
    out: Path
    backbone: Backbone
    alpha: float  # width of a MobileNet; 1.0 elsewhere
    size: int  # pixels, both sides
    resize: Resize
    weights: str  # imagenet, none, or a file
    epochs: int  # of training from scratch
    batch_size: int
    learning_rate: float  # the highest; it falls to zero by a half cosine
    seed: int
    golden: Path | None  # a folder of pictures for the golden check; None: some of the data
    photos_in_bundle: bool  # False: golden pictures are drawn, no photo leaves the data
    cache: Path
    cache_bytes: int
    command: str  # for the report

    @property
    def preprocess(self) -> Preprocess:
        return Preprocess(height=self.size, width=self.size, resize=self.resize, resample="bilinear", color="rgb")


def name_of(folder: Path) -> str:
    """A bundle's name from its data: the folder's, or its parent's where that is called train."""
    resolved = folder.resolve()
    chosen = resolved.parent.name if resolved.name.lower() in ("train", "training") else resolved.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", chosen).strip("-._")[:64] or "pictures"
