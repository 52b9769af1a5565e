"""The frozen description of one run that learns to write XML: every knob, once."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bundle.image import Preprocess
from training.run import Resize


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What pages and drawings are learned with, where the command line says nothing else."""

    resize: Resize
    d_model: int
    layers: int
    dropout: float
    steps: int
    patience: int


# Measured on 620 pages of pix2code: no mistake after 600 steps, the rest is for disturbed pictures (training/LOG.md).
PAGES = Plan(resize="squash", d_model=96, layers=2, dropout=0.1, steps=2400, patience=6)
# A path has more tokens, of 265 kinds, and there is no end to what can be learned from shapes made anew.
DRAWINGS = Plan(resize="pad", d_model=128, layers=3, dropout=0.05, steps=8000, patience=0)


@dataclass(frozen=True, kw_only=True)
class XmlRun:
    data: Path  # a folder of pairs, or a zip of one
    validation: Path | None  # None: a tenth of `data`, chosen by the pictures' content
    schema: Path | None  # None: the one .rng in `data`
    name: str
    out: Path
    encoder: str  # own, or frozen:mobilenet
    weights: str  # of a frozen encoder: imagenet, or a file
    alpha: float  # its width
    height: int  # of the input, pixels
    width: int
    resize: Resize
    channels: tuple[int, ...]  # of the own encoder's convolutions; all but the last halve the picture
    d_model: int
    heads: int
    layers: int  # of the decoder
    dropout: float
    steps: int  # at most
    batch_size: int
    learning_rate: float  # the highest; it falls to zero by a half cosine
    weight_decay: float
    recompose: float  # share of training pages put together of others' parts, where the schema has bands
    redraw: float  # share of training drawings made anew from their documents, where the schema is one of drawings
    patience: int  # evaluations without a mistake after which the rest of the steps is saved; 0: none is
    collapse: (
        float  # of the validation pictures' different documents, how many different ones must be answered at half time
    )
    seed: int
    golden: Path | None  # a folder of pictures for the golden check; None: some of the data
    photos_in_bundle: bool  # False: golden pictures are drawn, no picture leaves the data
    cache: Path
    cache_bytes: int
    command: str  # for the report

    @property
    def preprocess(self) -> Preprocess:
        return self.spec(1)

    def spec(self, times: int) -> Preprocess:
        """Of pictures so many times as large as the input."""
        return Preprocess(
            height=self.height * times, width=self.width * times, resize=self.resize, resample="bilinear", color="rgb"
        )

    @property
    def key(self) -> str:
        """The same for runs that go the same way; a checkpoint's name."""
        here = {"name", "out", "golden", "photos_in_bundle", "cache", "cache_bytes", "command", "data", "validation"}
        knobs = {name: str(value) for name, value in asdict(self).items() if name not in here}
        return hashlib.sha256(json.dumps(knobs, sort_keys=True).encode()).hexdigest()[:16]
