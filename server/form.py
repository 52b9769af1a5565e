"""The page for people: drag and drop with JavaScript, a plain form without."""

import time
from typing import Any

from flask import Blueprint, Response, jsonify, make_response, render_template, request

from bundle.model import Model
from bundle.xml.model import XmlModel
from server import drawing, inputs, routes, rows
from server.convert import answered
from server.errors import BadRequest
from server.models import ROUTE
from server.words import WORDS

blueprint = Blueprint("form", __name__)


@blueprint.get("/")
def page() -> Response:
    """KServe's clients of V1 ask here whether the server is alive, with `Accept: */*`; who sends no Accept gets the page."""
    if request.accept_mimetypes and not wants_html():
        return jsonify({"status": "alive" if routes.models().alive() else "stuck"})
    return _page(200, request.args.get("model"))


@blueprint.post("/")
def post() -> Response:
    """The form's own post: a page for a browser, JSON for a program."""
    served = rows.admit(routes.models(), None)
    if name := _known(inputs.field(request, "model")):
        served = rows.admit(routes.models(), name)
    answer = answered(served, inputs.pictures(request))
    if not wants_html():
        return jsonify(answer)
    results = answer.get("results", [answer])
    took = time.monotonic() - request.environ["imago.start"]
    drawings = [_drawing(served.model, result) for result in results]
    return _page(200, name, results=results, answer=answer, took=took, drawings=drawings)


def error_page(problem: dict[str, Any]) -> Response:
    """The page again, with what went wrong in it."""
    return _page(problem["status"], None, problem=problem)


def wants_html() -> bool:
    best = request.accept_mimetypes.best_match(["application/json", "text/html"])
    return best == "text/html"


def _known(name: str) -> str | None:
    """What the form's chooser says. Raises BadRequest."""
    names = [model.manifest.name for model in routes.models().all()]
    if name and names and name not in names:
        raise BadRequest(f"model={name[:40]!r}: wanted one of {', '.join(names)}")
    return name or None


def _page(status: int, name: str | None, **content: Any) -> Response:
    """With the named model chosen, or the first."""
    served = routes.models()
    models = [_about(model) for model in served.all()]
    chosen = next((one for one in models if one["name"] == name), models[0] if models else None)
    most_mb = served.config.max_body_mb
    text = render_template("form.html", models=models, model=chosen, most_mb=most_mb, words=WORDS, **content)
    return make_response(text, status)


def _about(model: Model | XmlModel) -> dict[str, Any]:
    """What the page says of a model, and how a picture lies in what the model sees."""
    manifest = model.manifest
    labels = model.labels if isinstance(model, Model) else ()
    makes = f"{len(labels)} labels" if labels else "pictures to SVG" if _svg(model) else "pictures to XML"
    spec = manifest.preprocess
    return {
        "name": manifest.name,
        "id": manifest.id,
        "about": makes,
        "labels": labels,
        "ask": f"/models/{manifest.name}/{ROUTE[manifest.kind]}",
        "resize": spec.resize,
        "ratio": spec.width / spec.height,
    }


def _drawing(model: Model | XmlModel, result: dict[str, Any]) -> str:
    return drawing.data_url(result["xml"].encode()) if _svg(model) and "xml" in result else ""


def _svg(model: Model | XmlModel) -> bool:
    return isinstance(model, XmlModel) and model.svg
