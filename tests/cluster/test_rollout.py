"""Nothing that an operator does loses a request: eight clients send pictures all the time, and each gets its answer."""

import time
import urllib.error

import pytest

pytestmark = pytest.mark.cluster


def tags(rollout):
    return {pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in rollout.pods()}


def test_image_is_pulled_from_the_registry_by_its_digest(rollout, registry):
    images = {pod["status"]["containerStatuses"][0]["imageID"] for pod in rollout.pods()}
    assert images == {f"{registry.place}/imago-server@{registry.digest('v1')}"}


def test_clients_notice_when_pods_are_killed(rollout, sending, say):
    """Or the other tests would show nothing."""
    with sending(rollout) as load:
        rollout.machine.kubectl("delete", "pods", "--all", "--force", "--grace-period=0")
        rollout.settle()
    say("both pods killed", load)
    assert load.failures != []


def test_no_request_is_lost_in_an_update(rollout, sending, say):
    with sending(rollout) as load:
        rollout.apply("v2")
        assert "successfully rolled out" in rollout.status()
        rollout.settle()
    say("update", load)
    assert load.failures == []
    assert tags(rollout) == {"v2"}


def test_no_request_is_lost_in_a_bad_update_and_its_undo(rollout, sending, say):
    with sending(rollout) as load:
        rollout.apply("broken")
        assert "exceeded its progress deadline" in rollout.status()
        assert tags(rollout) == {"v1", "broken"}
        rollout.undo()
        assert "successfully rolled out" in rollout.status()
        rollout.settle()
    say("bad update and undo", load)
    assert load.failures == []
    assert tags(rollout) == {"v1"}


def test_budget_holds_when_every_pod_is_evicted(rollout, sending, say):
    old, refused, fewest = rollout.pods(), 0, 2
    with sending(rollout) as load:
        for pod in old:
            while not evicted(rollout, pod["metadata"]["name"]):
                refused += 1
                fewest = min(fewest, rollout.ready())
                time.sleep(0.2)
        rollout.settle()
    say(f"eviction of both pods, told to wait {refused} times", load)
    assert load.failures == []
    assert refused > 0
    assert fewest == 1
    assert not {pod["metadata"]["name"] for pod in old} & {pod["metadata"]["name"] for pod in rollout.pods()}


def evicted(rollout, name):
    """Whether the budget allowed it."""
    try:
        rollout.evict(name)
    except urllib.error.HTTPError as error:
        if error.code != 429:
            raise
        return False
    return True


def test_pod_is_ready_three_seconds_after_its_start(rollout, say):
    starts = [rollout.start() for _ in range(3)]
    for start in starts:
        say("start", ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in start.items()))
    assert min(start["ready after its start"] for start in starts) <= 3
