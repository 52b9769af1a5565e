"""What is done around every request: who may, what it cost, its line in the log."""

import time
from typing import Any

from flask import Flask, Response, g, request

from bundle.errors import Busy, ImagoError
from server import cors, logs, metrics, stages, trace
from server.config import Config
from server.errors import TooSlow
from server.keys import Keys
from server.metrics import Metrics
from server.models import Models

# Asked every few seconds; worth no line while all is well, and no place among what is in flight.
QUIET = {"/healthz", "/readyz", "/metrics", "/ping", "/v2/health/live", "/v2/health/ready"}

LONGEST_PATH = 200

# A problem's code, as the error handlers leave it in g, and the reason that is counted; not for who had left already.
SHED = {"busy": "queue", "expired": "expired"}


def install(app: Flask, config: Config, models: Models) -> None:
    """Comes after what gives a request its id. Raises ConfigError for a file of keys that is no good."""
    operation = Operation(app, config, Metrics(models))
    app.extensions["imago.operation"] = operation
    app.extensions["imago.metrics"] = operation.metrics
    app.register_blueprint(metrics.blueprint)
    app.before_request(operation.begin)
    app.after_request(operation.end)
    app.teardown_request(operation.teardown)


class Operation:
    def __init__(self, app: Flask, config: Config, metrics: Metrics) -> None:
        self.metrics = metrics
        self._app = app
        self._keys = Keys(config)
        self._origins = config.cors_origins

    # ---- a request in a thread ---------------------------------------------------------------

    def begin(self) -> Response | None:
        """Raises CrossOrigin, Unauthorized, Forbidden."""
        g.stages = stages.begin()
        g.traceparent, g.trace_id = trace.parent(request.headers.get("traceparent", ""))
        g.counted = request.path not in QUIET
        if g.counted:
            self.metrics.in_flight.inc()
        if (answer := cors.preflight(request, self._origins)) is not None:
            return answer
        cors.check(request, self._origins)
        self._keys.check(request.method, _rule() or request.path, request.headers)
        return None

    def end(self, response: Response) -> Response:
        cors.allow(request, response, self._origins)
        response.headers.setdefault("Cache-Control", "no-store")  # static files have one of their own
        if response.status_code == 401:
            response.headers["WWW-Authenticate"] = 'Bearer realm="imago"'
        if g.traceparent:
            response.headers["traceparent"] = g.traceparent
        seconds = time.monotonic() - request.environ["imago.start"]
        route = _rule() or "other"
        self.metrics.count(route, request.method, response.status_code)
        self.metrics.took(route, seconds, g.stages)
        gone = request.environ["imago.gone"]
        if g.get("code") in SHED and not (gone and gone.is_set):
            self.metrics.shed(SHED[g.code])
        if response.status_code >= 400 or request.path not in QUIET:
            logs.request(response.status_code, **_fields(route, response.status_code, seconds))
        return response

    def teardown(self, _error: BaseException | None) -> None:
        if g.pop("counted", False):
            self.metrics.in_flight.dec()

    # ---- a request that the loop refuses -----------------------------------------------------

    def refused(self, head: Any, status: int, error: ImagoError) -> str:
        """Counts it, writes its line and gives its request id; `head` is gunicorn's, or None where it never came."""
        headers = dict(head.headers) if head else {}
        request_id = trace.request_id(headers.get("X-REQUEST-ID", ""))
        method, path = (head.method or "", head.path or "") if head else ("", "")
        route = self._route(path)
        if isinstance(error, Busy | TooSlow):
            self.metrics.shed("loop" if isinstance(error, Busy) else "slow")
        self.metrics.count(route, method, status)
        logs.request(
            status,
            method=logs.clean(method, 20),
            route=route,
            path=logs.clean(path, LONGEST_PATH),
            status=status,
            code=error.code,
            request_id=request_id,
            trace_id=trace.parent(headers.get("TRACEPARENT", ""))[1],
        )
        return request_id

    def _route(self, path: str) -> str:
        """Of the rules without a variable part, which are all that the loop can tell."""
        return path if any(rule.rule == path for rule in self._app.url_map.iter_rules()) else "other"


def _rule() -> str:
    return request.url_rule.rule if request.url_rule else ""


def _fields(route: str, status: int, seconds: float) -> dict[str, Any]:
    record: stages.Stages = g.stages
    return {
        "method": logs.clean(request.method, 20),
        "route": route,
        "path": logs.clean(request.path, LONGEST_PATH),
        "status": status,
        "code": g.get("code"),
        "ms": _ms([seconds]),
        "decode_ms": _ms(record.decode),
        "queue_ms": _ms(record.queue),
        "engine_ms": _ms(record.engine),
        "bytes_in": request.content_length or 0,
        "pictures": record.pictures,
        "model": record.model,
        "request_id": request.environ["imago.request_id"],
        "trace_id": g.trace_id,
    }


def _ms(seconds: list[float]) -> float | None:
    return round(sum(seconds) * 1000, 2) if seconds else None
