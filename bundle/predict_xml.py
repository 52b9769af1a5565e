"""`imago predict` with a bundle that makes XML: a document a picture, written beside it."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click

from bundle.engine import cores
from bundle.errors import DataError, PictureError
from bundle.xml.model import XmlModel

Results = Iterator[dict[str, Any]]
# Pictures that are read ahead of the documents.
CHUNK = 64


def run(
    opened: XmlModel, paths: list[Path], *, form: str | None, progress: Callable[[Results, int], Results], **said: Any
) -> list[dict[str, Any]]:
    """Writes what can be written and prints a row a picture; `said` are the options of the command line.

    Raises DataError before anything is written.
    """
    out, force = said.pop("out", None), said.pop("force", False)
    targets = _targets(paths, out, opened.suffix)
    if not force:
        _check_free(targets)
    if out:
        out.mkdir(parents=True, exist_ok=True)
    results = list(progress(_converted(opened, list(zip(paths, targets, strict=True)), said), len(paths)))
    {"json": _print_json, "csv": _print_csv, None: _print_table}[form](opened, results)
    return results


def failed(path: Path, error: PictureError | OSError) -> dict[str, Any]:
    if isinstance(error, PictureError):
        return {"file": str(path), "error": {"code": error.code, "detail": str(error)}}
    return {"file": str(path), "error": {"code": "unreadable", "detail": f"cannot be read: {error.strerror}"}}


def _targets(paths: list[Path], out: Path | None, suffix: str) -> list[Path]:
    """Where each picture's document goes. Raises DataError where two would go to one place."""
    pictures: dict[Path, Path] = {}
    for path in paths:
        target = (out or path.parent) / f"{path.stem}{suffix}"
        if target in pictures and pictures[target] != path:
            raise DataError(f"{pictures[target]} and {path}: both would become {target}; convert them one by one")
        pictures[target] = path
    return [(out or path.parent) / f"{path.stem}{suffix}" for path in paths]


def _check_free(targets: list[Path]) -> None:
    """What is there may be somebody's own, the other half of a pair that models are trained on."""
    there = [target for target in targets if target.exists()]
    if there:
        others = f" and {len(there) - 1} more are" if len(there) > 1 else " is"
        raise DataError(
            f"{there[0]}{others} there already; choose another folder with --out, or write over it with --force"
        )


def _converted(opened: XmlModel, pairs: list[tuple[Path, Path]], how: dict[str, Any]) -> Results:
    """As many at once as there are cores, in order."""
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(pairs), CHUNK):
            yield from pool.map(lambda pair: _one(opened, pair[0], pair[1], how), pairs[start : start + CHUNK])


def _one(opened: XmlModel, path: Path, target: Path, how: dict[str, Any]) -> dict[str, Any]:
    try:
        found = opened.convert(opened.prepare(path.read_bytes()), **how)
    except (PictureError, OSError) as error:
        return failed(path, error)
    try:
        target.write_bytes(found.xml)
    except OSError as error:
        words = f"{target}: cannot be written: {error.strerror}"
        return {"file": str(path), "error": {"code": "unwritable", "detail": words}}
    about = {"valid": found.valid, "sure": found.sure, "score": found.score, "tokens": found.tokens}
    return {"file": str(path), "written": str(target), **about}


def _print_json(opened: XmlModel, results: list[dict[str, Any]]) -> None:
    named = {"name": opened.manifest.name, "id": opened.manifest.id}
    click.echo(json.dumps({"results": results, "model": named}, indent=2, ensure_ascii=False))


def _print_csv(_opened: XmlModel, results: list[dict[str, Any]]) -> None:
    columns = ["file", "written", "valid", "sure", "score", "tokens"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*columns, "error"])
    for result in results:
        writer.writerow([*(result.get(name, "") for name in columns), result.get("error", {}).get("detail", "")])


def _print_table(_opened: XmlModel, results: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("file", "written"):
        table.add_column(name, overflow="fold")
    table.add_column("sure")
    for name in ("score", "tokens"):
        table.add_column(name, justify="right")
    for result in results:
        if "error" in result:
            table.add_row(Text(result["file"]), Text(result["error"]["detail"], "red"), "", "", "")
            continue
        sure = Text("yes") if result["sure"] else Text("no", "yellow")
        score, tokens = f"{result['score']:.3f}", str(result["tokens"])
        table.add_row(Text(result["file"]), Text(result["written"]), sure, score, tokens)
    Console(width=None if sys.stdout.isatty() else 1000).print(table)  # a pipe is no narrower than the table
