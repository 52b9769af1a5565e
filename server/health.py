"""What an orchestrator asks: alive, ready, which version."""

from importlib.metadata import version

from flask import Blueprint, Response, jsonify

from server.routes import models

blueprint = Blueprint("health", __name__)

VERSION = version("imago")


@blueprint.get("/healthz")
def healthz() -> tuple[Response, int]:
    """Alive: the engine threads run. Loading is alive too."""
    alive = models().alive()
    return jsonify({"alive": alive}), 200 if alive else 503


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Ready: every bundle is verified, loaded and gave its golden answers, and the server is not going down."""
    state = models().state()
    return jsonify({"ready": not state, "reason": state}), 503 if state else 200


@blueprint.get("/version")
def which() -> Response:
    served = [{"name": model.manifest.name, "id": model.manifest.id} for model in models().all()]
    last = models().last_reload
    return jsonify({"imago": VERSION, "models": served, **({"last_reload": last} if last else {})})
