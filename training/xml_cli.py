"""`imago train xml ...`: options into an XmlRun, an XmlRun into a bundle that writes XML."""

import json
import re
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from bundle.errors import DataError
from bundle.manifest import NAME
from training.run import Resize, name_of
from training.xml_run import DRAWINGS, PAGES, XmlRun

a_path = click.Path(path_type=Path)


def bundle_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A callback: what may be part of folder names and URLs."""
    if value is not None and not NAME.fullmatch(value):
        raise click.BadParameter("letters, digits, '.', '_' and '-' wanted, 64 at most")
    return value


def _planned(name: str) -> str:
    return f"[default: {getattr(PAGES, name)}; for drawings {getattr(DRAWINGS, name)}]"


def _whole(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[1-9]\d{0,3}(,[1-9]\d{0,3}){0,7}", value):
        raise click.BadParameter("whole numbers wanted, with commas between them, eight at most")
    return tuple(map(int, value.split(",")))


@click.command()
@click.argument("data", type=a_path)
@click.option(
    "--validation", type=a_path, help="Folder or zip of pairs that judge.  [default: a tenth of DATA, by content]"
)
@click.option("--schema", type=a_path, help="The RELAX NG schema.  [default: the .rng in DATA]")
@click.option("--out", type=a_path, default=Path("bundles"), show_default=True, help="Where the bundle goes.")
@click.option("--name", callback=bundle_name, help="The bundle's name.  [default: the data folder's]")
@click.option(
    "--encoder",
    type=click.Choice(["own", "frozen:mobilenet"]),
    default="own",
    show_default=True,
    help="own: a small CNN that learns; frozen: ImageNet's features as they are.",
)
@click.option("--weights", default="imagenet", show_default=True, metavar="imagenet|FILE", help="Of a frozen encoder.")
@click.option(
    "--alpha", type=click.FloatRange(0.25, 1), default=0.25, show_default=True, help="Width of a frozen MobileNet."
)
@click.option(
    "--size", type=click.IntRange(32, 1024), default=128, show_default=True, help="Pixels of the input's sides."
)
@click.option(
    "--resize",
    type=click.Choice(get_args(Resize)),
    help=f"How a picture gets to the input's shape.  {_planned('resize')}",
)
@click.option(
    "--channels",
    default="24,48,96,96",
    show_default=True,
    callback=_whole,
    help="Of the own encoder's convolutions; each but the last halves the picture.",
)
@click.option("--d-model", type=click.IntRange(8, 1024), help=f"Width of the decoder.  {_planned('d_model')}")
@click.option("--heads", type=click.IntRange(1, 64), default=4, show_default=True, help="Attention heads.")
@click.option("--layers", type=click.IntRange(1, 24), help=f"Layers of the decoder.  {_planned('layers')}")
@click.option("--dropout", type=click.FloatRange(0, 0.9), help=f"{_planned('dropout')}")
@click.option("--steps", type=click.IntRange(1), help=f"Batches to learn from, at most.  {_planned('steps')}")
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    default=0.001,
    show_default=True,
    help="The highest; it falls to zero.",
)
@click.option("--weight-decay", type=click.FloatRange(0), default=0.01, show_default=True)
@click.option(
    "--recompose",
    type=click.FloatRange(0, 1),
    default=0.75,
    show_default=True,
    help="Share of training pages put together of other pages' bands, where the schema notes bands.",
)
@click.option(
    "--redraw",
    type=click.FloatRange(0, 1),
    default=0.75,
    show_default=True,
    help="Share of training drawings made anew from their documents, sheared and scaled, in another line.",
)
@click.option(
    "--patience",
    type=click.IntRange(0),
    help="Evaluations without a mistake, in a row, after which training comes to its end; 0: never.  "
    + _planned("patience"),
)
@click.option(
    "--collapse",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="Fail where fewer different documents are answered than this share of the validation's.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--golden", type=a_path, help="Folder with the pictures for the golden check.  [default: some of the data]"
)
@click.option("--no-photos", is_flag=True, help="Golden pictures are drawn; no picture of yours goes into the bundle.")
@click.option(
    "--cache", type=a_path, help="Where decoded pictures and checkpoints are kept.  [default: ~/.cache/imago]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def xml(as_json: bool, **options: Any) -> None:
    """Trains a network that writes XML from pictures: DATA is a folder, or a zip of one, of NAME.png (or .jpg, ...) beside NAME.xml
    (or .svg), with one RELAX NG schema.

    Broken off, it goes on where it was when it is started again with the same options.
    """
    run = _xml_run(**options)
    from training import xml as training
    from training import xml_report
    from training.progress import Progress

    progress = Progress()
    found = training.main(run, progress)
    page = xml_report.write(found, progress)
    if as_json:
        click.echo(json.dumps({**xml_report.content(found, progress), "bundle": str(found.bundle)}, indent=2))
        return
    shown = ("exact", "iou")
    figures = ", ".join(f"{name} {100 * found.metrics[name]:.1f} %" for name in shown if name in found.metrics)
    click.echo(f"\n{found.bundle}: {figures} on {found.pairs['validation']} validation pictures")
    click.echo(f"  report   {page / 'index.html'}")
    click.echo(f"  predict  imago predict {shlex.quote(str(found.bundle))} PICTURES")
    click.echo(f"  serve    imago serve --bundle {shlex.quote(str(found.bundle))}")


def _xml_run(*, data: Path, size: int, cache: Path | None, no_photos: bool, **options: Any) -> XmlRun:
    from training.data import archive, pairs
    from training.data.cache import DEFAULT_BYTES, default_directory

    cache = cache or default_directory()
    drawings = pairs.schema(archive.folder(data, cache), options["schema"]).grammar.vector
    for knob, planned in asdict(DRAWINGS if drawings else PAGES).items():
        options[knob] = planned if options[knob] is None else options[knob]
    options["name"] = options["name"] or name_of(data.with_suffix("") if data.is_file() else data)
    if options["d_model"] % options["heads"]:
        raise DataError(f"--d-model {options['d_model']}: not a multiple of the {options['heads']} heads")
    return XmlRun(
        data=data,
        height=size,
        width=size,
        photos_in_bundle=not no_photos,
        cache=cache,
        cache_bytes=DEFAULT_BYTES,
        command=shlex.join(["imago", *sys.argv[1:]]),
        **options,
    )
