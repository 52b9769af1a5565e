"""The manifests as they are applied: valid for each Kubernetes, restricted, and at one with each other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Kinds of their own operators, for which Kubernetes has no schema.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "Rollout"}

# ---- Kubernetes ----------------------------------------------------------------------------


def test_each_object_is_valid_for_each_kubernetes(variants):
    """In every version from 1.28 to the latest that the validator has schemas of; what it has none for would be a guess."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="of the dev extra")
    latest = int(kubernetes_validate.latest_version().split(".")[1])
    distinct = {repr(found): found for objects in variants.values() for found in objects}.values()
    assert {found["kind"] for found in distinct} >= FOREIGN
    for found in (found for found in distinct if found["kind"] not in FOREIGN):
        for minor in range(28, latest + 1):
            kubernetes_validate.validate(found, f"1.{minor}", strict=True)


def test_a_mistyped_field_is_found(rendered):
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="of the dev extra")
    found = rendered("base").server.deployment
    wrong = {**found, "spec": {**found["spec"], "minReadySecond": 5}}
    with pytest.raises(kubernetes_validate.ValidationError, match="minReadySecond"):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


# ---- what a pod may ------------------------------------------------------------------------


def test_namespace_enforces_restricted_pods(objects):
    assert objects.one("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_pods_are_restricted(objects):
    for server in objects.servers:
        context = server.pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {10001}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & server.pod.keys()
        for container in server.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_pods_have_no_token_of_the_api_server(objects):
    account = objects.one("ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    for server in objects.servers:
        assert server.pod["serviceAccountName"] == account["metadata"]["name"]
        assert server.pod["automountServiceAccountToken"] is False


def test_each_folder_that_is_written_has_a_size(objects):
    for server in objects.servers:
        for volume in server.pod["volumes"]:
            assert volume.get("emptyDir", {"sizeLimit": ""}).keys() >= {"sizeLimit"}
        named = {volume["name"] for volume in server.pod["volumes"]}
        assert {mount["name"] for container in server.containers for mount in container["volumeMounts"]} == named


def test_why_a_container_ended_is_in_its_status(objects):
    for container in (container for server in objects.servers for container in server.containers):
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_nothing_comes_in_or_goes_out_that_is_not_named(objects):
    (policy,) = [found for found in objects.of("NetworkPolicy") if found["metadata"]["name"] == "default-deny"]
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_a_node_keeps_its_own_credentials(rendered):
    """Pods reach the agent of pod identity, and nothing else at link-local addresses but the cache of names."""
    rules = [rule for found in rendered("overlays/eks").of("NetworkPolicy") for rule in found["spec"].get("egress", ())]
    blocks = [peer["ipBlock"] for rule in rules for peer in rule["to"] if "ipBlock" in peer]
    assert {block["cidr"] for block in blocks} == {"0.0.0.0/0", "169.254.20.10/32", "169.254.170.23/32"}
    assert [block["except"] for block in blocks if block["cidr"] == "0.0.0.0/0"] == [["169.254.0.0/16"]]


# ---- at one with each other ----------------------------------------------------------------


def test_each_container_reads_a_config_that_is_applied_with_it(objects):
    sources = [
        source for server in objects.servers for container in server.containers for source in container["envFrom"]
    ]
    made = {found["metadata"]["name"] for found in objects.of("ConfigMap")}
    assert {source["configMapRef"]["name"] for source in sources} == made


def test_selectors_find_the_pods_they_mean(objects):
    service, budget = objects.one("Service"), objects.one("PodDisruptionBudget")
    for spec in (server.deployment["spec"] for server in objects.servers):
        labels = spec["template"]["metadata"]["labels"].items()
        assert spec["selector"]["matchLabels"].items() <= labels
        assert service["spec"]["selector"].items() <= labels
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels


def test_no_deployment_takes_the_canarys_pods_for_its_own(rendered):
    first, second = rendered("overlays/canary").servers
    assert first.deployment["spec"]["selector"] != second.deployment["spec"]["selector"]


def test_canary_differs_in_its_name_track_number_image_and_config_only(rendered):
    first, second = rendered("overlays/canary").servers
    assert second.deployment["metadata"]["name"] == "imago-canary"
    spec = repr({key: value for key, value in second.deployment["spec"].items() if key != "replicas"})
    for container, other in zip(first.containers, second.containers, strict=True):
        spec = spec.replace(other["image"], container["image"])
        spec = spec.replace(repr(other["envFrom"]), repr(container["envFrom"]))
    assert spec.replace("'track': 'canary'", "'track': 'stable'") == repr(first.deployment["spec"])


def test_what_is_scaled_says_no_number_of_replicas(rendered):
    for name in ("base", "overlays/local", "overlays/eks", "overlays/gpu"):
        deployment, scaler = rendered(name).server.deployment, rendered(name).one("HorizontalPodAutoscaler")
        assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
        assert "replicas" not in deployment["spec"]
        assert scaler["spec"]["minReplicas"] >= 2


def test_an_update_takes_no_pod_before_another_is_ready(objects):
    for server in objects.servers:
        assert server.deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_one_image_by_digest_is_in_all_of_a_clusters_containers(aws):
    for server in aws.servers:
        (image,) = {container["image"] for container in server.containers}
        assert re.search(r"@sha256:[0-9a-f]{64}$", image)


def test_local_runs_the_image_that_the_node_has(rendered):
    (container,) = rendered("overlays/local").server.containers
    assert (container["image"], container["imagePullPolicy"]) == ("imago-server:local", "IfNotPresent")


@pytest.mark.parametrize("name", ["local", "eks", "gpu", "canary/canary"])
def test_overlay_has_the_entry_that_a_push_writes(name):
    yaml = pytest.importorskip("yaml", reason="of the dev extra")
    overlay = yaml.safe_load((ROOT / "k8s" / "overlays" / name / "kustomization.yaml").read_text())
    assert [image["name"] for image in overlay["images"]] == ["imago-server"]


def test_gpu_is_asked_for_where_there_is_one(rendered):
    objects = rendered("overlays/gpu")
    assert objects.server.container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert objects.server.pod["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert [metric["type"] for metric in objects.one("HorizontalPodAutoscaler")["spec"]["metrics"]] == ["Pods"]
