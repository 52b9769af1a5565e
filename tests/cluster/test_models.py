"""A new model is a new id in the ConfigMap: the pods roll, and a bundle that was tampered with never serves."""

import time

import pytest

pytestmark = pytest.mark.cluster


def test_no_request_is_lost_when_the_model_changes(deployed, bundles, sending, say):
    rollout = deployed("v1", bundles.first)
    with sending(rollout) as load:
        time.sleep(1)
        rollout.apply("v1", bundles.second)
        assert "successfully rolled out" in rollout.status()
        rollout.settle()
        time.sleep(1)
    say("new model", load)
    assert load.failures == []
    assert set(load.answers) == {bundles.first[-8:], bundles.second[-8:]}


def test_tampered_bundle_never_serves_and_its_pod_says_why(deployed, bundles, sending, say):
    rollout = deployed("v1", bundles.first)
    with sending(rollout) as load:
        rollout.apply("v1", bundles.tampered)
        assert "exceeded its progress deadline" in rollout.status()
        said = rollout.machine.kubectl("describe", "pods")
        rollout.undo()
        assert "successfully rolled out" in rollout.status()
        rollout.settle()
    say("tampered bundle", load)
    say("kubectl describe pods", "".join(line.strip() for line in said.splitlines() if "imago: " in line))
    assert load.failures == []
    assert set(load.answers) == {bundles.first[-8:]}
    assert (
        f"imago: {bundles.tampered}/model.onnx: its content was changed (sha256 differs); push the bundle again"
        in " ".join(said.split())
    )
