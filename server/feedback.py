"""POST /feedback: what a person says to an answer, checked and kept for the next training; off unless --feedback names a place."""

import hashlib
from typing import Annotated, Any

from flask import Blueprint, Flask, Request, Response, current_app, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bundle.manifest import Digest
from bundle.model import Model
from server import inputs, jsons, notebook, rows
from server.config import Config
from server.errors import BadRequest, BodyTooLarge, NotFound, UnsupportedContent
from server.metrics import Metrics
from server.notebook import Note
from server.operation import Operation
from server.routes import models

blueprint = Blueprint("feedback", __name__)

# Of a body without a picture: a thousand labels of 60 letters.
MOST_BYTES = 64 << 10
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "HEIF": ".heic"}

Labels = Annotated[list[str], Field(max_length=10_000)]


class Said(BaseModel):
    """The body. `answer` and `label` are lists where a picture may have several labels."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    request_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    sha256: Digest
    model: str
    id: Digest
    answer: str | Labels
    label: str | Labels | None
    right: bool
    picture: str | None = None


def install(app: Flask, config: Config) -> None:
    """Comes after operation.install."""
    metrics: Metrics = app.extensions["imago.metrics"]
    book = app.extensions["imago.feedback"] = notebook.of(config, metrics.said)
    if book:
        operation: Operation = app.extensions["imago.operation"]
        operation.at_end.append(book.close)
    offered = ("pictures" if config.feedback_pictures else "labels") if book else ""
    app.context_processor(lambda: {"feedback": offered})


@blueprint.post("/feedback")
def feedback() -> Response:
    book: notebook.Notebook | None = current_app.extensions["imago.feedback"]
    if book is None:
        raise NotFound("this server takes no feedback; its operator can switch it on with --feedback")
    rows.in_time(models())
    with_picture = models().config.feedback_pictures
    said = _said(request, with_picture)
    model = rows.admit(models(), said.model, "classifier").classifier
    _check(said, model)
    picture, suffix = _picture(said, model, with_picture)
    about = said.model_dump(include={"request_id", "id", "answer", "right"})
    book.keep(Note(model=said.model, label=said.label, sha256=said.sha256, about=about, picture=picture, suffix=suffix))
    return jsonify({"taken": True, "request_id": request.environ["imago.request_id"]})


def _said(request: Request, with_picture: bool) -> Said:
    """Raises BadRequest, UnsupportedContent, BodyTooLarge."""
    if request.mimetype != "application/json":
        raise UnsupportedContent(f"feedback of type {request.mimetype or 'none'} is not read here; send JSON")
    body = inputs.body(request)
    if len(body) > MOST_BYTES and not with_picture:
        raise BodyTooLarge(f"feedback has at most {MOST_BYTES >> 10} KB here; send it without the picture")
    content = jsons.read(body)
    try:
        return Said.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ascii(first["loc"][0])[:40].strip("'") if first["loc"] else "the body"
        raise BadRequest(f"{at}: {first['msg'][:200]}; wanted {', '.join(Said.model_fields)}") from None


def _check(said: Said, model: Model) -> None:
    """Raises BadRequest for what cannot be meant."""
    several = model.manifest.scores == "sigmoid"
    for name, value in (("answer", said.answer), ("label", said.label)):
        if value is None:
            continue
        if isinstance(value, list) != several:
            raise BadRequest(f"{name}: the model {said.model} wants {'a list of labels' if several else 'one label'}")
        for label in value if isinstance(value, list) else [value]:
            if label not in model.labels:
                raise BadRequest(f"{name}: {ascii(label[:80])} is none of the labels of {said.model}")
    if said.right != (_set(said.label) == _set(said.answer)):
        raise BadRequest("right does not fit: wanted true where label is the answer, else false")


def _set(value: str | list[str] | None) -> Any:
    return None if value is None else {value} if isinstance(value, str) else set(value)


def _picture(said: Said, model: Model, wanted: bool) -> tuple[bytes | None, str]:
    """The picture's bytes and its file's suffix. Raises BadRequest, PictureError."""
    if said.picture is None:
        return None, ""
    if not wanted:
        raise BadRequest("picture: none are kept here; leave it out")
    data = jsons.from_base64(said.picture, "picture")
    if hashlib.sha256(data).hexdigest() != said.sha256:
        raise BadRequest("sha256 is not that of the picture; send the digest of the very bytes")
    return data, SUFFIXES[model.header(data).picture.format or ""]
