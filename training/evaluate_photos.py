"""`imago evaluate` of a classifier: its answers on photos whose labels are known, through the path that serves it."""

import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bundle import predict
from bundle.errors import DataError
from bundle.model import Model
from training import report as reports
from training.data import photos as sets
from training.data.photos import Photo, Photos
from training.disturb import DISTURBANCES, disturbed
from training.page import NAMES, figure, ordered
from training.progress import Progress
from training.result import Answers, Photographed, Result, balance, judge

# Named in the table; --json has all.
MOST_NAMED = 10

# Of a class, as people read it.
COLUMNS = ("precision", "recall", "f1", "ap")


def run(opened: Model, data: Path, progress: Progress, *, robust: bool = False, **how: Any) -> dict[str, Any]:
    """All that `--json` prints; `how` are the options images, top_k, and report, where a page goes. Raises DataError."""
    manifest = opened.manifest
    photos = sets.judging(
        data, opened.labels, manifest.scores, sets.Reading(images=how.get("images"), progress=progress)
    )
    answers = Answers(
        labels=opened.labels, scores=manifest.scores, thresholds=manifest.thresholds, top_k=how.get("top_k", 5)
    )
    result = _result(opened, photos, answers, progress)
    if folder := how.get("report"):
        progress.note(f"the report is {reports.write(result, folder) / 'index.html'}")
    rows = {name: _disturbed(opened, photos, answers, progress, name) for name in DISTURBANCES} if robust else {}
    return {**reports.content(result), "robust": rows}


def _result(opened: Model, photos: Photos, answers: Answers, progress: Progress) -> Result:
    """What a report shows of a bundle that was trained elsewhere."""
    rows, good, failed = _rows(opened, photos.validation, progress, "evaluating", Photo.read)
    truth = photos.truth(good)
    shown = Photographed(
        name="data",
        names=[photo.name for photo in good],
        read=lambda at: good[at].read(),
        spec=opened.manifest.preprocess,
    )
    return Result(
        name=opened.manifest.name,
        bundle=opened.directory,
        command=shlex.join(["imago", *sys.argv[1:]]),
        labels=opened.labels,
        scores=answers.scores,
        thresholds=answers.thresholds,
        judged=(judge(rows, truth, answers, shown),),
        photos={"data": len(good)},
        balance={"data": balance(truth, opened.labels)},
        skipped=(*photos.skipped, *failed),
        notes=photos.notes,
        seconds=progress.seconds,
    )


def _rows(
    opened: Model, photos: Sequence[Photo], progress: Progress, name: str, read: Callable[[Photo], bytes]
) -> tuple[np.ndarray, list[Photo], list[tuple[str, str]]]:
    """Scores (n, k) of the photos that can be read, those photos, and the others with the reason."""
    rows, good, failed = [], [], []
    for photo, row in progress.track(name, predict.rows(opened, photos, read), len(photos)):
        if isinstance(row, np.ndarray):
            rows.append(row)
            good.append(photo)
        else:
            failed.append((photo.name, predict.failed(photo.path, row)["error"]["detail"]))
    if not rows:
        raise DataError(f"{failed[0][0]}: {failed[0][1]}; no photo is left to judge by" if failed else "no photos")
    return np.stack(rows), good, failed


def _disturbed(opened: Model, photos: Photos, answers: Answers, progress: Progress, name: str) -> dict[str, float]:
    rows, good, _ = _rows(opened, photos.validation, progress, name, partial(_read, name))
    return answers.judged(rows, photos.truth(good)).metrics


def _read(name: str, photo: Photo) -> bytes:
    return disturbed(name, photo.read())


# ---- for people ----------------------------------------------------------------------------


def print_table(found: dict[str, Any]) -> None:
    """Figures, a row a disturbance; labels; the surest mistakes; what could not be read."""
    from rich.console import Console
    from rich.text import Text

    names = ordered(found["metrics"])
    every = {"as they are": found["metrics"], **found["robust"]}
    figures = [(name, *(figure(key, row[key]) for key in names)) for name, row in every.items()]
    labels = [(c["label"], c["photos"], *(figure(key, c[key]) for key in COLUMNS)) for c in found["classes"]]
    console = Console(width=None if sys.stdout.isatty() else 1000)
    console.print(
        _table(f"{found['photos']['data']} pictures", [NAMES.get(n, n.replace("_", " ")) for n in names], figures)
    )
    console.print()
    console.print(_table("label", ["pictures", "precision", "recall", "F1", "AP"], labels))
    mistakes = found["sets"]["data"]["mistakes"]
    for one in mistakes[:MOST_NAMED]:
        truth, answer = (", ".join(one[key]) or "nothing" for key in ("truth", "answer"))
        console.print(
            Text(f"{one['file']}: is {truth}, answered {answer} ({one['label']} {100 * one['probability']:.1f} %)")
        )
    if (more := len(mistakes) - MOST_NAMED) > 0:
        console.print(f"and {more} more; --json names all")
    for one in found["skipped"]:
        console.print(Text(f"{one['file']}: not judged: {one['reason']}", "red"))


def _table(first: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for name in columns:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table
