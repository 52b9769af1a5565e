"""`imago train ...`: options into a Run, a Run into a bundle."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from bundle.errors import DataError
from training.run import Backbone, Resize, Run, name_of
from training.xml_cli import bundle_name, xml

Command = TypeVar("Command", bound=Callable[..., Any])
a_path = click.Path(path_type=Path)


@click.group()
def train() -> None:
    """Train a model and write it as a bundle."""


def network(command: Command) -> Command:
    """The options that every network has."""
    for option in reversed(
        [
            click.option(
                "--out", type=a_path, default=Path("bundles"), show_default=True, help="Where the bundle goes."
            ),
            click.option("--name", callback=bundle_name, help="The bundle's name.  [default: the data folder's]"),
            click.option("--backbone", type=click.Choice(get_args(Backbone)), default="mobilenet", show_default=True),
            click.option(
                "--alpha", type=click.FloatRange(0.25, 1), default=1.0, show_default=True, help="Width of a MobileNet."
            ),
            click.option(
                "--size", type=click.IntRange(32, 1024), help="Pixels of the input's sides.  [default: the backbone's]"
            ),
            click.option(
                "--weights",
                default="imagenet",
                show_default=True,
                metavar="imagenet|FILE|none",
                help="imagenet: Keras fetches them; none: all layers are trained from scratch.",
            ),
            click.option(
                "--resize",
                type=click.Choice(get_args(Resize)),
                default="crop",
                show_default=True,
                help="How a picture gets to the input's shape.",
            ),
            click.option(
                "--golden",
                type=a_path,
                help="Folder with the pictures for the golden check.  [default: some of the data]",
            ),
            click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        ]
    ):
        command = option(command)
    return command


@train.command()
@click.argument("data", type=a_path)
@click.option(
    "--validation",
    type=a_path,
    help="Folder that judges, with the same classes.  [default: a fifth of DATA, by content]",
)
@network
@click.option("--epochs", type=click.IntRange(1), default=30, show_default=True, help="With --weights none.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="With --weights none.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    default=0.003,
    show_default=True,
    help="With --weights none: the highest, falling to zero.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--no-photos", is_flag=True, help="Golden pictures are drawn; no photo of yours goes into the bundle.")
@click.option("--cache", type=a_path, help="Where decoded pictures are kept.  [default: ~/.cache/imago]")
def classifier(as_json: bool, **options: Any) -> None:
    """Trains an image classifier on DATA, a folder with a folder of pictures for each class."""
    run = _run(**options)
    from training import classifier as training
    from training import report
    from training.progress import Progress

    progress = Progress()
    result = training.main(run, progress)
    page = report.write(run, result, progress)
    if as_json:
        click.echo(json.dumps({**report.content(run, result, progress), "bundle": str(result.bundle)}, indent=2))
        return
    figures = ", ".join(f"{name} {100 * value:.1f} %" for name, value in result.metrics.items())
    click.echo(f"\n{result.bundle}: {figures} on {result.photos['validation']} validation pictures")
    click.echo(f"  report   {page / 'index.html'}")
    click.echo(f"  predict  imago predict {shlex.quote(str(result.bundle))} PICTURES")
    click.echo(f"  serve    imago serve --bundle {shlex.quote(str(result.bundle))}")


@train.command()
@network
@click.option(
    "--labels",
    type=a_path,
    help="The 1,000 labels, one a line.  [default: imagenet_labels.txt beside FILE, else fetched]",
)
def imagenet(as_json: bool, labels: Path | None, **options: Any) -> None:
    """Writes an ImageNet-1000 classifier as it was published; nothing is trained."""
    if options["weights"] == "none":
        raise click.UsageError("an ImageNet classifier is its weights: --weights imagenet or a file")
    name = options.pop("name") or f"imagenet-{options['backbone'].replace('_', '-')}"
    fixed = {"validation": None, "epochs": 1, "batch_size": 1, "learning_rate": 1.0, "seed": 0, "no_photos": True}
    run = _run(data=Path(), name=name, cache=None, **fixed, **options)
    from training import classifier as training

    bundle = training.imagenet(run, labels)
    click.echo(
        json.dumps({"bundle": str(bundle), "name": run.name})
        if as_json
        else f"{bundle}: ready, see imago predict and imago serve"
    )


def _run(*, no_photos: bool, cache: Path | None, name: str | None, size: int | None, data: Path, **options: Any) -> Run:
    from training.backbones import PLANS
    from training.data.cache import DEFAULT_BYTES, default_directory

    plan = PLANS[options["backbone"]]
    if options["backbone"] != "mobilenet" and options["alpha"] != 1.0:
        raise DataError(
            f"--alpha {options['alpha']:g}: only a mobilenet has a width; leave it out for {options['backbone']}"
        )
    if size is not None and size < plan.smallest:
        raise DataError(f"--size {size}: {options['backbone']} needs at least {plan.smallest} pixels")
    return Run(
        data=data,
        name=name or name_of(data),
        size=size or plan.size,
        photos_in_bundle=not no_photos,
        cache=cache or default_directory(),
        cache_bytes=DEFAULT_BYTES,
        command=shlex.join(["imago", *sys.argv[1:]]),
        **options,
    )


train.add_command(xml)
