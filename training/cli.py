"""`imago train ...`: options into a Run, a Run into a bundle."""

import json
import shlex
import sys
from collections.abc import Set
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from training import checks, knobs
from training.options import Grouped, Source
from training.run import COPIES, Run, name_of
from training.xml_cli import xml

# Exit status of a run whose bundle was not good enough to be written.
REFUSED = 3


@click.group()
def train() -> None:
    """Train a model and write it as a bundle."""


@train.command(cls=Grouped, params=knobs.CLASSIFIER)
@click.argument("data", type=Source(), required=False)
def classifier(as_json: bool, data: Path | str | None, train_dir: Path | str | None, **options: Any) -> None:
    """Trains an image classifier on DATA: a folder with a folder of pictures for each class, a list of files with their
    labels (.lst, .csv, .jsonl), a RecordIO file (.rec), or one of these as s3://BUCKET/PREFIX.

    With published weights a head is fitted on what the network sees, which takes seconds; --augment and --fine-tune take
    longer and know more. Broken off, it goes on where it was when it is started again with the same options.

    Exit status 0: a bundle was written; 1: it could not be, for the reason given; 3: it would have been below
    --assert-accuracy-at-least.
    """
    from training.data.cache import default_directory
    from training.progress import Progress

    progress = Progress()
    sources = {"data": _one(data, train_dir), **{name: options.pop(name) for name in ("validation", "test")}}
    here = {name: _here(where, options["cache"] or default_directory(), progress) for name, where in sources.items()}
    run = _run(**here, **options)
    from training import classifier as training
    from training import report

    result = training.main(run, progress)
    page = report.write(result, report.beside(run.out, result))
    if as_json:
        where = str(result.bundle) if result.bundle else None
        click.echo(json.dumps({**report.content(result), "bundle": where}, indent=2))
    else:
        click.echo(report.summary(result, page))
    if result.refused:
        click.echo(f"imago: {result.refused}", err=True)
        sys.exit(REFUSED)


@train.command(cls=Grouped, params=knobs.IMAGENET)
def imagenet(as_json: bool, labels: Path | None, **options: Any) -> None:
    """Writes an ImageNet-1000 classifier as it was published; nothing is trained."""
    if options["weights"] == "none":
        raise click.UsageError("an ImageNet classifier is its weights: --weights imagenet or a file")
    name = options.pop("name") or f"imagenet-{options['backbone'].replace('_', '-')}"
    run = _run(Path(), name=name, no_photos=True, **options)
    from training import imagenet as published

    bundle = published.main(run, labels)
    click.echo(
        json.dumps({"bundle": str(bundle), "name": run.name})
        if as_json
        else f"{bundle}: ready, see imago predict and imago serve"
    )


def _here(source: Path | str | None, cache: Path, progress: Any) -> Path | None:
    """What is in S3 is fetched before anything else is done."""
    if not isinstance(source, str):
        return source
    from training.data import s3

    return s3.local(source, cache, progress)


def _one(data: Path | str | None, train_dir: Path | str | None) -> Path | str:
    if data and train_dir:
        raise click.UsageError("DATA and --train-dir are the same thing; give one of them")
    if not (found := data or train_dir):
        raise click.UsageError("what to train on is missing: give DATA or --train-dir")
    return found


def _run(
    data: Path, *, name: str | None, size: int | None, no_photos: bool, cache: Path | None = None, **options: Any
) -> Run:
    from training.backbones import PLANS
    from training.data.cache import DEFAULT_BYTES, default_directory

    said = _said()
    run = Run(
        data=data,
        name=name or name_of(data.with_suffix("") if data.is_file() else data),
        size=size or PLANS[options["backbone"]].size,
        photos_in_bundle=not no_photos,
        cache=cache or default_directory(),
        cache_bytes=DEFAULT_BYTES,
        command=shlex.join(["imago", *sys.argv[1:]]),
        **{**options, **_meant(options, said)},
    )
    return checks.given(run, said)


def _said() -> Set[str]:
    """The options that stand on the command line."""
    ctx = click.get_current_context()
    return {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}


def _meant(options: dict[str, Any], said: Set[str]) -> dict[str, Any]:
    """What follows from what was said, as older systems had it: a distortion is augmentation, epochs to step after are a schedule."""
    meant: dict[str, Any] = {}
    if "augment" not in said and said & set(checks.RETRAIN):
        meant["augment"] = "retrain"
    augment = meant.get("augment", options.get("augment", "none"))
    if augment != "none" and "copies" not in said and options["weights"] != "none" and not options["fine_tune"]:
        meant["copies"] = COPIES
    if "schedule" not in said and "lr_scheduler_step" in said:
        meant["schedule"] = "step"
    return meant


train.add_command(xml)
