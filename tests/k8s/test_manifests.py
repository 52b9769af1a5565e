"""The manifests as they are applied: valid for each Kubernetes, restricted, and at one with the server's own numbers."""

import re
from pathlib import Path

import pytest

from server import api, config

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = sorted(
    path.parent.relative_to(ROOT / "k8s").as_posix() for path in ROOT.glob("k8s/[oc]*/*/kustomization.yaml")
)
OVERLAYS = [name for name in VARIANTS if name.startswith("overlays/")]
# Kinds of their own operators, for which Kubernetes has no schema.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "Rollout"}
# What gunicorn's parent waits for longer than the server's own drain.
GUNICORN_S = 5


def of(objects, *kinds):
    return [found for found in objects if found["kind"] in kinds]


def pod_of(deployment):
    return deployment["spec"]["template"]["spec"]


def containers(pod):
    return [*pod.get("initContainers", ()), *pod["containers"]]


def deployments(objects):
    return of(objects, "Deployment")


def settings(objects, deployment):
    """What the knobs come to in a Deployment's server."""
    (server,) = pod_of(deployment)["containers"]
    (source,) = server["envFrom"]
    (found,) = [o for o in of(objects, "ConfigMap") if o["metadata"]["name"] == source["configMapRef"]["name"]]
    return config.Config(**{name.removeprefix(config.PREFIX).lower(): value for name, value in found["data"].items()})


def pause_s(pod):
    """How long preStop sleeps."""
    (server,) = pod["containers"]
    return int(
        re.fullmatch(r"import time; time\.sleep\((\d+)\)", server["lifecycle"]["preStop"]["exec"]["command"][2])[1]
    )


def mib(text):
    return int(text[:-2]) * {"Mi": 1, "Gi": 1024}[text[-2:]]


@pytest.fixture(params=VARIANTS)
def objects(request, rendered):
    return rendered(request.param)


@pytest.fixture
def annotations(rendered):
    """(component) -> its Ingress's annotations by their last word, its objects."""

    def run(name):
        objects = rendered(f"components/{name}")
        (found,) = of(objects, "Ingress")
        return {key.rpartition("/")[2]: value for key, value in found["metadata"]["annotations"].items()}, objects

    return run


# ---- Kubernetes ----------------------------------------------------------------------------


