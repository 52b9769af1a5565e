"""The page for people: drag and drop with JavaScript, a plain form without."""

from typing import Any

from flask import Blueprint, Response, jsonify, make_response, render_template, request

from server import inputs, routes, rows
from server.convert import answered
from server.models import ROUTE

blueprint = Blueprint("form", __name__)


@blueprint.get("/")
def page() -> Response:
    """KServe's clients of V1 ask here whether the server is alive, with `Accept: */*`; who sends no Accept gets the page."""
    if request.accept_mimetypes and not wants_html():
        return jsonify({"status": "alive" if routes.models().alive() else "stuck"})
    return _page(200)


@blueprint.post("/")
def post() -> Response:
    """The form's own post: a page for a browser, JSON for a program."""
    served = rows.admit(routes.models(), None)
    answer = answered(served, inputs.pictures(request))
    if not wants_html():
        return jsonify(answer)
    return _page(200, results=answer.get("results", [answer]), answer=answer)


def error_page(problem: dict[str, Any]) -> Response:
    """The page again, with what went wrong in it."""
    return _page(problem["status"], problem=problem)


def wants_html() -> bool:
    best = request.accept_mimetypes.best_match(["application/json", "text/html"])
    return best == "text/html"


def _page(status: int, **content: Any) -> Response:
    served = routes.models().all()
    ask = ROUTE[served[0].manifest.kind] if served else "classify"
    return make_response(render_template("form.html", model=served[0] if served else None, ask=ask, **content), status)
