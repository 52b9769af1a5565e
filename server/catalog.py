"""GET /models: what is served, as a page for people and as JSON for programs; and the training report that stands beside a bundle."""

import os
import stat
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, make_response, render_template, request, url_for

from bundle.model import Model
from server import rows
from server.errors import NotFound
from server.form import wants_html
from server.models import DOES, ROUTE, Served
from server.routes import models

blueprint = Blueprint("catalog", __name__)

# A report of a thousand labels has some hundred kilobytes; pictures in it are data.
MOST_BYTES = 32 << 20
# Whatever a report says, it runs nothing, loads nothing and posts nothing, and has an origin of its own.
REPORT_POLICY = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blueprint.get("/models")
def index() -> Response:
    rows.admit(models(), None)
    found = [describe(models().get(model.manifest.name)) for model in models().all()]
    if wants_html():
        return make_response(render_template("models.html", models=found, does=DOES))
    return jsonify({"models": found})


@blueprint.get("/models/<name>/report")
def report(name: str) -> Response:
    directory = models().get(name).model.directory
    content = _read(_report(directory))
    if content is None:
        raise NotFound(
            f"no training report stands beside the bundle of {name}; its operator can put {directory.name}.report there"
        )
    headers = {"Content-Security-Policy": REPORT_POLICY}
    return Response(content, content_type="text/html; charset=utf-8", headers=headers)


def is_page() -> bool:
    """Whether a browser asks for one of these, so that an error is a page too."""
    ours = request.path == "/models" or (request.path.startswith("/models/") and request.path.endswith("/report"))
    return ours and request.method == "GET" and wants_html()


def error_page(problem: dict[str, Any]) -> Response:
    return make_response(render_template("models.html", models=[], problem=problem), problem["status"])


def describe(served: Served) -> dict[str, Any]:
    model, manifest = served.model, served.model.manifest
    return {
        "name": manifest.name,
        "id": manifest.id,
        "kind": manifest.kind,
        "post": f"/models/{manifest.name}/{ROUTE[manifest.kind]}",
        "engine": model.engine.name,
        "since": served.since.isoformat(timespec="seconds").replace("+00:00", "Z"),
        **_answers(served),
        "preprocess": manifest.preprocess.model_dump(),
        "metrics": manifest.metrics,
        "golden": {"pictures": _goldens(served), "warnings": list(model.warnings)},
        "training": manifest.training.model_dump() if manifest.training else None,
        "report": _link(manifest.name, model.directory),
    }


def _answers(served: Served) -> dict[str, Any]:
    """What its answers are made of."""
    model = served.model
    if isinstance(model, Model):
        several = {"thresholds": model.manifest.thresholds} if model.manifest.thresholds else {}
        return {"scores": model.manifest.scores, "labels": list(model.labels), **several}
    about = model.manifest.model_dump(include={"vocabulary", "most_tokens", "sure"})
    return {"labels": [], "documents": "SVG" if model.svg else "XML", **about}


def _goldens(served: Served) -> int:
    """All gave their answers when it was loaded, or it would not be here."""
    return sum(name.startswith("golden/") for name in served.model.manifest.files) - 1  # expected.json


def _link(name: str, directory: Path) -> str | None:
    return url_for("catalog.report", name=name) if _report(directory).is_file() else None


def _report(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.report") / "index.html"


def _read(path: Path) -> bytes | None:
    """A plain file of a sane size; None for everything else."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            return file.read(MOST_BYTES) if stat.S_ISREG(status.st_mode) and status.st_size <= MOST_BYTES else None
    except OSError:
        return None
