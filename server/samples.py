"""Pictures to try the embedded default with, one click each; `make samples` draws them into static/samples/."""

from functools import cache
from importlib import resources
from pathlib import Path

from flask import Flask

from server.models import Models

PACKAGE = Path(str(resources.files("server")))


def install(app: Flask, models: Models) -> None:
    app.context_processor(lambda: {"samples": offered(models)})


def offered(models: Models) -> list[dict[str, str]]:
    """Of each its address and what it shows; none where the first model is not the one that knows them."""
    served = models.all()
    if not served or served[0].manifest.kind != "classifier" or served[0].directory.parent != PACKAGE / "bundles":
        return []
    return [{"url": f"/static/samples/{name}.png", "alt": f"a drawn {name.replace('-', ' ')}"} for name in names()]


@cache
def names() -> list[str]:
    """Each is the label that the embedded default gives it."""
    return sorted(path.stem for path in (PACKAGE / "static" / "samples").glob("*.png"))
