"""What Prometheus reads at /metrics: one registry an application; the pools are asked when it is read."""

from collections.abc import Iterator

import prometheus_client
from flask import Blueprint, Response, current_app
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from server.models import Models, Served
from server.stages import Stages

blueprint = Blueprint("metrics", __name__)

# 1 ms .. 10 s: from a small model's answer to the default deadline.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# Why a request was turned away: the loop had no room, a model's queue was full, its deadline passed, it came in too slowly.
SHED = ("loop", "queue", "expired", "slow")
# Written where it is to be, or given up.
FEEDBACK = ("kept", "dropped")


@blueprint.get("/metrics")
def metrics() -> Response:
    current_app.extensions["imago.operation"].clerk.write()
    text = prometheus_client.generate_latest(current_app.extensions["imago.metrics"].registry)
    return Response(text, content_type=prometheus_client.CONTENT_TYPE_LATEST)


class Metrics:
    """Children of labels are kept, since looking one up in the library takes longer than counting."""

    def __init__(self, models: Models) -> None:
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, with nothing but its birthday
        to = self.registry = CollectorRegistry()
        self._requests = Counter("imago_requests", "requests answered", ["route", "method", "code"], registry=to)
        self._seconds = Histogram(
            "imago_request_seconds", "from the whole request to its answer", ["route"], buckets=SECONDS, registry=to
        )
        self._stages = {
            stage: Histogram(f"imago_{stage}_seconds", text, ["model"], buckets=SECONDS, registry=to)
            for stage, text in {
                "decode": "a picture's bytes to the model's pixels",
                "queue": "a picture's wait for an engine",
                "engine": "the model's run that a picture was in",
            }.items()
        }
        shed = Counter("imago_shed", "requests turned away, by reason", ["reason"], registry=to)
        self._shed = {reason: shed.labels(reason) for reason in SHED}
        feedback = Counter("imago_feedback", "what people said to answers, by outcome", ["outcome"], registry=to)
        self._feedback = {outcome: feedback.labels(outcome) for outcome in FEEDBACK}
        self.in_flight = Gauge("imago_in_flight", "requests in the application's hands", registry=to)
        self.connections = Gauge("imago_connections", "open connections", registry=to)
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._histograms: dict[tuple[str, str], Histogram] = {}
        to.register(Pools(models))
        ProcessCollector(registry=to)

    def count(self, route: str, method: str, status: int) -> None:
        key = (route, method if method in METHODS else "other", status)
        if key not in self._counters:
            self._counters[key] = self._requests.labels(*key)
        self._counters[key].inc()

    def took(self, route: str, seconds: float, stages: Stages) -> None:
        self._observe(self._seconds, "request", route, [seconds])
        if stages.model:
            for stage, histogram in self._stages.items():
                self._observe(histogram, stage, stages.model, getattr(stages, stage))

    def shed(self, reason: str) -> None:
        self._shed[reason].inc()

    def said(self, outcome: str) -> None:
        self._feedback[outcome].inc()

    def _observe(self, histogram: Histogram, name: str, label: str, values: list[float]) -> None:
        for value in values:
            if (name, label) not in self._histograms:
                self._histograms[name, label] = histogram.labels(label)
            self._histograms[name, label].observe(value)


class Pools(Collector):
    """Asks the models that are served at this moment."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def collect(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("imago_queue_length", "pictures that wait for an engine", labels=["model"])
        sizes = HistogramMetricFamily("imago_batch_size", "pictures that ran together", labels=["model"])
        info = GaugeMetricFamily("imago_model_info", "the models that are served", labels=["name", "id", "engine"])
        for served in self._served():
            name = served.model.manifest.name
            waiting.add_metric([name], served.pool.waiting())
            sizes.add_metric([name], *_histogram(served.pool.sizes()))
            info.add_metric([name, served.model.manifest.id, served.model.engine.name], 1)
        yield from (waiting, sizes, info)

    def _served(self) -> list[Served]:
        return [self._models.get(model.manifest.name) for model in self._models.all()]


def _histogram(sizes: dict[int, int]) -> tuple[list[tuple[str, float]], float]:
    """Cumulative buckets and the sum, from how often each size was."""
    below = [(f"{float(top)}", float(sum(sizes[size] for size in sizes if size <= top))) for top in SIZES]
    return [*below, ("+Inf", float(sum(sizes.values())))], float(sum(size * count for size, count in sizes.items()))
