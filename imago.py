"""The command `imago`: a verb and the module that does it, imported when it is used."""

import importlib
import sys

import click

VERBS = {
    "train": ("training.cli:train", "Train a model and write it as a bundle."),
    "evaluate": ("training.evaluate:evaluate", "Judge a bundle on pictures whose labels or XML are known."),
    "export": ("converter.export_cli:export", "Write a bundle for other runtimes: Core ML, LiteRT, ONNX and more."),
    "predict": ("bundle.predict:predict", "Label pictures with a bundle, or make XML from them."),
    "serve": ("server.cli:serve", "Serve one or many bundles over HTTP."),
    "import": ("converter.import_cli:import_", "Make a bundle of a model that another tool trained."),
    "bundle": ("bundle.cli:bundle", "Show, verify, list, compare and prune bundles."),
    "data": ("training.data.cli:data", "Make data sets and look after the cache."),
}


class Verbs(click.Group):
    """Lists every verb without importing the module behind it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="imago")
def cli() -> None:
    """A folder of pictures goes in, a rolled-out service comes out."""


def main() -> None:
    """Runs the command line: what a user can mend is one sentence on stderr and exit status 1."""
    try:
        cli(prog_name="imago")
    except Exception as error:
        from bundle.errors import ImagoError

        if not isinstance(error, ImagoError | OSError):
            raise
        click.echo(f"imago: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
