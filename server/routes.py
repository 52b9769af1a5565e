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
    served = rows.admit(models(), name, "classifier")
    return jsonify(labelled(served, inputs.pictures(request)))


def models() -> Models:
    found: Models = current_app.extensions["imago"]
    return found


def labelled(served: Served, pictures: Sequence[rows.Picture]) -> dict[str, Any]:
    """Of several pictures a bad one fails in its own slot, a single one as a whole."""
    top = inputs.top(request)
    found = rows.each(models(), served, pictures)
    if len(found) > 1:
        return {"results": [_slot(served, row, top) for row in found], **tail(served)}
    if isinstance(found[0], PictureError):
        raise found[0]
    return {**_slot(served, found[0], top), **tail(served)}


def tail(served: Served) -> dict[str, Any]:
    """What every answer ends with: who gave it, and to which request."""
    return {
        "model": {"name": served.model.manifest.name, "id": served.model.manifest.id},
        "request_id": request.environ["imago.request_id"],
    }


def _slot(served: Served, row: rows.Outcome, top: int) -> dict[str, Any]:
    if isinstance(row, PictureError):
        return problem(row, request.environ["imago.request_id"])
    return {"predictions": served.classifier.answer(row, top)}
