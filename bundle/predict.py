"""`imago predict`: the server's path without a server, for one picture or for many thousands."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np

from bundle import model, predict_xml
from bundle.engine import CHOICES, Choice, cores
from bundle.errors import DataError, PictureError
from bundle.model import Model
from bundle.predict_xml import failed
from bundle.xml.model import XmlModel

# In a folder these count as pictures; a file named on the command line always does.
SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".heic", ".heif"}

# Pictures in memory at once; also the batch that a GPU gets.
CHUNK = 64


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1, 1000), help="How many labels a picture gets; 5 where nothing is said.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV: file, rank, label, probability, error.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="XML goes here, not beside the pictures.")
@click.option("--force", is_flag=True, default=None, help="Write over XML that is there.")
@click.option("--beam", type=click.IntRange(1, 8), help="Documents looked at side by side; 1 where nothing is said.")
@click.option(
    "--fit/--no-fit", default=None, help="Fit a drawing's coordinates to the picture; done where nothing is said."
)
@click.option("--engine", type=click.Choice(CHOICES), default="auto", show_default=True, help="What runs the model.")
def predict(bundle: Path, pictures: tuple[Path, ...], form: str | None, engine: Choice, **more: Any) -> None:
    """Classifies PICTURES (files, and folders with all pictures in them) with the bundle at BUNDLE.

    With a bundle that makes XML writes NAME.xml (NAME.svg where that is what it makes) for each.
    Exit status 0: all were read; 1: some could not be, each says why.
    """
    paths = list(expand(pictures))
    opened = model.open(bundle, engine)
    said = {name: value for name, value in more.items() if value is not None}
    if isinstance(opened, XmlModel):
        _refuse(said, {"top"}, "for bundles that classify")
        results = predict_xml.run(opened, paths, form=form, progress=_with_progress, **said)
    else:
        _refuse(said, {"out", "force", "beam", "fit"}, "for bundles that make XML")
        results = _classified(opened, paths, form, said.get("top", 5))
    sys.exit(1 if any("error" in result for result in results) else 0)


def _refuse(said: dict[str, Any], others: set[str], words: str) -> None:
    """An option that would do nothing is a mistake."""
    if wrong := sorted(said.keys() & others):
        raise click.UsageError(f"--{wrong[0]} is {words}; this one does not")


def _classified(opened: Model, paths: list[Path], form: str | None, top: int) -> list[dict[str, Any]]:
    results = list(_with_progress((_result(opened, path, row, top) for path, row in rows(opened, paths)), len(paths)))
    {"json": _print_json, "csv": _print_csv, None: _print_table}[form](opened, results)
    return results


def expand(arguments: Iterable[Path]) -> Iterator[Path]:
    """The files themselves, and the pictures at any depth below each folder, by name. Raises DataError."""
    for argument in arguments:
        if not argument.is_dir():
            yield argument
            continue
        found = sorted(path for path in argument.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not found:
            raise DataError(
                f"{argument}: no pictures in this folder; wanted files ending in {', '.join(sorted(SUFFIXES))}"
            )
        yield from found


def rows(opened: Model, paths: list[Path]) -> Iterator[tuple[Path, np.ndarray | PictureError | OSError]]:
    """Each path in order with its scores (k,), or with the reason that it has none."""
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(paths), CHUNK):
            chunk = paths[start : start + CHUNK]
            inputs = list(pool.map(lambda path: _prepared(opened, path), chunk))
            good = [pixels for pixels in inputs if isinstance(pixels, np.ndarray)]
            scores = iter(_scores(opened, pool, good))
            for path, pixels in zip(chunk, inputs, strict=True):
                yield path, next(scores) if isinstance(pixels, np.ndarray) else pixels


def _prepared(opened: Model, path: Path) -> np.ndarray | PictureError | OSError:
    try:
        return opened.prepare(path.read_bytes())
    except (PictureError, OSError) as error:
        return error


def _scores(opened: Model, pool: ThreadPoolExecutor, pictures: list[np.ndarray]) -> Iterable[np.ndarray]:
    """As the server runs them: one by one on a CPU, so that a picture's scores never hang on its neighbours."""
    if opened.engine.device == "gpu" and pictures:
        return opened.run(np.stack(pictures))
    return pool.map(lambda pixels: opened.run(pixels[None])[0], pictures)


def _result(opened: Model, path: Path, row: np.ndarray | PictureError | OSError, top: int) -> dict[str, Any]:
    if isinstance(row, np.ndarray):
        return {"file": str(path), "predictions": opened.answer(row, top)}
    return failed(path, row)


def _with_progress(results: Iterator[dict[str, Any]], total: int) -> Iterator[dict[str, Any]]:
    """A bar on stderr, where a person looks at it and there is something to wait for."""
    if total < CHUNK or not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(results, "predicting", total=total, console=Console(stderr=True), transient=True)


def _print_json(opened: Model, results: list[dict[str, Any]]) -> None:
    named = {"name": opened.manifest.name, "id": opened.manifest.id}
    click.echo(json.dumps({"results": results, "model": named}, indent=2, ensure_ascii=False))


def _print_csv(opened: Model, results: list[dict[str, Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["file", "rank", "label", "probability", "error"])
    for result in results:
        if "error" in result:
            writer.writerow([result["file"], "", "", "", result["error"]["detail"]])
        for rank, answer in enumerate(result.get("predictions", []), start=1):
            writer.writerow([result["file"], rank, answer["label"], f"{answer['probability']:.6f}", ""])


def _print_table(opened: Model, results: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("file", overflow="fold")
    table.add_column("label")
    table.add_column("%", justify="right")
    table.add_column("then", style="dim", overflow="fold")
    for result in results:
        if "error" in result:
            table.add_row(Text(result["file"]), Text("not read", "red"), "", Text(result["error"]["detail"]))
            continue
        best, *others = result["predictions"]
        then = ", ".join(f"{_named(answer)} {100 * answer['probability']:.1f}" for answer in others)
        table.add_row(Text(result["file"]), Text(_named(best)), f"{100 * best['probability']:.1f}", Text(then))
    Console(width=None if sys.stdout.isatty() else 1000).print(table)  # a pipe is no narrower than the table


def _named(answer: dict[str, Any]) -> str:
    return (
        f"{answer['label']} ({'present' if answer['present'] else 'absent'})"
        if "present" in answer
        else answer["label"]
    )
