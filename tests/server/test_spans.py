"""Spans, at a collector that is a real HTTP server."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collector():
    """(url, the spans that came)."""
    came = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    came.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", came
        server.shutdown()
        thread.join()


def attributes(span):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_request_is_a_span_of_its_caller_s_trace(start, tiny, jpeg, collector):
    url, came = collector
    headers = {"Content-Type": "image/jpeg", "traceparent": f"00-{TRACE}-{SPAN}-01"}
    with start(tiny, otlp=url, unready_ms=0) as server:
        requests.post(f"{server.url}/classify", data=jpeg, headers=headers, timeout=60)
        requests.post(f"{server.url}/classify", data=b"none", headers={"Content-Type": "image/jpeg"}, timeout=60)
    classified = [span for span in came if attributes(span)["http.route"] == "/classify"]
    good, bad = sorted(classified, key=lambda span: attributes(span)["http.response.status_code"])
    assert (good.name, good.trace_id.hex(), good.parent_span_id.hex()) == ("POST /classify", TRACE, SPAN)
    assert 0 < good.end_time_unix_nano - good.start_time_unix_nano < 10e9
    assert attributes(good)["imago.model"] == "tiny"
    assert attributes(good)["imago.engine_ms"] >= 0
    assert attributes(bad)["imago.code"] == "not-a-picture"
    assert bad.parent_span_id == b""


def test_collector_that_is_not_there_harms_nobody(start, tiny, jpeg, free_port):
    with start(tiny, otlp=f"http://127.0.0.1:{free_port}", unready_ms=0) as server:
        answer = requests.post(f"{server.url}/classify", data=jpeg, headers={"Content-Type": "image/jpeg"}, timeout=60)
    assert answer.status_code == 200


def test_collector_has_a_url(imago, tiny):
    done = imago("serve", "--bundle", tiny, "--otlp", "collector:4318")
    assert (done.returncode, "http://HOST:PORT" in done.stderr) == (1, True)
