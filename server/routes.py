"""/classify: pictures in, labels out."""

from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from bundle.errors import BadPicture, NotAPicture, TooManyPixels
from server import inputs, stages
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
    served = served_models.get(name)
    served_models.left_s(request.environ["imago.start"])  # nothing is decoded for one who waited too long already
    top = inputs.top(request)
    pictures = inputs.pictures(request)
    tail = {
        "model": {"name": served.model.manifest.name, "id": served.model.manifest.id},
        "request_id": request.environ["imago.request_id"],
    }
    if len(pictures) == 1:
        return {"predictions": _predictions(served_models, served, pictures[0], top), **tail}
    return {"results": [_slot(served_models, served, picture, top) for picture in pictures], **tail}


def _slot(served_models: Models, served: Served, picture: bytes, top: int) -> dict[str, Any]:
    try:
        return {"predictions": _predictions(served_models, served, picture, top)}
    except (NotAPicture, BadPicture, TooManyPixels) as error:
        return problem(error, request.environ["imago.request_id"])


def _predictions(served_models: Models, served: Served, picture: bytes, top: int) -> list[Any]:
    with stages.decoding():
        pixels = served.model.prepare(picture)
    left_s = served_models.left_s(request.environ["imago.start"])
    row = served.pool.row(pixels, timeout_s=left_s, gone=request.environ["imago.gone"])
    return list(served.model.answer(row, top))
