"""SageMaker's two routes: /ping, and /invocations, which answers as /classify or /convert does for the first model."""

from flask import Blueprint, Response, jsonify, request

from bundle.image import Preprocess
from server import inputs, jsons, rows, v1
from server.convert import answered
from server.errors import BadRequest
from server.routes import models

blueprint = Blueprint("sagemaker", __name__)


@blueprint.get("/ping")
def ping() -> tuple[Response, int]:
    state = models().state()
    return jsonify({"ready": not state, "reason": state}), 503 if state else 200


@blueprint.post("/invocations")
def invocations() -> Response:
    served = rows.admit(models(), None)
    return jsonify(answered(served, _pictures(served.model.manifest.preprocess)))


def _pictures(spec: Preprocess) -> list[rows.Picture]:
    """What /classify takes; `application/x-image`, and JSON with `instances` as V1 has them, besides."""
    if request.mimetype == "application/x-image":
        return [inputs.body(request)]
    if request.mimetype != "application/json":
        return list(inputs.pictures(request))
    content = jsons.read(inputs.body(request))
    if isinstance(content, dict) and content.keys() >= {"image", "instances"}:
        raise BadRequest("both image and instances came; wanted one of them")
    if isinstance(content, dict) and "instances" in content:
        return v1.instances(content["instances"], "instances", spec)
    return [inputs.from_json(content)]
