"""The pictures in a request, whichever way they came: a form's parts, a raw body, or base64 in JSON."""

from typing import Any

from flask import Request

from server import jsons, multipart, sources
from server.documents import How
from server.errors import BadRequest, UnsupportedContent

FIELD = "image"
MOST_BEAMS = 8
HOW = "send a multipart form with a part named image, a body of type image/*, or JSON with image in base64"


def pictures(request: Request) -> list[bytes]:
    """At least one, in order. Raises BadRequest, UnsupportedContent; too long a body is raised by Werkzeug."""
    kind = request.mimetype
    if kind == "multipart/form-data":
        return _parts(request)
    if kind == "application/json":
        return [from_json(jsons.read(body(request)))]
    if kind.startswith("image/") or kind == "application/octet-stream":
        return [body(request)]
    raise UnsupportedContent(f"a body of type {kind or 'none'} is not read here; {HOW}")


def field(request: Request, name: str) -> str:
    """What a form says beside its pictures; empty where it says nothing, or where the body is no form. Raises as `pictures`."""
    if request.mimetype != "multipart/form-data":
        return ""
    parts = multipart.parts(body(request), request.mimetype_params.get("boundary", ""))
    said = (part.data for part in parts if part.name == name.encode() and not part.is_file)
    return next(said, b"").decode("utf-8", "replace")


def top(request: Request) -> int:
    """How many labels the client wants. Raises BadRequest."""
    return _number(request, "top", 5, (1, 1000))


def how(request: Request) -> How:
    """How a document is to be made. Raises BadRequest."""
    return How(beam=_number(request, "beam", 1, (1, MOST_BEAMS)), fit=flag(request, "fit", default=True))


def flag(request: Request, name: str, *, default: bool) -> bool:
    """Raises BadRequest."""
    return bool(_number(request, name, int(default), (0, 1)))


def _number(request: Request, name: str, default: int, limits: tuple[int, int]) -> int:
    text = request.args.get(name, str(default))
    least, most = limits
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not least <= int(text) <= most:
        raise BadRequest(f"{name}={text[:20]!r}: wanted a number from {least} to {most}")
    return int(text)


def body(request: Request) -> bytes:
    """All of it, as the loop has read it, under its limits. Of a body without a length that comes another way Werkzeug reads up to
    the limit and says nothing, so one byte more is asked for."""
    if (whole := request.environ.get("imago.body")) is not None:
        read: bytes = whole
        return read
    found = request.get_data()
    if request.content_length is None and len(found) == request.max_content_length:
        request.stream.read(1)
    return found


def _parts(request: Request) -> list[bytes]:
    parts = multipart.parts(body(request), request.mimetype_params.get("boundary", ""))
    found = [part.data for part in parts if part.name == FIELD.encode() and part.is_file]
    if not found:
        raise BadRequest("no picture in the form; choose one, in a part named image that has a file name")
    return found


def from_json(content: Any) -> bytes:
    """The one picture of {"image": "base64..."}. Raises BadRequest."""
    if (named := sources.named(content)) is not None:
        return named
    if not isinstance(content, dict) or not isinstance(content.get(FIELD), str):
        raise BadRequest('wanted {"image": "base64..."}: an object whose image is a string')
    return jsons.from_base64(content[FIELD], FIELD)
