"""What is done around every request: who may, what it cost, its line in the log."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from flask import Flask, Response, g, request

from bundle.errors import Busy, ImagoError
from server import cors, logs, metrics, trace
from server import stages as times
from server.clerk import Clerk
from server.config import Config
from server.errors import TooSlow
from server.keys import Keys
from server.metrics import Metrics
from server.models import Models
from server.spans import Spans

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


class Done(NamedTuple):
    """A request that has its answer."""

    now: float  # of time.time()
    method: str
    route: str
    path: str
    status: int
    code: str | None
    shed: str  # the reason that is counted
    request_id: str
    traceparent: str
    trace_id: str
    # Only of those that came to the application.
    seconds: float = 0.0
    length: int = 0  # of the body, in bytes
    stages: times.Stages | None = None


class Operation:
    def __init__(self, app: Flask, config: Config, metrics: Metrics) -> None:
        self.metrics = metrics
        self.clerk = Clerk()
        self._spans = Spans(config.otlp) if config.otlp else None
        # Those without a variable part, which are all that the loop can tell.
        self._rules = {rule.rule for rule in app.url_map.iter_rules() if not rule.arguments}
        self._keys = Keys(config)
        self._origins = config.cors_origins
        self.at_end: list[Callable[[], None]] = []

    # ---- a request in a thread ---------------------------------------------------------------

    def begin(self) -> Response | None:
        """Raises CrossOrigin, Unauthorized, Forbidden."""
        g.stages = times.begin()
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
        gone = request.environ["imago.gone"]
        done = Done(
            now=time.time(),
            method=request.method,
            route=_rule() or "other",
            path=request.path,
            status=response.status_code,
            code=None,
            shed="",
            request_id=request.environ["imago.request_id"],
            traceparent=g.traceparent,
            trace_id=g.trace_id,
            length=request.content_length or 0,
            stages=g.stages,
        )
        note = partial(self._note, done, g._get_current_object(), gone, request.environ["imago.start"])
        if request.environ.get("imago.streamed"):
            response.call_on_close(note)  # it is made after this
        else:
            note()
        return response

    def _note(self, done: "Done", kept: Any, gone: Any, start: float) -> None:
        """What is known when the answer is whole."""
        code = kept.get("code")
        whole = done._replace(
            now=time.time(),
            code=code,
            shed="" if gone and gone.is_set else SHED.get(code, ""),
            seconds=time.monotonic() - start,
        )
        self.clerk.note(lambda: self._write(whole))

    def teardown(self, _error: BaseException | None) -> None:
        if g.pop("counted", False):
            self.metrics.in_flight.dec()

    # ---- a request that the loop refuses -----------------------------------------------------

    def refused(self, head: Any, status: int, error: ImagoError) -> str:
        """Counts it, writes its line and gives its request id; `head` is gunicorn's, or None where it never came."""
        headers = dict(head.headers) if head else {}
        path = (head.path if head else "") or ""
        traceparent, trace_id = trace.parent(headers.get("TRACEPARENT", ""))
        done = Done(
            now=time.time(),
            method=(head.method if head else "") or "",
            route=path if path in self._rules else "other",
            path=path,
            status=status,
            code=error.code,
            shed={Busy: "loop", TooSlow: "slow"}.get(type(error), ""),
            request_id=trace.request_id(headers.get("X-REQUEST-ID", "")),
            traceparent=traceparent,
            trace_id=trace_id,
        )
        self.clerk.note(lambda: self._write(done))
        return done.request_id

    def _write(self, done: "Done") -> None:
        """In the clerk's thread."""
        self.metrics.count(done.route, done.method, done.status)
        if done.stages:
            self.metrics.took(done.route, done.seconds, done.stages)
        if done.shed:
            self.metrics.shed(done.shed)
        if done.status >= 400 or done.path not in QUIET:
            fields = _fields(done)
            logs.request(done.status, done.now, **fields)
            if self._spans:
                self._spans.write(done, fields)

    def close(self) -> None:
        """Writes down what is noted, at the end of the process."""
        for last in self.at_end:
            last()
        self.clerk.write()
        if self._spans:
            self._spans.close()


def _rule() -> str:
    return request.url_rule.rule if request.url_rule else ""


def _fields(done: Done) -> dict[str, Any]:
    fields = {
        "method": logs.clean(done.method, 20),
        "route": done.route,
        "path": logs.clean(done.path, LONGEST_PATH),
        "status": done.status,
        "code": done.code,
    }
    if done.stages:
        fields |= {
            "ms": _ms([done.seconds]),
            "decode_ms": _ms(done.stages.decode),
            "queue_ms": _ms(done.stages.queue),
            "engine_ms": _ms(done.stages.engine),
            "bytes_in": done.length,
            "pictures": done.stages.pictures,
            "model": done.stages.model,
        }
    return fields | {"request_id": done.request_id, "trace_id": done.trace_id}


def _ms(seconds: list[float]) -> float | None:
    return round(sum(seconds) * 1000, 2) if seconds else None
