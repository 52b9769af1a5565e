"""The Open Inference Protocol, V2: health, metadata and infer, with its binary extension, as tritonclient speaks it."""

from typing import Any

import numpy as np
from flask import Blueprint, Response, jsonify, request

from bundle.model import Model
from bundle.xml.model import XmlModel
from server import infer, inputs, rows
from server.health import VERSION
from server.infer import about
from server.models import Served
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
            **_outputs(model),
        }
    )


def _outputs(model: Model | XmlModel) -> dict[str, Any]:
    if isinstance(model, XmlModel):
        return {"outputs": [about(name, infer.DATATYPES[name], -1) for name in infer.DOCUMENTS]}
    scores = about("scores", "FP32", -1, len(model.labels))
    return {"outputs": [scores, about("label", "BYTES", -1)], "parameters": {"labels": model.labels}}


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
    content, behind = infer.split(inputs.body(request), request.headers.get(infer.LENGTH))
    wanted = infer.outputs(content, infer.DOCUMENTS if isinstance(served.model, XmlModel) else infer.SCORES)
    pictures = infer.pictures(content, behind, served.model.manifest.preprocess)
    head = {"model_name": name, "model_version": version(served.model.manifest)}
    head |= {key: content[key] for key in ("id", "parameters") if key in content}
    body, length = infer.body(head, _encoded(served, pictures, wanted))
    if length is None:
        return Response(body, content_type="application/json")
    return Response(body, content_type="application/octet-stream", headers={infer.LENGTH: str(length)})


def _encoded(
    served: Served, pictures: list[rows.Picture], wanted: list[infer.Wanted]
) -> list[tuple[dict[str, Any], bytes | None]]:
    if isinstance(served.model, XmlModel):
        found = rows.every_document(models(), served, pictures)
        return [infer.encode_documents(one, found) for one in wanted]
    scores = np.stack(rows.every(models(), served, pictures))
    return [infer.encode(one, scores, served.model.labels) for one in wanted]
