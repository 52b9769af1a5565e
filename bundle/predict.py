"""`imago predict`: the server's path without a server, for one picture or for many thousands."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

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

# Labels that a picture gets where nobody says how many.
TOP = 5

# Pictures in memory at once; also the batch that a GPU gets.
CHUNK = 64

Picture = TypeVar("Picture")


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
        refuse(said, {"top"}, "for bundles that classify")
        results = predict_xml.run(opened, paths, form=form, progress=_with_progress, **said)
    else:
        refuse(said, {"out", "force", "beam", "fit"}, "for bundles that make XML")
        results = _classified(opened, paths, form, said.get("top", TOP))
    sys.exit(1 if any("error" in result for result in results) else 0)


def refuse(said: dict[str, Any], others: set[str], words: str) -> None:
    """An option that would do nothing is a mistake."""
    if wrong := sorted(said.keys() & others):
        raise click.UsageError(f"--{wrong[0].replace('_', '-')} is {words}; this one does not")


def _classified(opened: Model, paths: list[Path], form: str | None, top: int) -> list[dict[str, Any]]:
    found = rows(opened, paths, Path.read_bytes)
    results = list(_with_progress((_result(opened, path, row, top) for path, row in found), len(paths)))
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


def rows(
    opened: Model, pictures: Sequence[Picture], read: Callable[[Picture], bytes]
) -> Iterator[tuple[Picture, np.ndarray | PictureError | OSError]]:
    """Each picture in order with its scores (k,), or with the reason that it has none; `read` gives its bytes."""
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(pictures), CHUNK):
            chunk = pictures[start : start + CHUNK]
            inputs = list(pool.map(lambda picture: _prepared(opened, picture, read), chunk))
            good = [pixels for pixels in inputs if isinstance(pixels, np.ndarray)]
            scores = iter(_scores(opened, pool, good))
            for picture, pixels in zip(chunk, inputs, strict=True):
                yield picture, next(scores) if isinstance(pixels, np.ndarray) else pixels


def _prepared(opened: Model, picture: Picture, read: Callable[[Picture], bytes]) -> np.ndarray | PictureError | OSError:
    try:
        return opened.prepare(read(picture))
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
    """A line a label, as label_image.py printed them: the label and its score to five places, best first.

    Of several pictures each has its name above its labels.
    """
    wide = max((len(answer["label"]) for result in results for answer in result.get("predictions", [])), default=0)
    for number, result in enumerate(results):
        if "error" in result:
            click.echo(f"{result['file']}: not read: {result['error']['detail']}")
            continue
        if len(results) > 1:
            click.echo(f"{'' if number == 0 else chr(10)}{result['file']}")
        for rank, answer in enumerate(result["predictions"]):
            if rank < TOP or answer.get("present", True):  # of hundreds of labels nobody reads those that are absent
                click.echo(_line(answer, wide))


def _line(answer: dict[str, Any], wide: int) -> str:
    present = {True: "  present", False: "  absent", None: ""}[answer.get("present")]
    return f"{answer['label']:<{wide}}  {answer['probability']:.5f}{present}"
