"""`imago evaluate`: what a bundle's answers are worth on pictures whose truth is known, through the path that serves it."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bundle import model
from bundle.engine import CHOICES, Choice, cores
from bundle.errors import DataError, DocumentError, PictureError
from bundle.predict import SUFFIXES, refuse
from bundle.xml.model import XmlModel
from training import evaluate_photos, xml_metrics
from training.disturb import DISTURBANCES, disturbed
from training.progress import Progress
from training.xml_metrics import Score

DOCUMENTS = (".xml", ".svg")
# Named in the table; --json has all.
MOST_NAMED = 10


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One pair's. Documents are canonical."""

    file: Path
    said: bytes
    true: bytes
    sure: bool
    score: Score
    chance: float  # mean probability of its tokens
    tokens: int
    seconds: float  # from the picture's bytes to its document


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A pair that could not be judged."""

    file: Path
    reason: str


Bytes = Callable[[bytes], bytes]


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--robust", is_flag=True, help="Also under noise, other light, shift, blur, JPEG and other sizes.")
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), help="Of a classifier: a page goes here.")
@click.option(
    "--images", type=click.Path(path_type=Path), help="Of a classifier: where the relative names in a list begin."
)
@click.option(
    "--top-k", type=click.IntRange(1, 1000), help="Of a classifier: how often the truth is among the best K; 5."
)
@click.option(
    "--fit/--no-fit", default=None, help="Of XML: fit a drawing's coordinates to the picture; done by default."
)
@click.option("--beam", type=click.IntRange(1, 8), help="Of XML: documents looked at side by side; 1 by default.")
@click.option("--engine", type=click.Choice(CHOICES), default="auto", show_default=True, help="What runs the model.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def evaluate(bundle: Path, data: Path, robust: bool, engine: Choice, as_json: bool, **how: Any) -> None:
    """Judges the bundle at BUNDLE on DATA. For a classifier DATA is what it could be trained on: a folder with a folder of
    pictures for each class, or a list; for a bundle that makes XML a folder of NAME.png (or .jpg, ...) with NAME.xml or NAME.svg.

    Exit status 0: all pictures were judged; 1: some could not be, each says why.
    """
    opened = model.open(bundle, engine)
    said = {name: value for name, value in how.items() if value is not None}
    if isinstance(opened, XmlModel):
        refuse(said, {"report", "images", "top_k"}, "for bundles that classify")
        result = _of_xml(opened, data, robust, said)
    else:
        refuse(said, {"fit", "beam"}, "for bundles that make XML")
        result = evaluate_photos.run(opened, data, Progress(), robust=robust, **said)
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        (_print_table if isinstance(opened, XmlModel) else evaluate_photos.print_table)(result)
    sys.exit(1 if result.get("failed") or result.get("skipped") else 0)


def _of_xml(opened: XmlModel, data: Path, robust: bool, how: dict[str, Any]) -> dict[str, Any]:
    files, progress = pairs(data), Progress()
    answers, failures = judged(opened, files, progress, **how)
    rows = {name: _disturbed(opened, files, progress, name, how) for name in DISTURBANCES} if robust else {}
    return content(opened, answers, failures, rows)


def pairs(folder: Path) -> list[tuple[Path, Path]]:
    """(picture, document) at any depth, by name. Raises DataError."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; wanted one with pictures and their documents")
    pictures = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    found = [(path, path.with_suffix(end)) for path in pictures for end in DOCUMENTS if path.with_suffix(end).is_file()]
    if not found:
        raise DataError(f"{folder}: no pairs; wanted NAME.png (or .jpg, ...) beside NAME.xml or NAME.svg")
    return found


def judged(
    opened: XmlModel,
    files: Sequence[tuple[Path, Path]],
    progress: Progress,
    *,
    name: str = "evaluating",
    change: Bytes = bytes,
    **how: Any,
) -> tuple[list[Answer], list[Failure]]:
    """As many pairs at once as there are cores, in order; `change` is done to the pictures' bytes. Raises DataError where none can be judged."""
    with ThreadPoolExecutor(cores()) as pool:
        results = pool.map(lambda pair: _one(opened, *pair, change, how), files)
        found = list(progress.track(name, results, len(files)))
    answers = [one for one in found if isinstance(one, Answer)]
    failures = [one for one in found if isinstance(one, Failure)]
    if not answers:
        raise DataError(f"{failures[0].file}: {failures[0].reason}; no pair is left to judge by")
    return answers, failures


