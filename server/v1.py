"""TensorFlow Serving's REST protocol, V1: /v1/models/M:predict and what says how M is."""

from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.routing import BaseConverter

from bundle.image import Preprocess
from bundle.manifest import Manifest
from bundle.model import Model
from bundle.xml.model import XmlModel
from server import inputs, jsons, rows, tensors
from server.errors import BadRequest, UnknownModel
from server.models import Served
from server.routes import models
from server.states import AVAILABLE, Version

SIGNATURE = "serving_default"
# A name has one loaded version; this is what operators of TensorFlow Serving call such a one.
LABEL = "stable"
FORMS = 'wanted {"b64": "..."}, {"image_bytes": {"b64": "..."}} or pixels as nested lists'


class Part(BaseConverter):
    """A piece of a path up to the colon of `:predict`."""

    regex = "[^/:]+"


blueprint = Blueprint("v1", __name__)
blueprint.record_once(lambda state: state.app.url_map.converters.update(part=Part))


def version(manifest: Manifest) -> str:
    """The 8 hex digits of the bundle's folder name as a decimal number, since clients want an integer."""
    return str(int(manifest.id[:8], 16))


def served_version(name: str, number: str | None) -> Served:
    """Admits a request for that version of a model. Raises UnknownModel."""
    served = rows.admit(models(), name)
    there = version(served.model.manifest)
    if number not in (None, there):
        raise UnknownModel(f"no version {ascii(number[:20])} of {name} is served; there is {there}")
    return served


@blueprint.get("/v1/models")
def names() -> Response:
    rows.admit(models(), None)
    return jsonify({"models": [model.manifest.name for model in models().all()]})


@blueprint.get("/v1/models/<part:name>")
@blueprint.get("/v1/models/<part:name>/versions/<part:number>")
@blueprint.get("/v1/models/<part:name>/labels/<part:label>")
def status(name: str, number: str | None = None, label: str | None = None) -> Response:
    """Of all versions that are known, the latest first, or of the one that is asked for; a label needs one that is served."""
    if label is not None:
        number = version(_served(name, None, label).model.manifest)
    rows.in_time(models())
    found = [one for one in models().versions(name) if number in (None, version(one.manifest))]
    if not found:
        raise UnknownModel(f"no version {ascii(str(number)[:20])} of {name} is known; GET /v1/models/{name} lists them")
    ready = any(one.state == AVAILABLE for one in found)
    return jsonify({"model_version_status": [_status(one) for one in found], "name": name, "ready": ready})


@blueprint.get("/v1/models/<part:name>/metadata")
@blueprint.get("/v1/models/<part:name>/versions/<part:number>/metadata")
@blueprint.get("/v1/models/<part:name>/labels/<part:label>/metadata")
def metadata(name: str, number: str | None = None, label: str | None = None) -> Response:
    """In TensorFlow Serving's words; `labels` are ours, in the order of the scores."""
    model = _served(name, number, label).model
    spec = model.manifest.preprocess
    outputs, more = _outputs(model)
    signature = {
        "inputs": {
            "image_bytes": _tensor("image_bytes", "DT_STRING", -1),
            "pixels": _tensor("pixels", "DT_UINT8", -1, spec.height, spec.width, 3),
        },
        "outputs": outputs,
        "method_name": "tensorflow/serving/predict",
    }
    about = {"name": name, "signature_name": "", "version": version(model.manifest)}
    signatures = {"signature_def": {SIGNATURE: signature}}
    return jsonify({"model_spec": about, "metadata": {"signature_def": signatures}, **more})


@blueprint.post("/v1/models/<part:name>:predict")
@blueprint.post("/v1/models/<part:name>/versions/<part:number>:predict")
@blueprint.post("/v1/models/<part:name>/labels/<part:label>:predict")
def predict(name: str, number: str | None = None, label: str | None = None) -> Response:
    served = _served(name, number, label)
    content = jsons.read_with_nan(inputs.body(request))  # whatever its type: curl calls it a form
    key, pictures = _pictures(content, served.model.manifest.preprocess)
    return jsonify({"predictions" if key == "instances" else "outputs": _answers(served, pictures)})


