"""The table of routes as an OpenAPI 3.1 document, and as a page that needs nothing from elsewhere."""

import json
import re
from functools import cache
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, jsonify, render_template

from server.api import ROUTES, Route
from server.health import VERSION
from server.schemas import BINARY, SCHEMAS

blueprint = Blueprint("openapi", __name__)

ABOUT = (
    "Pictures in, labels or XML out. Any request may be answered by the server's loop before its route is looked at: "
    "400 for what is no HTTP, 408 for a request that was not whole in time, 413 for a body over the limit, 415 for a compressed "
    "body, 431 for too long a head, 503 where everything is taken; these are problem details (RFC 9457) on all paths."
)
QUERY = {
    name: {
        "name": name,
        "in": "query",
        "description": words,
        "schema": {"type": "integer", "minimum": least, "maximum": most, "default": default},
    }
    for name, words, least, most, default in (
        ("top", "how many labels to answer with", 1, 1000, 5),
        ("beam", "documents looked at side by side", 1, 8, 1),
        ("fit", "whether a drawing's coordinates are fitted to the picture", 0, 1, 1),
        ("stream", "whether the document comes piece by piece, as server-sent events; not with a beam", 0, 1, 0),
    )
}

# Wanted only where the operator names files of keys.
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


@blueprint.get("/openapi.json")
def as_json() -> Response:
    return jsonify(document())


@blueprint.get("/docs")
def as_page() -> str:
    tags = {tag: [route for route in ROUTES if route.tag == tag] for tag in dict.fromkeys(r.tag for r in ROUTES)}
    schemas = {name: json.dumps(schema, indent=1) for name, schema in SCHEMAS.items()}
    return render_template("docs.html", tags=tags, schemas=schemas, about=ABOUT, version=VERSION, query=QUERY)


@cache
def document() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Imago", "version": VERSION, "description": ABOUT},
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": SECURITY},
    }


def _operation(route: Route) -> dict[str, Any]:
    words = re.findall(r"[a-z0-9]+", route.path)
    content: dict[str, Any] = {
        "operationId": "-".join([route.method.lower(), *words]),
        "tags": [route.tag],
        "summary": route.summary,
        "responses": {},
    }
    if route.good:
        content["responses"]["200"] = {"description": HTTPStatus(200).phrase, "content": _content(route.good)}
    for status in sorted(route.errors):
        content["responses"][str(status)] = _error(route, status)
    if 401 in route.errors:
        content["security"] = [{}, *({name: []} for name in SECURITY)]
    names = [{"name": n, "in": "path", "required": True, "schema": _text()} for n in re.findall(r"{(\w+)}", route.path)]
    if names or route.query:
        content["parameters"] = names + [QUERY[name] for name in route.query]
    if route.bodies:
        content["requestBody"] = {
            "required": not route.optional,
            "content": _content(route.bodies),
        }
    return content


def _error(route: Route, status: int) -> dict[str, Any]:
    """Where there are no codes the answer is the good one's, with another status: health."""
    codes = route.errors[status]
    if not codes:
        return {"description": "not now", "content": _content(route.good)}
    schema = "Problem" if route.error_type.endswith("problem+json") else "Error"
    content: dict[str, Any] = {"description": ", ".join(codes), "content": _content({route.error_type: schema})}
    if "text/html" in route.good:
        content["content"] |= _content({"text/html": ""})
    if status == 503:
        content["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return content


def _content(kinds: dict[str, str]) -> dict[str, Any]:
    """A schema by its name; what has none is text or bytes."""
    other = {kind: _text() for kind in kinds if kind.startswith("text/") or kind.endswith("xml")}
    return {
        kind: {"schema": {"$ref": f"#/components/schemas/{name}"} if name else other.get(kind, BINARY)}
        for kind, name in kinds.items()
    }


def _text() -> dict[str, Any]:
    return {"type": "string", "minLength": 1}