def test_each_object_is_valid_for_each_kubernetes(rendered):
    """In every version from 1.28 to the latest that the validator has schemas of; what it has none for would be a guess."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="of the dev extra")
    latest = int(kubernetes_validate.latest_version().split(".")[1])
    distinct = {repr(found): found for name in VARIANTS for found in rendered(name)}.values()
    assert {found["kind"] for found in distinct} >= FOREIGN
    for found in (found for found in distinct if found["kind"] not in FOREIGN):
        for minor in range(28, latest + 1):
            kubernetes_validate.validate(found, f"1.{minor}", strict=True)


def test_a_mistyped_field_is_found(rendered):
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="of the dev extra")
    (found,) = deployments(rendered("base"))
    wrong = {**found, "spec": {**found["spec"], "minReadySecond": 5}}
    with pytest.raises(kubernetes_validate.ValidationError, match="minReadySecond"):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


# ---- what a pod may ------------------------------------------------------------------------


def test_namespace_enforces_restricted_pods(objects):
    (namespace,) = of(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_pods_are_restricted(objects):
    for pod in map(pod_of, deployments(objects)):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {10001}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_pods_have_no_token_of_the_api_server(objects):
    (account,) = of(objects, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    for pod in map(pod_of, deployments(objects)):
        assert pod["serviceAccountName"] == account["metadata"]["name"]
        assert pod["automountServiceAccountToken"] is False


def test_each_folder_that_is_written_has_a_size(objects):
    for pod in map(pod_of, deployments(objects)):
        for volume in pod["volumes"]:
            assert volume.get("emptyDir", {"sizeLimit": ""}).keys() >= {"sizeLimit"}
        named = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]} == named


def test_why_a_container_ended_is_in_its_status(objects):
    for container in (c for d in deployments(objects) for c in containers(pod_of(d))):
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_nothing_comes_in_or_goes_out_that_is_not_named(objects):
    (policy,) = [found for found in of(objects, "NetworkPolicy") if found["metadata"]["name"] == "default-deny"]
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_a_node_keeps_its_own_credentials(rendered):
    """Pods reach the agent of pod identity, and nothing else at link-local addresses but the cache of names."""
    rules = [rule for o in of(rendered("overlays/eks"), "NetworkPolicy") for rule in o["spec"].get("egress", ())]
    blocks = [peer["ipBlock"] for rule in rules for peer in rule["to"] if "ipBlock" in peer]
    assert {block["cidr"] for block in blocks} == {"0.0.0.0/0", "169.254.20.10/32", "169.254.170.23/32"}
    assert [block["except"] for block in blocks if block["cidr"] == "0.0.0.0/0"] == [["169.254.0.0/16"]]


# ---- at one with the server ----------------------------------------------------------------


def test_variables_are_knobs_with_good_values(objects):
    for name in (name for found in of(objects, "ConfigMap") for name in found["data"]):
        assert name.removeprefix(config.PREFIX).lower() in config.Config.model_fields, name
    for deployment in deployments(objects):
        settings(objects, deployment)


def test_each_container_reads_a_config_that_is_applied_with_it(objects):
    made = {found["metadata"]["name"] for found in of(objects, "ConfigMap")}
    read = {
        source["configMapRef"]["name"]
        for deployment in deployments(objects)
        for container in containers(pod_of(deployment))
        for source in container["envFrom"]
    }
    assert read == made


def test_grace_period_is_longer_than_the_way_down(objects):
    for deployment in deployments(objects):
        knobs, pod = settings(objects, deployment), pod_of(deployment)
        down_s = pause_s(pod) + knobs.unready_ms / 1000 + knobs.drain_s + GUNICORN_S
        assert down_s < pod["terminationGracePeriodSeconds"]


def test_probes_ask_routes_that_are_there(objects):
    paths = {route.path for route in api.ROUTES if route.method == "GET"}
    for container in (c for d in deployments(objects) for c in pod_of(d)["containers"]):
        probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
        assert {probe["port"] for probe in probes.values()} == {"http"}
        assert [probe["path"] for probe in probes.values()] == ["/readyz", "/readyz", "/healthz"]
        assert {probe["path"] for probe in probes.values()} <= paths


def test_a_start_ends_before_the_rollout_is_given_up(objects):
    for deployment in deployments(objects):
        (server,) = pod_of(deployment)["containers"]
        probe = server["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] < deployment["spec"]["progressDeadlineSeconds"]


def test_ports_agree(objects):
    for deployment in deployments(objects):
        (server,) = pod_of(deployment)["containers"]
        (port,) = server["ports"]
        assert settings(objects, deployment).listen == f"0.0.0.0:{port['containerPort']}"
        assert port["name"] == "http"
    (service,) = of(objects, "Service")
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]


def test_bodies_and_large_pictures_leave_half_of_the_memory_to_models(objects):
    for deployment in deployments(objects):
        (server,) = pod_of(deployment)["containers"]
        knobs, limit = settings(objects, deployment), mib(server["resources"]["limits"]["memory"])
        assert knobs.bodies_mb + knobs.decode_mb <= limit / 2
        assert "cpu" not in server["resources"]["limits"]


def test_threads_are_said_since_the_server_counts_the_cores_of_the_node(objects):
    for deployment in deployments(objects):
        knobs = settings(objects, deployment)
        assert knobs.engine_threads > 0
        assert knobs.request_threads > 0


def test_a_bundle_from_s3_is_pulled_to_where_the_server_looks(rendered):
    for name in ("overlays/eks", "overlays/gpu", "overlays/canary"):
        for deployment in deployments(objects := rendered(name)):
            pod, knobs = pod_of(deployment), settings(objects, deployment)
            (bundle,) = pod["initContainers"]
            assert bundle["args"] == ["bundle", "pull", "$(IMAGO_BUNDLE)", "--to", "$(IMAGO_BUNDLE_CACHE)"]
            assert len(knobs.bundle) == 1
            for container in containers(pod):
                assert {m["mountPath"] for m in container["volumeMounts"] if m["name"] == "bundles"} == {
                    knobs.bundle_cache
                }


def test_files_of_keys_are_in_the_mounted_secret(rendered):
    objects = rendered("components/api-keys")
    (deployment,) = deployments(objects)
    knobs = settings(objects, deployment)
    mounts = pod_of(deployment)["containers"][0]["volumeMounts"]
    (mount,) = [mount for mount in mounts if mount["name"] == "keys"]
    assert {path.parent for path in (knobs.api_keys, knobs.admin_keys, knobs.metrics_keys)} == {
        Path(mount["mountPath"])
    }
    assert "subPath" not in mount


def test_prometheus_has_a_key_where_keys_are_asked_for(rendered):
    (monitor,) = of(rendered("components/monitoring components/api-keys"), "ServiceMonitor")
    assert monitor["spec"]["endpoints"][0]["authorization"] == {"credentials": {"name": "imago-keys", "key": "metrics"}}


def test_proxy_lets_through_what_the_server_takes(annotations):
    told, objects = annotations("ingress-nginx")
    knobs = settings(objects, deployments(objects)[0])
    assert told["proxy-body-size"] == f"{knobs.max_body_mb + 1}m"
    assert int(told["proxy-read-timeout"]) > (knobs.read_ms + knobs.deadline_ms) / 1000
    assert knobs.keepalive_s > 60  # ingress-nginx keeps its own for 60 s


def test_balancer_lets_through_what_the_server_takes(annotations):
    told, objects = annotations("ingress-alb")
    knobs = settings(objects, deployments(objects)[0])
    idle_s = int(told["load-balancer-attributes"].removeprefix("idle_timeout.timeout_seconds="))
    assert (knobs.read_ms + knobs.deadline_ms) / 1000 < idle_s < knobs.keepalive_s
    assert told["target-group-attributes"] == f"deregistration_delay.timeout_seconds={knobs.drain_s}"
    assert told["healthcheck-path"] == "/readyz"


def test_alerts_and_scaling_name_metrics_that_are_there(rendered, client):
    there = client.get("/metrics").text
    said = str(of(rendered("components/monitoring"), "PrometheusRule")) + str(rendered("components/queue-hpa"))
    names = set(re.findall(r"\b(?:imago|process)_[a-z_]+(?=[{\[)'])", said))
    assert {"imago_requests_total", "imago_queue_length", "imago_model_info"} <= names
    assert {name for name in names if f"# TYPE {name.removesuffix('_bucket')} " not in there} == set()


# ---- at one with each other ----------------------------------------------------------------


def test_selectors_find_the_pods_they_mean(objects):
    (service,), (budget,) = of(objects, "Service"), of(objects, "PodDisruptionBudget")
    for deployment in deployments(objects):
        labels = deployment["spec"]["template"]["metadata"]["labels"].items()
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
        assert service["spec"]["selector"].items() <= labels
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels


def test_no_deployment_takes_the_canarys_pods_for_its_own(rendered):
    selectors = [str(found["spec"]["selector"]) for found in deployments(rendered("overlays/canary"))]
    assert len(set(selectors)) == 2


def test_what_is_scaled_says_no_number_of_replicas(rendered):
    for name in ("base", "overlays/local", "overlays/eks", "overlays/gpu"):
        (deployment,) = deployments(objects := rendered(name))
        (scaler,) = of(objects, "HorizontalPodAutoscaler")
        assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
        assert "replicas" not in deployment["spec"]
        assert scaler["spec"]["minReplicas"] >= 2


def test_an_update_takes_no_pod_before_another_is_ready(objects):
    for deployment in deployments(objects):
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_one_image_by_digest_is_in_all_of_a_clusters_containers(rendered):
    for name in ("overlays/eks", "overlays/gpu", "overlays/canary"):
        for pod in map(pod_of, deployments(rendered(name))):
            (image,) = {container["image"] for container in containers(pod)}
            assert re.search(r"@sha256:[0-9a-f]{64}$", image)


def test_local_runs_the_image_that_the_node_has(rendered):
    (deployment,) = deployments(rendered("overlays/local"))
    assert [(c["image"], c["imagePullPolicy"]) for c in containers(pod_of(deployment))] == [
        ("imago-server:local", "IfNotPresent")
    ]


@pytest.mark.parametrize("name", [name for name in OVERLAYS if name != "overlays/canary"])
def test_overlay_has_the_entry_that_a_push_writes(name):
    yaml = pytest.importorskip("yaml", reason="of the dev extra")
    (image,) = yaml.safe_load((ROOT / "k8s" / name / "kustomization.yaml").read_text())["images"]
    assert image["name"] == "imago-server"


def test_what_the_internet_reaches_asks_for_keys(rendered):
    for name in ("overlays/eks", "overlays/gpu", "overlays/canary"):
        for deployment in deployments(objects := rendered(name)):
            knobs = settings(objects, deployment)
            assert knobs.api_keys
            assert knobs.metrics_keys


def test_gpu_is_asked_for_where_there_is_one(rendered):
    (deployment,) = deployments(objects := rendered("overlays/gpu"))
    pod = pod_of(deployment)
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    (scaler,) = of(objects, "HorizontalPodAutoscaler")
    assert [metric["type"] for metric in scaler["spec"]["metrics"]] == ["Pods"]


# ---- the runbook ---------------------------------------------------------------------------


def test_runbook_names_what_is_there():
    text = (ROOT / "docs" / "deploy.md").read_text()
    for path in re.findall(r"\bk8s/[\w./-]+\w", text):
        assert (ROOT / path).exists(), path
    components = {path.parent.name for path in ROOT.glob("k8s/components/*/kustomization.yaml")}
    for name in re.findall(r"[Cc]omponent `([\w-]+)`", text):
        assert name in components
    for knob in re.findall(r"IMAGO_([A-Z_]+)", text):
        assert knob.lower() in config.Config.model_fields


def test_runbook_quotes_sentences_that_are_said():
    said = "".join(path.read_text() for path in (ROOT / "bundle").glob("*.py"))
    for sentence in (
        "its content was changed (sha256 differs); fetch the bundle again",
        "wanted; push the bundle again",
        "check the name and who may read it",
        "wanted s3://BUCKET/FOLDER, with plain names",
        "the storage did not answer (",
    ):
        assert sentence in said
        assert sentence in (ROOT / "docs" / "deploy.md").read_text()
