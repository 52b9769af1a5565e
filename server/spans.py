"""OpenTelemetry, where a collector is named: a span for each request, made when it is written down, so that no request waits for it."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bundle.errors import MissingExtra

if TYPE_CHECKING:
    from server.operation import Done


class Spans:
    """Sends spans by OTLP over HTTP, in the background, many at a time; a collector that does not answer costs its spans and nothing else."""

    def __init__(self, collector: str) -> None:
        """`collector` is a base URL such as http://collector:4318. Raises MissingExtra."""
        check(collector)
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, where they are set, win.
        self._provider = TracerProvider(resource=Resource({"service.name": "imago"}).merge(Resource.create()))
        exporter = OTLPSpanExporter(endpoint=f"{collector.rstrip('/')}/v1/traces", timeout=5)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
        self._tracer = self._provider.get_tracer("imago")

    def write(self, done: "Done", fields: dict[str, Any]) -> None:
        """`fields` are those of the request's line in the log."""
        from opentelemetry.trace import SpanKind, StatusCode

        end = int(done.now * 1e9)
        span = self._tracer.start_span(
            f"{done.method} {done.route}",
            context=_parent(done.traceparent),
            kind=SpanKind.SERVER,
            start_time=end - int(done.seconds * 1e9),
            attributes={
                "http.request.method": done.method,
                "http.route": done.route,
                "url.path": fields["path"],
                "http.response.status_code": done.status,
                **{f"imago.{name}": value for name, value in fields.items() if name in OURS and value is not None},
            },
        )
        if done.status >= 500:
            span.set_status(StatusCode.ERROR, done.code or "")
        span.end(end)

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()


def check(collector: str) -> None:
    """Whether spans can be made, where they are wanted. Raises MissingExtra."""
    names = ("opentelemetry.sdk", "opentelemetry.exporter")
    if collector and not (find_spec("opentelemetry") and all(map(find_spec, names))):
        raise MissingExtra("OpenTelemetry is not installed; install it with: pip install 'imago[otel]'")


OURS = ("code", "decode_ms", "queue_ms", "engine_ms", "pictures", "model", "request_id")


def _parent(traceparent: str) -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent} if traceparent else {})
