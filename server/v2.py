"""The Open Inference Protocol, V2: health, metadata and infer, with its binary extension, as tritonclient speaks it."""

from typing import Any

import numpy as np
from flask import Blueprint, Response, jsonify, request

from bundle.model import Model
from bundle.xml.model import XmlModel
from server import admin, infer, inputs, jsons, rows
from server.errors import BadRequest, Forbidden
from server.health import VERSION
from server.infer import about
from server.models import Served
from server.routes import models
from server.states import AVAILABLE, END, LOADING, START, UNLOADING, Version
from server.v1 import served_version, version

blueprint = Blueprint("v2", __name__, url_prefix="/v2")

# In this protocol's words.
STATES = {START: "LOADING", LOADING: "LOADING", AVAILABLE: "READY", UNLOADING: "UNLOADING", END: "UNAVAILABLE"}


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


# ---- the repository: what the operator's --bundle names ------------------------------------


@blueprint.route("/repository/index", methods=["GET", "POST"])
def index() -> Response:
    """Every version that is known; a POST's {"ready": true} leaves those that answer."""
    rows.in_time(models())
    asked = _asked("index", {"ready": bool, "repository_name": str}) if request.method == "POST" else {}
    ready = asked.get("ready", False)
    found = [one for one in models().versions(None) if one.state == AVAILABLE or not ready]
    return jsonify([_indexed(one) for one in found])


@blueprint.post("/repository/models/<name>/load")
def load(name: str) -> Response:
    """A reload under the name that clients of this protocol know."""
    if _asked("load", {"parameters": dict}).get("parameters"):
        raise BadRequest("a load takes no parameters here; what is loaded is what the operator's --bundle names")
    return admin.reload(name)


@blueprint.post("/repository/models/<name>/unload")
def unload(name: str) -> Response:
    raise Forbidden(f"{name[:64]} cannot be unloaded here; the server serves what its --bundle names until it ends")


def _asked(what: str, wanted: dict[str, type]) -> dict[str, Any]:
    """The body's object; no body is an empty one. Raises BadRequest."""
    content = jsons.read(inputs.body(request) or b"{}")
    if not isinstance(content, dict) or not all(type(content.get(key, kind())) is kind for key, kind in wanted.items()):
        raise BadRequest(f"{what} takes no such body; wanted none, or an object with {', '.join(wanted)}")
    return content


def _indexed(one: Version) -> dict[str, str]:
    reason = one.error or models().state()
    return {"name": one.manifest.name, "version": version(one.manifest), "state": STATES[one.state], "reason": reason}


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
