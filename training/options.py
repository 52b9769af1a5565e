"""How `imago train classifier` asks: options under headings, named after a Run's fields, with its defaults."""

import re
from dataclasses import MISSING, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from training.run import ALL_BLOCKS, Run

DEFAULTS = {field.name: field.default for field in fields(Run) if field.default is not MISSING}
a_path = click.Path(path_type=Path)
# Open at one: a momentum of one never forgets.
below_one = click.FloatRange(0, 1, max_open=True)
above_nil = click.FloatRange(0, min_open=True)
percent = click.FloatRange(0, 100)


class Grouped(click.Command):
    """A command whose options stand under headings; underscores in their names are as good as dashes."""

    def __init__(self, *words: Any, **more: Any) -> None:
        settings = {**more.pop("context_settings", {}), "token_normalize_func": lambda word: word.replace("_", "-")}
        super().__init__(*words, context_settings=settings, **more)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        for heading, group in groupby(options, key=lambda option: getattr(option, "heading", "Help")):
            with formatter.section(heading):
                formatter.write_dl([record for option in group if (record := option.get_help_record(ctx))])


class Knob(click.Option):
    """An option named after a field of Run. `also`: what older systems call it."""

    def __init__(self, heading: str, field: str, *names: str, also: tuple[str, ...] = (), **more: Any) -> None:
        self.heading = heading
        names = names or (f"--{field.replace('_', '-')}",)
        if isinstance(kind := more.get("type"), click.Choice):
            more["metavar"] = "|".join(kind.choices)
        super().__init__([field, *names, *also], **{"default": DEFAULTS.get(field), "show_default": True, **more})
        self.shown = names[0].replace("/", " / ") + ("" if self.is_flag else f" {self.metavar}")
        self.also = f"  [also: {', '.join(also)}]" if also else ""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The option under its first name; the others come last."""
        record = super().get_help_record(ctx)
        return record and (self.shown, record[1] + self.also)


class Source(click.ParamType):
    """Where photos are: a Path, or s3://BUCKET/PREFIX as it stands, since a Path would fold its slashes."""

    name = "source"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        return value if str(value).startswith("s3://") else Path(value)


class Blocks(click.ParamType):
    """How many blocks learn: a number, all or none."""

    name = "blocks"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if value in ("all", "none"):
            return ALL_BLOCKS if value == "all" else 0
        if not re.fullmatch(r"\d{1,3}", value):
            self.fail(f"{value!r} is not a number of blocks, all or none", param, ctx)
        return int(value)


class Epochs(click.ParamType):
    """Epochs after which something happens: 10,20."""

    name = "epochs"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"[1-9]\d{0,5}(,\s*[1-9]\d{0,5}){0,63}", value):
            self.fail(f"{value!r} is not a list of epochs such as 10,20", param, ctx)
        return tuple(map(int, value.split(",")))