def content(
    opened: XmlModel, answers: Sequence[Answer], failures: Sequence[Failure], rows: dict[str, dict[str, float]]
) -> dict[str, Any]:
    """All that `--json` prints."""
    worst = sorted((one for one in answers if one.score.wrong), key=lambda one: (-one.sure, -one.score.edit_error))
    return {
        "bundle": opened.directory.name,
        "pictures": len(answers),
        "metrics": metrics(answers),
        "robust": rows,
        "wrong": [_row(one) for one in worst],
        "failed": [{"file": str(one.file), "reason": one.reason} for one in failures],
    }


def metrics(answers: Sequence[Answer]) -> dict[str, float]:
    """Shares from 0 to 1; ms and tokens are means over the pictures."""
    scores = [one.score for one in answers]
    return {
        **xml_metrics.summary(scores, [one.said for one in answers], [one.true for one in answers]),
        **xml_metrics.sureness([one.sure for one in answers], [one.score.wrong for one in answers]),
        "score": sum(one.chance for one in answers) / len(answers),
        "tokens": sum(one.tokens for one in answers) / len(answers),
        "ms": 1000 * sum(one.seconds for one in answers) / len(answers),
    }


def _disturbed(
    opened: XmlModel, files: Sequence[tuple[Path, Path]], progress: Progress, name: str, how: dict[str, Any]
) -> dict[str, float]:
    return metrics(judged(opened, files, progress, name=name, change=lambda data: disturbed(name, data), **how)[0])


def _one(opened: XmlModel, picture: Path, document: Path, change: Bytes, how: dict[str, Any]) -> Answer | Failure:
    try:
        wanted = document.read_bytes()
        opened.codec.read(wanted, str(document))  # which names the file where it breaks the schema
        true = opened.codec.canonical(wanted)
        data = change(picture.read_bytes())
        start = time.perf_counter()
        found = opened.convert(opened.prepare(data), **how)
        seconds = time.perf_counter() - start
    except (PictureError, DocumentError) as error:
        return Failure(file=picture, reason=str(error))
    except OSError as error:
        return Failure(file=picture, reason=f"cannot be read: {error.strerror}")
    return Answer(
        file=picture,
        said=xml_metrics.canonical(opened.codec, found.xml),
        true=true,
        sure=found.sure,
        score=xml_metrics.score(opened.codec, found.xml, true),
        chance=found.score,
        tokens=found.tokens,
        seconds=seconds,
    )


def _row(one: Answer) -> dict[str, Any]:
    figures = {name: value for name, value in vars(one.score).items() if value is not None}
    return {"file": str(one.file), "sure": one.sure, "score": one.chance, **figures}


# ---- for people ----------------------------------------------------------------------------

# What a column is called, and how its figure is written.
COLUMNS = {
    "exact": ("exact %", "{:.1%}"),
    "token_error": ("token error %", "{:.2%}"),
    "edit_error": ("edit error %", "{:.2%}"),
    "bleu": ("BLEU-4", "{:.4f}"),
    "tree": ("tree", "{:.4f}"),
    "valid": ("valid %", "{:.1%}"),
    "iou": ("IoU", "{:.3f}"),
    "ssim": ("SSIM", "{:.3f}"),
    "command_ratio": ("commands", "{:.2f}"),
    "distinct": ("distinct %", "{:.1%}"),
    "sure": ("sure %", "{:.1%}"),
    "sure_wrong": ("of them wrong %", "{:.1%}"),
    "ms": ("ms", "{:.1f}"),
}


def _print_table(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = {name: column for name, column in COLUMNS.items() if name in result["metrics"]}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(f"{result['pictures']} pictures")
    for title, _ in shown.values():
        table.add_column(title.removesuffix(" %"), justify="right")
    for name, row in {"as they are": result["metrics"], **result["robust"]}.items():
        table.add_row(name, *(form.format(row[key]).removesuffix("%") for key, (_, form) in shown.items()))
    console = Console(width=None if sys.stdout.isatty() else 1000)
    console.print(table)
    for one in result["wrong"][:MOST_NAMED]:
        how = f"IoU {one['iou']:.3f}" if "iou" in one else f"edit error {one['edit_error']:.2%}"
        console.print(Text(f"{one['file']}: {how}{', and sure of it' if one['sure'] else ''}"))
    if (more := len(result["wrong"]) - MOST_NAMED) > 0:
        console.print(f"and {more} more; --json names all")
    for one in result["failed"]:
        console.print(Text(f"{one['file']}: not judged: {one['reason']}", "red"))
