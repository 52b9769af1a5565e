"""`make bundles`: draws the training pictures and trains the embedded default, a classifier of garment pieces."""

import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click

from bundle import store
from bundle.engine import cores
from training import classifier, pieces, report
from training.progress import Progress
from training.run import Run

BUNDLES = Path(__file__).resolve().parent.parent / "server" / "bundles"

# Pictures for each label; drawn anew each time, so that nothing but code is kept. Seeds apart: judges are never trained on.
TRAIN, JUDGES = 3600, 60
DRAWN_SIZE = 128

# What the repository may carry, by kind.
MOST_BYTES = {"classifier": 3_000_000, "xml": 4_000_000}


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
        report.write(result, report.beside(run.out, result))
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


def publish(bundle: Path, folder: Path = BUNDLES) -> None:
    """Takes the place of the one of its kind; that of the other kind stays."""
    kind = store.read_manifest(bundle).kind
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    if size > MOST_BYTES[kind]:
        sys.exit(f"the bundle has {size} bytes, at most {MOST_BYTES[kind]} wanted; nothing was replaced")
    for old in store.find(folder) if folder.is_dir() else []:
        if store.read_manifest(old).kind == kind:
            shutil.rmtree(old)
            shutil.rmtree(_report(old), ignore_errors=True)
    for new in (bundle, _report(bundle)):
        if new.is_dir():
            shutil.copytree(new, folder / new.name, dirs_exist_ok=True)
    click.echo(f"{folder / bundle.name}: {size / 1e6:.1f} MB")


def _report(bundle: Path) -> Path:
    return bundle.with_name(f"{bundle.name}.report")


if __name__ == "__main__":
    main()
