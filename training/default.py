"""`make bundles`: draws the training pictures and trains the embedded defaults, a classifier of garment pieces and a model that writes their SVG."""

import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from bundle import store
from bundle.engine import cores
from training import classifier, pieces, report, xml, xml_report
from training.pieces import sheets
from training.progress import Progress
from training.run import Run
from training.xml_run import Plan, XmlRun

BUNDLES = Path(__file__).resolve().parent.parent / "server" / "bundles"

# Pictures for each label; drawn anew each time, so that nothing but code is kept. Seeds apart: judges are never trained on.
TRAIN, JUDGES = 3600, 60
DRAWN_SIZE = 128

# What the repository may carry, by kind.
MOST_BYTES = {"classifier": 3_000_000, "xml": 4_000_000}


# Sheets that have one to three pieces on them.
SHEETS, SHEET_JUDGES = 6000, 120
# At most 0.4 million parameters or so: both bundles travel in the repository.
SMALL = Plan(resize="pad", d_model=72, layers=3, dropout=0.05, steps=8000, patience=0)


@click.command()
@click.argument("kinds", nargs=-1, type=click.Choice(tuple(MOST_BYTES)))
def main(kinds: tuple[str, ...]) -> None:
    """Trains the embedded default of each kind, or of both."""
    for kind in kinds or tuple(MOST_BYTES):
        with tempfile.TemporaryDirectory() as folder:
            publish(TRAINERS[kind](Path(folder), Progress()))


def pieces_classifier(home: Path, progress: Progress) -> Path:
    for name, count, seed in (("train", TRAIN, 0), ("judges", JUDGES, 99)):
        with ProcessPoolExecutor(cores()) as pool:
            labels = pool.map(partial(draw, home / name, count, seed), pieces.LABELS)
            for _ in progress.track(f"drawing {name}", labels, len(pieces.LABELS)):
                pass
    run = described(home)
    result = classifier.main(run, progress)
    report.write(result, report.beside(run.out, result))
    if result.bundle is None:
        sys.exit(result.refused)
    return result.bundle


def sheets_xml(home: Path, progress: Progress) -> Path:
    for name, count, seed in (("train", SHEETS, 0), ("judges", SHEET_JUDGES, 99)):
        for _ in progress.track(f"drawing {name}", sheets.write(home / name, count=count, seed=seed), count):
            pass
    found = xml.main(sheets_described(home), progress)
    xml_report.write(found, progress)
    return found.bundle


TRAINERS = {"classifier": pieces_classifier, "xml": sheets_xml}


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


def sheets_described(home: Path) -> XmlRun:
    return XmlRun(
        **asdict(SMALL),
        data=home / "train",
        validation=home / "judges",
        schema=None,
        name="sheets",
        out=home / "bundles",
        encoder="own",
        weights="none",
        alpha=0.25,
        height=128,
        width=128,
        channels=(24, 48, 80, 80),
        heads=4,
        batch_size=16,
        learning_rate=0.0015,
        weight_decay=0.01,
        recompose=0,
        redraw=0.75,
        collapse=0.2,
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