def _outputs(model: Model | XmlModel) -> tuple[dict[str, Any], dict[str, Any]]:
    """The outputs' tensors, and what is said of them besides."""
    if isinstance(model, XmlModel):
        return {"xml": _tensor("xml", "DT_STRING", -1)}, {}
    return {"scores": _tensor("scores", "DT_FLOAT", -1, len(model.labels))}, {"labels": model.labels}


def _answers(served: Served, pictures: list[rows.Picture]) -> list[Any]:
    """Rows of scores, or documents."""
    if isinstance(served.model, XmlModel):
        return [found.xml.decode() for found in rows.every_document(models(), served, pictures)]
    return [row.tolist() for row in rows.every(models(), served, pictures)]


def instances(values: Any, where: str, spec: Preprocess) -> list[rows.Picture]:
    """The pictures of a list, each in any of its forms. Raises BadRequest."""
    if not isinstance(values, list) or not 1 <= len(values) <= rows.MAX_PICTURES:
        raise BadRequest(f"{where} is no list of 1 to {rows.MAX_PICTURES} pictures; {FORMS} for each")
    return [_instance(value, f"{where}[{at}]", spec) for at, value in enumerate(values)]


def _served(name: str, number: str | None, label: str | None) -> Served:
    if label not in (None, LABEL):
        raise UnknownModel(f"no version of {name} has the label {ascii(label[:20])}; there is {LABEL}")
    return served_version(name, number)


def _status(one: Version) -> dict[str, Any]:
    code = "FAILED_PRECONDITION" if one.error else "OK"
    status = {"error_code": code, "error_message": one.error}
    return {"version": version(one.manifest), "state": one.state, "status": status}


def _pictures(content: Any, spec: Preprocess) -> tuple[str, list[rows.Picture]]:
    """Which of the two forms it was, and its pictures."""
    if not isinstance(content, dict) or ("instances" in content) == ("inputs" in content):
        raise BadRequest("wanted an object with either instances, row by row, or inputs, column by column")
    name = content.get("signature_name", SIGNATURE)
    if name not in (SIGNATURE, ""):
        raise BadRequest(f"there is no such signature_name; wanted {SIGNATURE}, or none")
    if "instances" in content:
        return "instances", instances(content["instances"], "instances", spec)
    return "inputs", instances(_column(content["inputs"]), "inputs", spec)


def _column(inputs: Any) -> Any:
    """The one column there is, with or without its name; a single picture is a column of one."""
    if isinstance(inputs, dict) and len(inputs) == 1 and "b64" not in inputs:
        (inputs,) = inputs.values()
    return [inputs] if isinstance(inputs, dict) else inputs


def _instance(value: Any, where: str, spec: Preprocess) -> rows.Picture:
    if isinstance(value, dict) and len(value) == 1 and "b64" not in value:
        (value,) = value.values()
    if isinstance(value, dict) and value.keys() == {"b64"}:
        return jsons.from_base64(value["b64"], f"{where}.b64")
    if not isinstance(value, list):
        raise BadRequest(f"{where} is no picture; {FORMS}")
    dims, flat = tensors.flatten(value, where)
    wanted = (spec.height, spec.width, 3)
    if dims != wanted:
        raise BadRequest(f"{where} has the shape {list(dims)}; wanted {list(wanted)}, rows of red, green and blue")
    return tensors.pixels(tensors.numbers(flat, where), wanted, where)


def _tensor(name: str, dtype: str, *dims: int) -> dict[str, Any]:
    shape = {"dim": [{"size": str(dim), "name": ""} for dim in dims], "unknown_rank": False}
    return {"dtype": dtype, "tensor_shape": shape, "name": name}
