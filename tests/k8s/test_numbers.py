"""The manifests' numbers, paths and names are those of the server."""

import re
from pathlib import Path

import pytest

from server import api, config

RUNBOOK = Path(__file__).parents[2] / "docs" / "deploy.md"
# What gunicorn's parent waits for longer than the server's own drain.
GUNICORN_S = 5
# How long ingress-nginx keeps a connection to a pod.
NGINX_S = 60


def pause_s(server):
    """How long preStop sleeps."""
    *_, program = server.container["lifecycle"]["preStop"]["exec"]["command"]
    return int(re.fullmatch(r"import time; time\.sleep\((\d+)\)", program)[1])


def mib(text):
    return int(text[:-2]) * {"Mi": 1, "Gi": 1024}[text[-2:]]


@pytest.fixture
def proxy(rendered):
    """(component) -> its Ingress's annotations by their last word, the server's knobs beside it."""

    def run(name):
        objects = rendered(f"components/{name}")
        told = objects.one("Ingress")["metadata"]["annotations"]
        return {key.rpartition("/")[2]: value for key, value in told.items()}, objects.server.knobs

    return run


def test_variables_are_knobs_with_good_values(objects):
    for name in (name for found in objects.of("ConfigMap") for name in found["data"]):
        assert name.removeprefix(config.PREFIX).lower() in config.Config.model_fields, name
    assert objects.servers


def test_grace_period_is_longer_than_the_way_down(objects):
    for server in objects.servers:
        down_s = pause_s(server) + server.knobs.unready_ms / 1000 + server.knobs.drain_s + GUNICORN_S
        assert down_s < server.pod["terminationGracePeriodSeconds"]


def test_probes_ask_routes_that_are_there(objects):
    paths = {route.path for route in api.ROUTES if route.method == "GET"}
    for server in objects.servers:
        probes = [server.container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
        assert {probe["port"] for probe in probes} == {"http"}
        assert [probe["path"] for probe in probes] == ["/readyz", "/readyz", "/healthz"]
        assert {probe["path"] for probe in probes} <= paths


def test_a_start_ends_before_the_rollout_is_given_up(objects):
    for server in objects.servers:
        probe = server.container["startupProbe"]
        longest_s = probe["periodSeconds"] * probe["failureThreshold"]
        assert longest_s < server.deployment["spec"]["progressDeadlineSeconds"]


def test_ports_agree(objects):
    for server in objects.servers:
        (port,) = server.container["ports"]
        assert server.knobs.listen == f"0.0.0.0:{port['containerPort']}"
        assert port["name"] == "http"
    assert objects.one("Service")["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]


def test_bodies_and_large_pictures_leave_half_of_the_memory_to_models(objects):
    for server in objects.servers:
        limits = server.container["resources"]["limits"]
        assert server.knobs.bodies_mb + server.knobs.decode_mb <= mib(limits["memory"]) / 2


def test_threads_are_said_where_no_limit_is_since_the_server_counts_the_cores_of_the_node(objects):
    for server in objects.servers:
        assert "cpu" not in server.container["resources"]["limits"]
        assert server.knobs.engine_threads > 0
        assert server.knobs.request_threads > 0


def test_a_bundle_from_s3_is_pulled_to_where_the_server_looks(aws):
    for server in aws.servers:
        (bundle,) = server.pod["initContainers"]
        assert bundle["args"] == ["bundle", "pull", "$(IMAGO_BUNDLE)", "--to", "$(IMAGO_BUNDLE_CACHE)"]
        assert len(server.knobs.bundle) == 1
        for container in server.containers:
            mounts = {mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "bundles"}
            assert mounts == {server.knobs.bundle_cache}


def test_files_of_keys_are_in_the_mounted_secret(rendered):
    server = rendered("components/api-keys").server
    (mount,) = [mount for mount in server.container["volumeMounts"] if mount["name"] == "keys"]
    files = (server.knobs.api_keys, server.knobs.admin_keys, server.knobs.metrics_keys)
    assert {path.parent for path in files} == {Path(mount["mountPath"])}
    assert "subPath" not in mount


def test_what_the_internet_reaches_asks_for_keys(aws):
    for server in aws.servers:
        assert server.knobs.api_keys
        assert server.knobs.metrics_keys


def test_prometheus_has_a_key_where_keys_are_asked_for(rendered):
    monitor = rendered("components/monitoring components/api-keys").one("ServiceMonitor")
    assert monitor["spec"]["endpoints"][0]["authorization"] == {"credentials": {"name": "imago-keys", "key": "metrics"}}


def test_proxy_lets_through_what_the_server_takes(proxy):
    told, knobs = proxy("ingress-nginx")
    assert told["proxy-body-size"] == f"{knobs.max_body_mb + 1}m"
    assert int(told["proxy-read-timeout"]) > (knobs.read_ms + knobs.deadline_ms) / 1000
    assert knobs.keepalive_s > NGINX_S


def test_balancer_lets_through_what_the_server_takes(proxy):
    told, knobs = proxy("ingress-alb")
    idle_s = int(told["load-balancer-attributes"].removeprefix("idle_timeout.timeout_seconds="))
    assert (knobs.read_ms + knobs.deadline_ms) / 1000 < idle_s < knobs.keepalive_s
    assert told["target-group-attributes"] == f"deregistration_delay.timeout_seconds={knobs.drain_s}"
    assert told["healthcheck-path"] == "/readyz"


def test_alerts_and_scaling_name_metrics_that_are_there(rendered, rule, client):
    there = client.get("/metrics").text
    said = str([*rendered("components/monitoring").of("PrometheusRule"), rule["seriesQuery"]])
    names = set(re.findall(r"\b(?:imago|process)_[a-z_]+(?=[{\[)'])", said))
    assert {"imago_requests_total", "imago_request_seconds_sum", "imago_model_info"} <= names
    assert [name for name in names if f"# TYPE {re.sub('_(bucket|sum)$', '', name)} " not in there] == []


@pytest.mark.parametrize("name", ["components/queue-hpa", "overlays/gpu"])
def test_pods_come_when_as_many_requests_wait_as_are_worked_on(rendered, rule, name):
    objects = rendered(name)
    pods = objects.one("HorizontalPodAutoscaler")["spec"]["metrics"][-1]["pods"]
    assert pods["metric"] == {"name": rule["name"]["as"]}
    threads, wanted = objects.server.knobs.threads, int(pods["target"]["averageValue"])
    assert wanted == 2 * threads
    assert wanted < threads + objects.server.knobs.queue  # where the next are turned away


@pytest.fixture
def rule():
    """What prometheus-adapter makes the scaling's metric of, from the runbook."""
    yaml = pytest.importorskip("yaml", reason="of the dev extra")
    values = yaml.safe_load(re.search(r"```yaml\n(prometheus:.*?)```", RUNBOOK.read_text(), re.DOTALL)[1])
    (rule,) = values["rules"]["custom"]
    return rule
