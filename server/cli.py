"""`imago serve`: a flag for every knob."""

from typing import Any

import click

from server import config


def _options(command: click.Command) -> click.Command:
    """One option a knob, with the words of the configuration; what is not given is left to the environment."""
    for name, (flag, variable, default, limits, text) in zip(config.Config.model_fields, config.table(), strict=True):
        about = f"{text}.  [{variable}; default: {default}{'' if limits == '–' else f'; {limits}'}]"
        kind: dict[str, Any] = {"type": str, "multiple": name == "bundle"}
        command.params.append(click.Option([flag], help=about, **kind))
    return command


@_options
@click.command()
def serve(**flags: Any) -> None:
    """Serves one or many bundles over HTTP: a page at /, POST /classify, /models/NAME/classify, /healthz, /readyz.

    The first --bundle also answers at /classify; without any, the embedded default is served.
    """
    chosen = config.read(**flags)
    from server import keys, models, notebook, spans, worker

    models.check(chosen.bundles)
    keys.Keys(chosen)
    spans.check(chosen.otlp)
    notebook.check(chosen.feedback)
    worker.run(chosen)
