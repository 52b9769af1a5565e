"""The Flask application, and the table from errors to answers."""

import time
from typing import Any

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from server import (
    admin,
    catalog,
    convert,
    feedback,
    form,
    health,
    openapi,
    operation,
    plain,
    routes,
    sagemaker,
    samples,
    sources,
    trace,
    v1,
    v2,
)
from server.config import Config
from server.errors import failure, shape
from server.models import Models

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def create_app(config: Config, models: Models) -> Flask:
    """Serves `models`, whether they are loaded yet or not."""
    app = Flask("server")
    app.json.sort_keys = False  # type: ignore[attr-defined]  # answers keep the order that the README shows
    app.config["MAX_CONTENT_LENGTH"] = config.max_body_mb << 20
    app.url_map.merge_slashes = False  # two slashes are another path, and no redirect
    app.extensions["imago"] = models
    sources.install(app, config)
    for room in (form, routes, convert, feedback, catalog, health, admin, v1, v2, sagemaker, openapi):
        app.register_blueprint(room.blueprint)
    app.before_request(_begin)
    operation.install(app, config, models)
    feedback.install(app, config)
    samples.install(app, models)
    app.after_request(_end)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _error)
    return app


def _begin() -> None:
    request.environ["imago.request_id"] = trace.request_id(request.headers.get("X-Request-ID", ""))
    request.environ.setdefault("imago.start", time.monotonic())  # when it was whole; set by the loop
    request.environ.setdefault("imago.gone", None)


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = request.environ["imago.request_id"]
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)  # a training report has a stricter policy of its own
    return response


def _error(error: Exception) -> Response:
    return _answer(failure(error, request.environ["imago.request_id"]))


def _http_error(error: HTTPException) -> Response:
    """Werkzeug's own (404, 405, 413, ...) in the same shape."""
    status = error.code or 500
    sentences = {
        404: f"nothing is at {request.path[:80]}; POST pictures to /classify or /convert, or open / in a browser",
        405: f"{request.method} is not for {request.path[:80]}; wanted {', '.join(getattr(error, 'valid_methods', None) or [])}",
        413: f"the body is too large or has too many parts; at most {_limit_mb()} MB wanted, send fewer or smaller pictures",
    }
    name = error.name.lower().replace(" ", "-")
    detail = sentences.get(status, f"{error.description or error.name}")
    response = _answer(
        shape(status, "too-large" if status == 413 else name, detail, request.environ["imago.request_id"])
    )
    if status == 405:
        response.headers["Allow"] = ", ".join(sorted(getattr(error, "valid_methods", None) or []))
    return response


def _limit_mb() -> int:
    models: Models = routes.models()
    return models.config.max_body_mb


def _answer(body: dict[str, Any]) -> Response:
    """Problem JSON, or what the path's protocol has; for a browser's own form post the page, with the sentence in it."""
    g.code = body["code"]  # for the log and the metrics
    if request.path == "/" and request.method == "POST" and form.wants_html():
        return form.error_page(body)
    if catalog.is_page():
        response = catalog.error_page(body)
    elif plain.speaks(request.path):
        response = plain.answer(body)
    else:
        response = jsonify(body)
        response.status_code = body["status"]
        response.content_type = "application/problem+json"
    if body["status"] == 503:
        response.headers["Retry-After"] = "1"
    return response
