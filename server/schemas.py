"""What goes in and out as JSON, in the words of JSON Schema; the names are those of /openapi.json."""

from typing import Any

Schema = dict[str, Any]


def _object(required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _list(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer"}
BINARY: Schema = {"type": "string", "format": "binary"}
B64 = _object(("b64",), b64={"type": "string", "contentEncoding": "base64"})
PARAMETERS: Schema = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
LABEL = _object(("label", "probability"), label=TEXT, probability=NUMBER, present=FLAG)
DOCUMENT = _object(
    ("xml", "valid", "sure", "score", "tokens"),
    **{"xml": TEXT, "valid": FLAG, "sure": FLAG, "score": NUMBER, "tokens": WHOLE},
)
ONE = _object(("predictions",), predictions=_list(LABEL))
# Pixels as nested lists, rows of red, green and blue; or an encoded picture in base64, with or without the input's name.
INSTANCE: Schema = {"anyOf": [B64, _object(("image_bytes",), image_bytes=B64), _list(_list(_list(WHOLE)))]}
# Of labels the scores, or a document.
ROW: Schema = {"anyOf": [_list(NUMBER), TEXT]}
ABOUT = _object(("name", "datatype", "shape"), name=TEXT, datatype=TEXT, shape=_list(WHOLE))
# One; or a list where a picture may have several.
LABELS: Schema = {"anyOf": [TEXT, _list(TEXT)]}
MODEL = _object(
    (
        "name",
        "id",
        "kind",
        "post",
        "engine",
        "labels",
        "preprocess",
        "metrics",
        "golden",
        "training",
        "since",
        "report",
    ),
    **dict.fromkeys(("name", "id", "kind", "post", "engine", "since"), TEXT),
    labels=_list(TEXT),
    preprocess={"type": "object"},
    metrics={"type": "object", "additionalProperties": NUMBER},
    golden=_object(("pictures", "warnings"), pictures=WHOLE, warnings=_list(TEXT)),
    training={"type": ["object", "null"]},
    report={"type": ["string", "null"]},
)

SCHEMAS: dict[str, Schema] = {
    "Problem": _object(
        ("type", "title", "status", "code", "detail", "request_id"),
        **dict.fromkeys(("type", "title", "code", "detail", "request_id"), TEXT),
        status=WHOLE,
    ),
    "Error": _object(("error",), error=TEXT),
    "Answer": {
        **_object(
            ("model", "request_id"),
            predictions=_list(LABEL),
            results=_list({"anyOf": [ONE, _ref("Problem")]}),
            model=_object(("name", "id"), name=TEXT, id=TEXT),
            request_id=TEXT,
        ),
        "oneOf": [{"required": ["predictions"]}, {"required": ["results"]}],
    },
    # Of a stream, each; `data` of a piece is its text, of the last one what /convert answers without a stream.
    "Event": _object(("event", "data"), event={"enum": ["piece", "answer", "error"]}, data={"type": "string"}),
    "Converted": {
        **_object(
            ("model", "request_id"),
            **DOCUMENT["properties"],
            results=_list({"anyOf": [DOCUMENT, _ref("Problem")]}),
            model=_object(("name", "id"), name=TEXT, id=TEXT),
            request_id=TEXT,
        ),
        "oneOf": [{"required": DOCUMENT["required"]}, {"required": ["results"]}],
    },
    "Either": {"anyOf": [_ref("Answer"), _ref("Converted")]},
    "Models": _object(("models",), models=_list(MODEL)),
    "Feedback": _object(
        ("request_id", "sha256", "model", "id", "answer", "label", "right"),
        **{"request_id": TEXT, "sha256": TEXT, "model": TEXT, "id": TEXT, "right": FLAG},
        answer=LABELS,
        label={"anyOf": [*LABELS["anyOf"], {"type": "null"}]},
        picture={**TEXT, "contentEncoding": "base64"},
    ),
    "Taken": _object(("taken", "request_id"), taken=FLAG, request_id=TEXT),
    "Picture": {
        "oneOf": [
            _object(("image",), image={**TEXT, "contentEncoding": "base64"}),
            _object(("url",), url=TEXT),
            _object(("s3",), s3=TEXT),
        ]
    },
    "Form": _object(("image",), image=_list(BINARY, minItems=1, maxItems=64)),
    "Instances": _object(("instances",), instances=_list(INSTANCE, minItems=1, maxItems=64)),
    "Ready": _object(("ready",), ready=FLAG, reason=TEXT, name=TEXT),
    "Alive": _object(("status",), status={"enum": ["alive", "stuck"]}),
    "Live": _object((), alive=FLAG, live=FLAG),
    "Names": _object(("models",), models=_list(TEXT)),
    "Reload": _object(
        ("name", "id", "before", "changed", "others_told"),
        name=TEXT,
        id=TEXT,
        before=TEXT,
        changed=FLAG,
        others_told={**FLAG, "description": "with several processes: the others take the version soon, or log why not"},
    ),
    "Version": _object(("imago", "models"), imago=TEXT, models=_list(_object(("name", "id"), name=TEXT, id=TEXT))),
    "V1Request": {
        **_object(
            (),
            signature_name={"enum": ["serving_default", ""]},
            instances=_list(INSTANCE, minItems=1, maxItems=64),
            inputs={"anyOf": [_list(INSTANCE, minItems=1, maxItems=64), {"type": "object"}]},
        ),
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    },
    "V1Answer": _object((), predictions=_list(ROW), outputs=_list(ROW)),
    "V1Status": _object(
        ("model_version_status", "name", "ready"),
        model_version_status=_list(
            _object(("version", "state", "status"), version=TEXT, state=TEXT, status={"type": "object"})
        ),
        name=TEXT,
        ready=FLAG,
    ),
    "V1Metadata": _object(
        ("model_spec", "metadata"),
        model_spec={"type": "object"},
        metadata={"type": "object"},
        labels=_list(TEXT),
    ),
    "V2Server": _object(("name", "version", "extensions"), name=TEXT, version=TEXT, extensions=_list(TEXT)),
    "V2Metadata": _object(
        ("name", "versions", "platform", "inputs", "outputs"),
        **{"name": TEXT, "versions": _list(TEXT), "platform": TEXT, "inputs": _list(ABOUT), "outputs": _list(ABOUT)},
    ),
    "V2Request": _object(
        ("inputs",),
        id=TEXT,
        parameters=PARAMETERS,
        inputs=_list(
            _object(
                ("name", "shape", "datatype"),
                name={"enum": ["image", "pixels"]},
                shape=_list({"type": "integer", "minimum": 0}, minItems=1),
                datatype=TEXT,
                parameters=PARAMETERS,
                data={"type": "array"},
            ),
            minItems=1,
            maxItems=1,
        ),
        outputs=_list(
            _object(("name",), name={"enum": ["scores", "label", "xml", "sure", "score"]}, parameters=PARAMETERS)
        ),
    ),
    "V2Answer": _object(
        ("model_name", "model_version", "outputs"),
        **{"model_name": TEXT, "model_version": TEXT, "id": TEXT, "parameters": PARAMETERS, "outputs": _list(ABOUT)},
    ),
    "V2Index": _list(
        _object(("name", "version", "state", "reason"), **dict.fromkeys(("name", "version", "state", "reason"), TEXT))
    ),
    "V2IndexRequest": _object((), repository_name=TEXT, ready=FLAG),
    "V2LoadRequest": _object((), parameters={"type": "object", "maxProperties": 0}),
    "Anything": {"type": "object"},
}
