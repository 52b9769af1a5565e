"""Stands in for prometheus-adapter: answers the rule of docs/deploy.md from what the pods' own /metrics say."""

import json
import re
import ssl
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

RUNBOOK = Path(__file__).parents[2] / "docs" / "deploy.md"
GROUP, VERSION = "custom.metrics.k8s.io", "custom.metrics.k8s.io/v1beta1"
# A name that leads the API server to this machine, and the group that it asks there.
OBJECTS = """apiVersion: v1
kind: Service
metadata: {{name: adapter, namespace: default}}
spec: {{type: ExternalName, externalName: localhost}}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {{name: v1beta1.custom.metrics.k8s.io}}
spec:
  group: custom.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {{name: adapter, namespace: default, port: {port}}}
"""


class Rates:
    """Of a counter, for each pod: how much a second it grew since it was last asked for."""

    def __init__(self, machine, series: str) -> None:
        self.machine, self.last = machine, {}
        self.line = re.compile(rf"^{series}(?:{{.*}})? (\S+)$", re.MULTILINE)

    def of(self, namespace: str, selector: str) -> dict[str, float]:
        """Pods that are asked for the first time have none."""
        found = {}
        for pod in self.machine.api(f"/api/v1/namespaces/{namespace}/pods?labelSelector={quote(selector)}")["items"]:
            name = pod["metadata"]["name"]
            with suppress(OSError, KeyError):  # not there yet, or no more
                at, total = time.monotonic(), self._total(pod["status"]["podIP"])
                if name in self.last:
                    before, was = self.last[name]
                    found[name] = (total - was) / (at - before)
                self.last[name] = (at, total)
        return found

    def _total(self, address: str) -> float:
        with urllib.request.urlopen(f"http://{address}:5000/metrics", timeout=5) as answer:
            return sum(map(float, self.line.findall(answer.read().decode())))


@contextmanager
def registered(machine):
    """Answers for the API server as long as the block runs."""
    import yaml

    values = yaml.safe_load(re.search(r"```yaml\n(prometheus:.*?)```", RUNBOOK.read_text(), re.DOTALL)[1])
    (rule,) = values["rules"]["custom"]
    rates = Rates(machine, rule["seriesQuery"].partition("{")[0])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _answers(rates, rule["name"]["as"]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(machine.folder / "tls.crt", machine.folder / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    objects = machine.folder / "adapter.yaml"
    objects.write_text(OBJECTS.format(port=server.server_port))
    try:
        machine.kubectl("apply", "-f", objects)
        yield
    finally:
        machine.kubectl("delete", "-f", objects)
        server.shutdown()
        server.server_close()
        thread.join()


def _answers(rates: Rates, metric: str) -> type[BaseHTTPRequestHandler]:
    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            url = urlsplit(self.path)
            wanted = re.fullmatch(rf"/apis/{VERSION}/namespaces/([\w-]+)/pods/(?:%2A|\*)/{metric}", url.path)
            if wanted:
                selector = parse_qs(url.query).get("labelSelector", [""])[0]
                self._send(200, _values(wanted[1], metric, rates.of(wanted[1], selector)))
            elif url.path == f"/apis/{VERSION}":
                self._send(
                    200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": VERSION, "resources": []}
                )
            else:
                self._send(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

        def _send(self, status, body):
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Answers


def _values(namespace: str, metric: str, rates: dict[str, float]) -> dict:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    items = [
        {
            "describedObject": {"kind": "Pod", "namespace": namespace, "name": pod, "apiVersion": "/v1"},
            "metricName": metric,
            "timestamp": at,
            "value": f"{rate * 1000:.0f}m",
        }
        for pod, rate in rates.items()
    ]
    return {"kind": "MetricValueList", "apiVersion": VERSION, "metadata": {}, "items": items}
