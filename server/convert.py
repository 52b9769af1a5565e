"""/convert: pictures in, XML out; whole, as the document itself, or piece by piece as server-sent events."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from flask import Blueprint, Response, g, jsonify, request, stream_with_context

from bundle.errors import PictureError
from bundle.xml.decode import Piece
from bundle.xml.model import Converted, XmlModel
from server import inputs, rows
from server.documents import How
from server.errors import BadRequest, NotAcceptable, failure, problem
from server.models import Served
from server.routes import labelled, models, tail

blueprint = Blueprint("convert", __name__)

JSON, XML, SVG = "application/json", "application/xml", "image/svg+xml"


@blueprint.post("/convert")
@blueprint.post("/models/<name>/convert")
def convert(name: str | None = None) -> Response:
    served = rows.admit(models(), name, "xml")
    model = served.converter
    how = inputs.how(request)
    if inputs.flag(request, "stream", default=False):
        return _stream(served, how)
    wanted = _wanted(model)
    pictures = inputs.pictures(request)
    if wanted == JSON:
        return jsonify(converted(served, pictures, how))
    return _document(served, pictures, how, wanted)


def answered(served: Served, pictures: Sequence[rows.Picture]) -> dict[str, Any]:
    """As /classify or /convert answers, whichever the model is for."""
    if isinstance(served.model, XmlModel):
        return converted(served, pictures, inputs.how(request))
    return labelled(served, pictures)


def converted(served: Served, pictures: Sequence[rows.Picture], how: How) -> dict[str, Any]:
    """Of several pictures a bad one fails in its own slot, a single one as a whole."""
    found = rows.documents(models(), served, pictures, how)
    if len(found) > 1:
        return {"results": [_slot(one) for one in found], **tail(served)}
    if isinstance(found[0], PictureError):
        raise found[0]
    return {**_slot(found[0]), **tail(served)}


def _slot(found: rows.Document) -> dict[str, Any]:
    if isinstance(found, PictureError):
        return problem(found, request.environ["imago.request_id"])
    return {
        "xml": found.xml.decode(),
        "valid": found.valid,
        "sure": found.sure,
        "score": found.score,
        "tokens": found.tokens,
    }


# ---- the document itself -------------------------------------------------------------------


def _wanted(model: XmlModel) -> str:
    """The type of the answer. Raises NotAcceptable."""
    types = [JSON, XML, *([SVG] if model.svg else [])]
    asked = request.accept_mimetypes
    if (best := asked.best_match(types)) is None and asked.best_match([SVG]):
        name = model.manifest.name
        raise NotAcceptable(f"the documents of {name} are no SVG; wanted Accept: {JSON} or {XML}")
    return best or JSON


def _document(served: Served, pictures: Sequence[rows.Picture], how: How, kind: str) -> Response:
    """How much it is to be believed stands in the header."""
    if len(pictures) > 1:
        raise NotAcceptable(f"{len(pictures)} documents are no document; wanted one picture, or Accept: {JSON}")
    (found,) = rows.documents(models(), served, pictures, how)
    if isinstance(found, PictureError):
        raise found
    headers = {"X-Imago-Sure": str(found.sure).lower(), "X-Imago-Score": f"{found.score:.6f}"}
    return Response(found.xml, content_type=f"{kind}; charset=utf-8", headers=headers)


# ---- piece by piece ------------------------------------------------------------------------


def _stream(served: Served, how: How) -> Response:
    """What goes wrong before the first piece is an answer as any other."""
    if how.beam > 1:
        raise BadRequest(f"beam={how.beam} with stream=1: wanted one of them, a beam knows its document at the end")
    pictures = inputs.pictures(request)
    if len(pictures) > 1:
        raise BadRequest(f"{len(pictures)} pictures with stream=1; wanted one, send several requests")
    found = rows.streamed(models(), served, pictures[0], how)
    lines = stream_with_context(_events(served, chain([next(found)], found)))
    request.environ["imago.streamed"] = True  # for the loop, which sends each piece at once
    return Response(lines, content_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _events(served: Served, found: Iterator[Piece | Converted]) -> Iterator[bytes]:
    try:
        for one in found:
            if isinstance(one, Converted):
                yield _event("answer", {**_slot(one), **tail(served)})
            elif one.text:
                yield _event("piece", {"text": one.text, "tokens": one.tokens})
    except Exception as error:  # the status has gone out already
        content = failure(error, request.environ["imago.request_id"])
        g.code = content["code"]  # for the log and the metrics
        yield _event("error", content)


def _event(name: str, content: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n".encode()
