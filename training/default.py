"""`make bundles`: draws the training pictures and trains the embedded default, a classifier of garment pieces."""

import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click

from bundle.engine import cores
from training import classifier, pieces, report
from training.progress import Progress
from training.run import Run

BUNDLES = Path(__file__).resolve().parent.parent / "server" / "bundles"

# Pictures for each label; drawn anew each time, so that nothing but code is kept. Seeds apart: judges are never trained on.
TRAIN, JUDGES = 3600, 60
DRAWN_SIZE = 128

# What the repository may carry.
MOST_BYTES = 3_000_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        progress = Progress()
        for name, count, seed in (("train", TRAIN, 0), ("judges", JUDGES, 99)):
            with ProcessPoolExecutor(cores()) as pool:
                labels = pool.map(partial(draw, home / name, count, seed), pieces.LABELS)
                for _ in progress.track(f"drawing {name}", labels, len(pieces.LABELS)):
                    pass
        run = described(home)
        result = classifier.main(run, progress)
        report.write(run, result, progress)
        publish(result.bundle)


def draw(folder: Path, count: int, seed: int, label: str) -> None:
    for _ in pieces.write(folder, count=count, seed=seed, size=DRAWN_SIZE, labels=(label,)):
        pass


def described(home: Path) -> Run:
    return Run(
        data=home / "train",
        validation=home / "judges",
        name="pieces",
        out=home / "bundles",
        backbone="mobilenet",
        alpha=0.25,
        size=96,
        resize="pad",  # a drawing is looked at whole
        weights="none",
        epochs=8,
        batch_size=64,
        learning_rate=0.003,
        seed=0,
        golden=None,
        photos_in_bundle=False,
        cache=home / "cache",
        cache_bytes=1 << 34,
        command="make bundles",
    )


def publish(bundle: Path) -> None:
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        sys.exit(f"the bundle has {size} bytes, at most {MOST_BYTES} wanted; nothing was replaced")
    shutil.rmtree(BUNDLES, ignore_errors=True)
    shutil.copytree(bundle.parent, BUNDLES)
    click.echo(f"{BUNDLES / bundle.name}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
