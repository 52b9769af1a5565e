"""`imago export`: a bundle for other runtimes."""

import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from bundle.errors import ImagoError
from converter.formats import FORMATS, Format

a_folder = click.Path(path_type=Path, file_okay=False)
ALL = "all"

_EPILOG = "Formats: " + "; ".join(f"{one.name}, {one.text}" for one in FORMATS.values()) + "."


def _chosen(context: click.Context, option: click.Parameter, value: Sequence[str]) -> list[str]:
    """Names, each once, in our order. Several in one word are told apart by commas."""
    named = [name.strip() for word in value for name in word.split(",") if name.strip()]
    for name in named:
        if name not in FORMATS and name != ALL:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(FORMATS)}, {ALL}")
    if not named:
        raise click.BadParameter(f"no format named; wanted some of {', '.join(FORMATS)}, or {ALL}")
    return [name for name in FORMATS if name in named or ALL in named]


@click.command(epilog=_EPILOG)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "names",
    multiple=True,
    required=True,
    metavar="FORMAT",
    callback=_chosen,
    help="coreml, litert, onnx, savedmodel, graphdef, keras-json, or all; several with commas or again.",
)
@click.option("--out", type=a_folder, default="exports", show_default=True, help="A folder for each format goes here.")
@click.option(
    "--quantize",
    type=click.Choice(["fp16", "int8"]),
    help="Half or a quarter of the size; answers may differ a little.",
)
@click.option("--calibrate", type=a_folder, metavar="DIR", help="Pictures as they will come; int8 needs some 100.")
@click.option(
    "--pictures", type=a_folder, metavar="DIR", help="Compare on these too, 1,000 at most; all else is always done."
)
@click.option(
    "--author", default="Imago", show_default=True, metavar="NAME", help="Whose model it is, as the files tell."
)
@click.option(
    "--licence", "--license", default="", metavar="TEXT", help="Its licence, as the files tell, such as CC-BY-4.0."
)
@click.option("--check-only", is_flag=True, help="Compare what stands in --out once more; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written and how well it agrees as JSON.")
def export(bundle: Path, names: list[str], check_only: bool, as_json: bool, **more: Any) -> None:
    """Writes the bundle at BUNDLE in the formats of other runtimes, each into a folder of its own.

    Every file is run by its own runtime (Core ML: op by op, from the file) and compared with the bundle: labels, golden
    pictures, drawn ones, and yours with --pictures. What differs too much is not written. The figures stand in export.json.

    Exit status 0: all is written; 1: something is not, for the reason given.
    """
    from converter import export as work
    from converter.subject import open_subject

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files go
    stated = {key: more.pop(key) for key in ("author", "licence")}
    asked = work.Export(subject=open_subject(bundle, **stated), **more)
    forms, left = _able(asked, names)
    for reason in left:
        click.echo(f"note: {reason}", err=True)
    do = work.check if check_only else work.write
    if not check_only:
        asked.calibrates(forms)
    asked.ready()
    records = _each(forms, lambda form: do(asked, form), asked.home, as_json)
    if as_json:
        click.echo(json.dumps([record for record in records if record], indent=2, ensure_ascii=False))
    sys.exit(0 if all(records) else 1)


def _able(asked: Any, names: list[str]) -> tuple[list[Format], list[str]]:
    """The formats to write, and of many why others are left out. Raises BundleError for one alone that cannot be."""
    from converter import export as work

    forms, left = [], []
    for name in names:
        try:
            work.able(asked, FORMATS[name])
            forms.append(FORMATS[name])
        except ImagoError as error:
            left.append(error)
    if left and (not forms or len(names) == 1):
        raise left[0]
    return forms, [str(error) for error in left]


def _each(
    forms: Sequence[Format], do: Callable[[Format], dict[str, Any]], home: Callable[[Format], Path], as_json: bool
) -> list[dict[str, Any] | None]:
    """A record each, None where it failed: one that fails is no reason not to write the others."""
    records: list[dict[str, Any] | None] = []
    for form in forms:
        start = time.perf_counter()
        try:
            record = do(form)
        except ImagoError as error:
            records.append(None)
            click.echo(f"imago: {form.name}: {error}", err=True)
            continue
        records.append(record)
        if not as_json:
            _print(home(form), record, time.perf_counter() - start)
    return records


def _print(home: Path, record: dict[str, Any], seconds: float) -> None:
    size = sum(file["size"] for file in record["files"].values())
    click.echo(f"{home}  {size / 1e6:.1f} MB, {seconds:.1f} s")
    for checked in record["checked"]:
        click.echo(f"  {checked['file']}: {_agreement(checked['figures'], record['bound'])}; {checked['runtime']}")


def _agreement(figures: dict[str, Any], bound: dict[str, Any]) -> str:
    """How well a file agrees with the bundle, over all sets of pictures."""
    if "documents" in figures:
        documents = f"{figures['differ']} of {figures['documents']} documents differ"
        return f"{documents}, logits by {figures['logits']:.1e} ({bound['logits']:.1e} allowed) over {figures['tokens']} tokens"
    sets = figures.values()
    pictures, differ = sum(one["pictures"] for one in sets), sum(one["differ"] for one in sets)
    most = max(one["difference"] for one in sets)
    return f"scores within {most:.1e} ({bound['most']:.1e} allowed), {differ} of {pictures} answers differ"
