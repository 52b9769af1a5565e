"""The HorizontalPodAutoscaler adds pods when requests wait, and takes them away afterwards, by the metric that is shipped."""

import pytest

pytestmark = pytest.mark.cluster

# Of what two pods may have at once before a third comes, twice as much; large pictures keep the server at work, not the clients.
CLIENTS, LARGER = 32, 8
# The controller hears of a new kind of metric within half a minute, and a pod starts on half a core.
PATIENCE_S = 240


def test_pods_come_while_requests_wait_and_go_afterwards(scaled, sending, say):
    with sending(scaled, clients=CLIENTS, larger=LARGER, pause_s=0) as load:
        scaled.wait(lambda: scaled.ready() > 2, PATIENCE_S)
        pods, (metric,) = scaled.ready(), scaled.scaler()["currentMetrics"]
    scaled.wait(lambda: scaled.ready() == 2, PATIENCE_S)
    say(
        "scaled", f"to {pods} pods at {metric['pods']['current']['averageValue']} requests a pod, and back to 2; {load}"
    )
    assert load.failures == []
