"""`make samples`: draws the pictures that the page offers for trying, some that the embedded default is sure of and right about."""

import io
from collections.abc import Iterator
from pathlib import Path

import click
from PIL import Image

from bundle import model, store
from bundle.errors import DataError
from bundle.model import Model
from training import pieces
from training.default import BUNDLES

SAMPLES = BUNDLES.parent / "static" / "samples"

# Looks that differ at a glance.
LABELS = ("hood", "sleeve", "trousers")
# Neither training nor judging has this seed.
SEED, TRIES, SIZE = 7, 400, 192
SURE = 0.95
# They are a part of what the page weighs; most clean drawings have less.
MOST_BYTES, SHADES = 3500, 16


@click.command()
def main() -> None:
    """Writes one picture a label, in the place of those that are there."""
    write(SAMPLES)


def write(folder: Path, bundles: Path = BUNDLES) -> None:
    found = dict(chosen(_default(bundles)))  # all before the first is written
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for label, data in found.items():
        (folder / f"{label}.png").write_bytes(data)
        click.echo(f"{folder / label}.png: {len(data)} bytes")


def chosen(default: Model) -> Iterator[tuple[str, bytes]]:
    """The first picture of each label that is small enough and known for sure. Raises DataError."""
    for label in LABELS:
        drawn = (_png(pieces.picture(label, seed=SEED, index=index, size=SIZE)[1]) for index in range(TRIES))
        known = next((data for data in drawn if len(data) <= MOST_BYTES and _knows(default, label, data)), None)
        if known is None:
            raise DataError(f"none of {TRIES} drawn pictures of {label} is known for sure; train the default again")
        yield label, known


def _knows(default: Model, label: str, data: bytes) -> bool:
    best = default.answer(default.run(default.prepare(data)[None])[0], 1)[0]
    return best["label"] == label and best["probability"] >= SURE


def _default(bundles: Path) -> Model:
    for path in store.find(bundles):
        opened = model.open(path, "onnx")
        if isinstance(opened, Model):
            return opened
    raise DataError(f"{bundles}: no bundle that classifies; make it with: make bundles")


def _png(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.quantize(SHADES).save(data, "PNG", optimize=True)
    return data.getvalue()


if __name__ == "__main__":
    main()
