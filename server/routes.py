"""/classify: pictures in, labels out."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from bundle.errors import PictureError
from server import inputs, rows
from server.errors import problem
from server.models import Models, Served

blueprint = Blueprint("classify", __name__)


@blueprint.post("/classify")
@blueprint.post("/models/<name>/classify")
def classify(name: str | None = None) -> Response:
    return jsonify(answer(models(), name))


def models() -> Models:
    found: Models = current_app.extensions["imago"]
    return found


def answer(served_models: Models, name: str | None) -> dict[str, Any]:
    """What the request asked for; of several pictures a bad one fails in its own slot, a single one as a whole."""
    served = rows.admit(served_models, name)
    return labelled(served, inputs.pictures(request))


def labelled(served: Served, pictures: Sequence[rows.Picture]) -> dict[str, Any]:
    top = inputs.top(request)
    tail = {
        "model": {"name": served.model.manifest.name, "id": served.model.manifest.id},
        "request_id": request.environ["imago.request_id"],
    }
    found = rows.each(models(), served, pictures)
    if len(found) > 1:
        return {"results": [_slot(served, row, top) for row in found], **tail}
    if isinstance(found[0], PictureError):
        raise found[0]
    return {**_slot(served, found[0], top), **tail}


def _slot(served: Served, row: rows.Outcome, top: int) -> dict[str, Any]:
    if isinstance(row, PictureError):
        return problem(row, request.environ["imago.request_id"])
    return {"predictions": served.model.answer(row, top)}
