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


def test_tampered_bundle_never_serves_and_its_events_say_why(deployed, bundles, sending, say):
    rollout = deployed("v1", bundles.first)
    with sending(rollout) as load:
        done = rollout.deploy("v1", bundles.tampered)
        rollout.settle()
    said = rollout.events("RolloutFailed")
    say("tampered bundle", load)
    say("its events", said)
    assert load.failures == []
    assert set(load.answers) == {bundles.first[-8:]}
    assert (done.returncode, done.stdout.partition(" image ")[2]) == (
        1,
        f"{rollout.image}:v1, bundle {bundles.first}\n",
    )
    for kind in ("Deployment", "Pod"):
        why = f"imago: {bundles.tampered}/model.onnx: its content was changed (sha256 differs); push the bundle again"
        assert why in said[kind]
