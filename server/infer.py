"""What an infer request of V2 says, in JSON and in the bytes behind it, and what its answer says; knows no model and no route."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from bundle.image import Preprocess
from bundle.xml.model import Converted
from server import jsons, rows, tensors
from server.errors import BadRequest

LENGTH = "Inference-Header-Content-Length"
# Of a model that classifies, and of one that makes XML.
SCORES, DOCUMENTS = ("scores", "label"), ("xml", "sure", "score")
DATATYPES = {"scores": "FP32", "label": "BYTES", "xml": "BYTES", "sure": "BOOL", "score": "FP32"}


@dataclass(frozen=True)
class Wanted:
    """An output that the request asked for."""

    name: str
    binary: bool
    classes: int  # 0: the tensor itself; else so many "score:index:label" of it


def split(body: bytes, text: str | None) -> tuple[dict[str, Any], bytes]:
    """The JSON, and the bytes behind it where the header, `text`, says that there are some."""
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= len(body)):
        raise BadRequest(f"{LENGTH} is {ascii(text[:20])}; wanted the length of the JSON, at most {len(body)}")
    size = len(body) if text is None else int(text)
    content = jsons.read(body[:size])
    if not isinstance(content, dict) or not isinstance(content.get("id", ""), str):
        raise BadRequest("wanted an object with inputs, and with an id that is a string, or none")
    _parameters(content, "the request")
    return content, body[size:]


def outputs(content: dict[str, Any], names: tuple[str, ...]) -> list[Wanted]:
    """The outputs in the order they are asked for; all of `names` where none is."""
    binary = _flag(_parameters(content, "the request"), "binary_data_output", "the request")
    asked = content.get("outputs") or [{"name": name} for name in names]
    if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
        raise BadRequest('outputs is no list of objects; wanted [{"name": "' + names[0] + '"}]')
    found = [_wanted_one(one, names, binary=binary) for one in asked]
    if len({one.name for one in found}) < len(found):
        raise BadRequest("an output is asked for twice; wanted each once")
    return found


def _wanted_one(asked: dict[str, Any], names: tuple[str, ...], *, binary: bool) -> Wanted:
    name = asked.get("name")
    if name not in names:
        raise BadRequest(f"there is no output {ascii(name)[:40]}; wanted {' or '.join(names)}")
    parameters = _parameters(asked, name)
    classes = parameters.get("classification", 0)
    if type(classes) is not int or classes < 0 or (classes and name != "scores"):
        raise BadRequest("classification is for the output scores, and wanted as a number of labels, 1 or more")
    if "binary_data" in parameters:
        binary = _flag(parameters, "binary_data", name)
    return Wanted(name, binary, classes)


def pictures(content: dict[str, Any], behind: bytes, spec: Preprocess) -> list[rows.Picture]:
    given = content.get("inputs")
    if not isinstance(given, list) or len(given) != 1 or not isinstance(given[0], dict):
        raise BadRequest("wanted one input, in a list: image, encoded pictures as BYTES, or pixels as UINT8")
    tensor, name = given[0], given[0].get("name")
    dims = _shape(tensor)
    data = _data(tensor, behind)
    if name == "image":
        return list(_encoded(tensor, dims, data))
    if name != "pixels":
        raise BadRequest(f"there is no input {ascii(name)[:40]}; wanted image or pixels")
    return list(_levels(tensor, dims, data, spec))


def _shape(tensor: dict[str, Any]) -> tuple[int, ...]:
    """With the number of pictures in front, told before any data is looked at."""
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not shape or not all(type(dim) is int and 0 <= dim < 1 << 31 for dim in shape):
        raise BadRequest("an input's shape is no list of sizes; wanted whole numbers, the count of pictures first")
    if not 1 <= shape[0] <= rows.MAX_PICTURES:
        raise BadRequest(f"{shape[0]} pictures in one request; wanted 1 to {rows.MAX_PICTURES}, send several requests")
    return tuple(shape)


def _data(tensor: dict[str, Any], behind: bytes) -> list[Any] | bytes:
    """Nested or flat lists from the JSON, or the bytes behind it."""
    size = _parameters(tensor, "an input").get("binary_data_size")
    if size is None and behind:
        raise BadRequest(f"{len(behind)} bytes are behind the JSON; wanted binary_data_size in the input's parameters")
    if size is None and isinstance(tensor.get("data"), list):
        return list(tensor["data"])
    if size is None or "data" in tensor:
        raise BadRequest("an input wants either data, a list, or binary_data_size and the bytes behind the JSON")
    if type(size) is not int or size != len(behind):
        raise BadRequest(f"binary_data_size is {ascii(size)[:20]}, but {len(behind)} bytes are behind the JSON")
    return behind


def _encoded(tensor: dict[str, Any], dims: tuple[int, ...], data: list[Any] | bytes) -> list[bytes]:
    if tensor.get("datatype") != "BYTES" or dims[1:] not in ((), (1,)):
        raise BadRequest("the input image is BYTES of shape [n] or [n, 1]; the input pixels takes numbers")
    if isinstance(data, bytes):
        return tensors.unpack(data, dims[0], "image")
    texts = _flat(data, dims, "image")
    if len(texts) != dims[0]:
        raise BadRequest(f"image has {len(texts)} elements; its shape wants {dims[0]}")
    return [jsons.from_base64(text, f"image[{at}]") for at, text in enumerate(texts)]


def _levels(tensor: dict[str, Any], dims: tuple[int, ...], data: list[Any] | bytes, spec: Preprocess) -> np.ndarray:
    datatype = tensor.get("datatype")
    if datatype not in tensors.NUMBERS:
        raise BadRequest(f"pixels are no {ascii(datatype)[:20]}; wanted UINT8, or FP32 and other numbers that hold it")
    wanted = [spec.height, spec.width, 3]
    if list(dims[1:]) != wanted:
        raise BadRequest(f"pixels has the shape {list(dims)[:8]}; wanted [n, {', '.join(map(str, wanted))}]")
    if isinstance(data, bytes):
        return tensors.pixels(tensors.from_bytes(data, str(datatype), "pixels"), dims, "pixels")
    return tensors.pixels(tensors.numbers(_flat(data, dims, "pixels"), "pixels"), dims, "pixels")


def _flat(data: list[Any], dims: tuple[int, ...], where: str) -> list[Any]:
    """Row by row; nested lists must have the shape they say."""
    found, flat = tensors.flatten(data, where)
    if len(found) > 1 and found != dims:
        raise BadRequest(f"{where} is nested as {list(found)[:8]}; its shape says {list(dims)}")
    return flat


def _parameters(owner: dict[str, Any], where: str) -> dict[str, Any]:
    found = owner.get("parameters", {})
    if not isinstance(found, dict) or not all(isinstance(value, str | int | float) for value in found.values()):
        raise BadRequest(f"parameters of {where} are no object of strings, numbers and booleans")
    return found


def _flag(parameters: dict[str, Any], name: str, where: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{name} of {where} is no boolean; wanted true or false")
    return value


# ---- the answer ----------------------------------------------------------------------------


def encode(wanted: Wanted, scores: np.ndarray, labels: tuple[str, ...]) -> tuple[dict[str, Any], bytes | None]:
    """The output as the JSON has it, and the bytes that belong behind it."""
    if wanted.name == "scores" and not wanted.classes:
        raw = scores.astype("<f4").tobytes() if wanted.binary else None
        return _filled(about("scores", "FP32", *scores.shape), scores.ravel().tolist(), raw)
    orders = np.argsort(-scores, axis=1, kind="stable")[:, : wanted.classes or 1]
    if wanted.classes:
        shape = list(orders.shape)
        texts = [f"{row[at]:f}:{at}:{labels[at]}" for row, order in zip(scores, orders, strict=True) for at in order]
    else:
        shape, texts = [len(orders)], [labels[order[0]] for order in orders]
    return _filled(about(wanted.name, "BYTES", *shape), texts, tensors.pack(texts) if wanted.binary else None)


def encode_documents(wanted: Wanted, found: list[Converted]) -> tuple[dict[str, Any], bytes | None]:
    """The same of documents: what they are, whether each is sure, and its score."""
    content = about(wanted.name, DATATYPES[wanted.name], len(found))
    if wanted.name == "xml":
        texts = [one.xml.decode() for one in found]
        return _filled(content, texts, tensors.pack(texts) if wanted.binary else None)
    values = [getattr(one, wanted.name) for one in found]
    raw = np.array(values, "?" if wanted.name == "sure" else "<f4").tobytes()
    return _filled(content, values, raw if wanted.binary else None)


def body(head: dict[str, Any], outputs: list[tuple[dict[str, Any], bytes | None]]) -> tuple[bytes, int | None]:
    """The answer, and how much of it is JSON; None where all is."""
    text = json.dumps({**head, "outputs": [content for content, _ in outputs]}, ensure_ascii=False).encode()
    parts = [raw for _, raw in outputs if raw is not None]
    return b"".join([text, *parts]), len(text) if parts else None


def about(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def _filled(content: dict[str, Any], data: list[Any], raw: bytes | None) -> tuple[dict[str, Any], bytes | None]:
    if raw is None:
        return {**content, "data": data}, None
    return {**content, "parameters": {"binary_data_size": len(raw)}}, raw
