"""Every route in one table: what it takes, what it answers, and with which codes; /openapi.json and /docs are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from server.keys import knob_of

# Status -> codes; none where the good answer comes with another status, as that of health does.
Errors = Mapping[int, tuple[str, ...]]

JSON, PROBLEM = "application/json", "application/problem+json"
OWN, SAGEMAKER, OPERATION = "Imago", "SageMaker", "Operation"
V1, V2 = "TensorFlow Serving V1", "Open Inference Protocol V2"


@dataclass(frozen=True, kw_only=True)
class Route:
    """One way to ask one address. A schema is the name of one, or "" for what is no JSON."""

    method: str
    path: str
    tag: str
    summary: str
    good: dict[str, str]  # type of content -> schema; none: it is never done
    bodies: dict[str, str] = field(default_factory=dict)
    optional: bool = False  # a body may be left out
    errors: Errors = field(default_factory=dict)
    query: tuple[str, ...] = ()
    error_type: str = PROBLEM


_WAIT = {503: ("busy", "not-ready"), 504: ("expired",)}
_PICTURES = {
    400: ("bad-request",),
    403: ("url-not-allowed", "s3-not-allowed"),
    413: ("too-large", "too-many-pixels"),
    415: ("not-a-picture", "unsupported-content-type"),
    422: ("bad-picture", "fetch-failed"),
    503: ("busy", "not-ready"),
    504: ("expired", "fetch-too-slow"),
}
_UNKNOWN = {404: ("unknown-model",)}
_BODIES = {"multipart/form-data": "Form", "image/*": "", "application/octet-stream": "", JSON: "Picture"}
_FEEDBACK = {
    400: ("bad-request",),
    404: ("unknown-model", "not-found"),
    413: ("too-large", "too-many-pixels"),
    415: ("not-a-picture", "unsupported-content-type"),
    422: ("bad-picture",),
    503: ("not-ready", "not-kept"),
    504: ("expired",),
}
_LIST = {503: ("not-ready",), 504: ("expired",)}
_LOOK = {**_UNKNOWN, **_LIST}
_RELOAD = {403: ("forbidden",), **_UNKNOWN, 409: ("version-refused",), 503: ("not-ready",)}
_PREDICT = {
    400: ("bad-request", "not-a-picture", "bad-picture", "too-many-pixels"),
    **_UNKNOWN,
    413: ("too-large",),
    **_WAIT,
}


def _get(path: str, tag: str, summary: str, schema: str, errors: Errors) -> Route:
    kind = JSON if tag in (V1, V2) else PROBLEM
    return Route(method="GET", path=path, tag=tag, summary=summary, good={JSON: schema}, errors=errors, error_type=kind)


def _v1() -> list[Route]:
    found = [_get("/v1/models", V1, "The models' names", "Names", _LIST)]
    for tail, which in (
        ("", ""),
        ("/versions/{number}", ", of that version"),
        ("/labels/{label}", ", by version label"),
    ):
        path = "/v1/models/{name}" + tail
        found += [
            _get(path, V1, f"A model's state{which}", "V1Status", _LOOK),
            _get(f"{path}/metadata", V1, f"A model's inputs, outputs and labels{which}", "V1Metadata", _LOOK),
            Route(
                method="POST",
                path=f"{path}:predict",
                tag=V1,
                summary=f"Rows of scores, in the order of the labels, or documents{which}",
                bodies={JSON: "V1Request"},
                good={JSON: "V1Answer"},
                errors=_PREDICT,
                error_type=JSON,
            ),
        ]
    return found


def _v2() -> list[Route]:
    found = [
        _get("/v2", V2, "The server and its extensions", "V2Server", {}),
        _get("/v2/health/live", V2, "Alive: the engine threads run", "Live", {503: ()}),
        _get("/v2/health/ready", V2, "Ready to answer", "Ready", {503: ()}),
        _get("/v2/models", V2, "The models' names", "Names", _LIST),
    ]
    for tail in ("", "/versions/{number}"):
        path = "/v2/models/{name}" + tail
        found += [
            _get(path, V2, "A model's inputs, outputs and labels", "V2Metadata", _LOOK),
            _get(f"{path}/ready", V2, "Whether a model is ready", "Ready", _LOOK),
            Route(
                method="POST",
                path=f"{path}/infer",
                tag=V2,
                summary="Scores and best labels, or documents; the tensors in JSON, or in bytes behind it (binary extension)",
                bodies={JSON: "V2Request", "application/octet-stream": ""},
                good={JSON: "V2Answer", "application/octet-stream": ""},
                errors=_PREDICT,
                error_type=JSON,
            ),
        ]
    return found + _repository()


def _repository() -> list[Route]:
    index = _get("/v2/repository/index", V2, "All versions with their states", "V2Index", _LIST)
    body = {400: ("bad-request",), 413: ("too-large",)}
    post = replace(index, method="POST", bodies={JSON: "V2IndexRequest"}, optional=True, errors={**body, **_LIST})
    load = Route(
        method="POST",
        path="/v2/repository/models/{name}/load",
        tag=V2,
        summary="As POST /models/{name}/reload; for the operator",
        bodies={JSON: "V2LoadRequest"},
        optional=True,
        good={JSON: "Reload"},
        errors={**body, **_RELOAD},
        error_type=JSON,
    )
    unload = Route(
        method="POST",
        path="/v2/repository/models/{name}/unload",
        tag=V2,
        summary="Never done: what is served is what --bundle names",
        good={},
        errors={403: ("forbidden",)},
        error_type=JSON,
    )
    return [index, post, load, unload]


def _post(path: str, tag: str, summary: str, **more: Any) -> Route:
    about = {"bodies": _BODIES, "errors": _PICTURES}
    return Route(method="POST", path=path, tag=tag, summary=summary, **{**about, **more})


_LABELS: dict[str, Any] = {"good": {JSON: "Answer"}, "errors": {**_PICTURES, **_UNKNOWN}, "query": ("top",)}
_XML: dict[str, Any] = {
    "good": {JSON: "Converted", "application/xml": "", "image/svg+xml": "", "text/event-stream": "Event"},
    "errors": {**_PICTURES, **_UNKNOWN, 406: ("not-acceptable",)},
    "query": ("beam", "fit", "stream"),
}
_ANY = ("top", "beam", "fit")
_SAGEMAKER_BODIES = {**_BODIES, "application/x-image": "", JSON: "Instances"}

_ROUTES: tuple[Route, ...] = (
    _post("/classify", OWN, "The labels of one or many pictures, by the first model that classifies", **_LABELS),
    _post("/models/{name}/classify", OWN, "The labels, by the model of that name", **_LABELS),
    _post("/convert", OWN, "The XML of one or many pictures, by the first model that makes some", **_XML),
    _post("/models/{name}/convert", OWN, "The XML, by the model of that name", **_XML),
    Route(
        method="GET",
        path="/models",
        tag=OWN,
        summary="What is served: labels, figures, golden pictures, training; a page for a browser",
        good={JSON: "Models", "text/html": ""},
        errors=_LIST,
    ),
    Route(
        method="GET",
        path="/models/{name}/report",
        tag=OWN,
        summary="The report of the model's training, where it stands beside the bundle",
        good={"text/html": ""},
        errors={404: ("unknown-model", "not-found"), 503: ("not-ready",)},
    ),
    Route(
        method="POST",
        path="/feedback",
        tag=OWN,
        summary="What a person says to an answer of a model that classifies; where the operator keeps it",
        bodies={JSON: "Feedback"},
        good={JSON: "Taken"},
        errors=_FEEDBACK,
    ),
    Route(
        method="GET",
        path="/",
        tag=OWN,
        summary="The page for people; for a program whose Accept takes anything, whether the server is alive",
        good={"text/html": "", JSON: "Alive"},
    ),
    _post(
        "/",
        OWN,
        "The page's own form: HTML for a browser, JSON for a program",
        good={JSON: "Either", "text/html": ""},
        query=_ANY,
    ),
    *_v1(),
    *_v2(),
    _get("/ping", SAGEMAKER, "Ready to answer", "Ready", {503: ()}),
    _post(
        "/invocations",
        SAGEMAKER,
        "As /classify or /convert, by the first model",
        bodies=_SAGEMAKER_BODIES,
        good={JSON: "Either"},
        query=_ANY,
    ),
    _get("/healthz", OPERATION, "Alive: the engine threads run", "Live", {503: ()}),
    _get("/readyz", OPERATION, "Loaded, checked and not going down", "Ready", {503: ()}),
    _get("/version", OPERATION, "Imago's version and the models' ids", "Version", {}),
    Route(
        method="POST",
        path="/models/{name}/reload",
        tag=OPERATION,
        summary="Looks again at where the model's bundle comes from; for the operator",
        good={JSON: "Reload"},
        errors=_RELOAD,
    ),
    Route(method="GET", path="/metrics", tag=OPERATION, summary="What Prometheus reads", good={"text/plain": ""}),
    _get("/openapi.json", OPERATION, "This description, for programs", "Anything", {}),
    Route(method="GET", path="/docs", tag=OPERATION, summary="This description, for people", good={"text/html": ""}),
)


def _guarded(route: Route) -> Route:
    """With what may be said before a route is asked: no key came, or a page of another origin sent it."""
    key = {401: ("unauthorized",)} if knob_of(route.method, route.path) else {}
    origin = {403: (*route.errors.get(403, ()), "cross-origin")} if route.method == "POST" else {}
    return replace(route, errors={**route.errors, **key, **origin})


ROUTES = tuple(_guarded(route) for route in _ROUTES)
