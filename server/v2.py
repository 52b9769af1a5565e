"""The Open Inference Protocol, V2: health, metadata and infer, with its binary extension, as tritonclient speaks it."""

import numpy as np
from flask import Blueprint, Response, jsonify, request

from server import infer, inputs, rows
from server.health import VERSION
from server.infer import about
from server.routes import models
from server.v1 import served_version, version

blueprint = Blueprint("v2", __name__, url_prefix="/v2")


# ---- what is there -------------------------------------------------------------------------


@blueprint.get("")
def server() -> Response:
    extensions = ["binary_tensor_data", "classification", "model_repository"]
    return jsonify({"name": "imago", "version": VERSION, "extensions": extensions})


@blueprint.get("/health/live")
def live() -> tuple[Response, int]:
    alive = models().alive()
    return jsonify({"live": alive}), 200 if alive else 503


@blueprint.get("/health/ready")
def ready() -> tuple[Response, int]:
    fine = models().ready()
    return jsonify({"ready": fine}), 200 if fine else 503


@blueprint.get("/models")
def names() -> Response:
    rows.admit(models(), None)
    return jsonify({"models": [model.manifest.name for model in models().all()]})


@blueprint.get("/models/<name>")
@blueprint.get("/models/<name>/versions/<number>")
def metadata(name: str, number: str | None = None) -> Response:
    """One of the inputs is wanted, not both; `parameters.labels` are in the order of the scores."""
    model = served_version(name, number).model
    spec = model.manifest.preprocess
    return jsonify(
        {
            "name": name,
            "versions": [version(model.manifest)],
            "platform": f"imago_{model.engine.name}",
            "inputs": [about("image", "BYTES", -1), about("pixels", "UINT8", -1, spec.height, spec.width, 3)],
            "outputs": [about("scores", "FP32", -1, len(model.labels)), about("label", "BYTES", -1)],
            "parameters": {"labels": model.labels},
        }
    )


@blueprint.get("/models/<name>/ready")
@blueprint.get("/models/<name>/versions/<number>/ready")
def model_ready(name: str, number: str | None = None) -> tuple[Response, int]:
    served_version(name, number)
    fine = models().ready()
    return jsonify({"name": name, "ready": fine}), 200 if fine else 503


@blueprint.route("/repository/index", methods=["GET", "POST"])
def index() -> Response:
    """Whatever a POST's body filters by: all that is here is ready, or on its way out."""
    rows.admit(models(), None)
    state = {"state": "READY", "reason": ""} if models().ready() else {"state": "UNLOADING", "reason": models().state()}
    loaded = [model.manifest for model in models().all()]
    return jsonify([{"name": one.name, "version": version(one), **state} for one in loaded])


# ---- infer ---------------------------------------------------------------------------------


@blueprint.post("/models/<name>/infer")
@blueprint.post("/models/<name>/versions/<number>/infer")
def answer(name: str, number: str | None = None) -> Response:
    served = served_version(name, number)
    model = served.model
    content, behind = infer.split(inputs.body(request), request.headers.get(infer.LENGTH))
    wanted = infer.outputs(content)
    pictures = infer.pictures(content, behind, model.manifest.preprocess)
    scores = np.stack(rows.every(models(), served, pictures))
    head = {"model_name": name, "model_version": version(model.manifest)}
    head |= {key: content[key] for key in ("id", "parameters") if key in content}
    body, length = infer.body(head, [infer.encode(one, scores, model.labels) for one in wanted])
    if length is None:
        return Response(body, content_type="application/json")
    return Response(body, content_type="application/octet-stream", headers={infer.LENGTH: str(length)})
