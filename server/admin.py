"""What only the operator may do: POST /models/NAME/reload. Keys are asked for before it is reached (server/keys.py)."""

from flask import Blueprint, Response, jsonify

from server import versions
from server.routes import models

blueprint = Blueprint("admin", __name__)


@blueprint.post("/models/<name>/reload")
def reload(name: str) -> Response:
    """Answers when this process has done it; with several the parent then tells the others."""
    before = models().get(name).model.manifest.id
    changed = versions.reload(models(), name)
    told = versions.tell_others(models())
    after = models().get(name).model.manifest.id
    return jsonify({"name": name, "id": after, "before": before, "changed": changed, "others_told": told})
