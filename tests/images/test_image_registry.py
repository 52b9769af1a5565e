"""Pushed to a registry with TLS and a password, and pulled by digest."""

import pytest
import requests

pytestmark = pytest.mark.images


@pytest.fixture(scope="module")
def tagged(registry, server_image):
    return f"{registry.host}/imago:{server_image.rpartition(':')[2]}"


@pytest.fixture(scope="module")
def pushed(docker, registry, server_image, tagged):
    """HOST/imago@sha256:..., pushed; the daemon has it under no name."""
    docker("tag", server_image, tagged)
    docker("push", tagged)
    (found,) = (digest for digest in docker.inspect(tagged)["RepoDigests"] if digest.startswith(registry.host))
    docker("rmi", tagged)
    return found


def test_without_the_password_nothing_is_pushed(docker, registry, server_image, pushed, tmp_path):
    name = f"{registry.host}/imago:stranger"
    docker("tag", server_image, name)
    done = docker("--config", tmp_path, "push", name, check=False)
    docker("rmi", name)
    assert (done.returncode, "no basic auth credentials" in done.stderr) == (1, True)
    assert "stranger" not in registry.ask("imago/tags/list")["tags"]


def test_without_the_password_nothing_is_pulled(docker, registry, tagged, pushed, tmp_path):
    """By its tag: of a digest that the daemon already has it asks nobody. Docker's own words are those of a second
    try without TLS; the registry's are plainer.
    """
    assert docker("--config", tmp_path, "pull", tagged, check=False).returncode == 1
    answer = requests.get(
        f"https://{registry.host}/v2/imago/manifests/{pushed.partition('@')[2]}",
        verify=registry.certificate,
        timeout=10,
    )
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (401, "UNAUTHORIZED")


def test_a_wrong_password_is_refused(docker, registry, tmp_path):
    words = ("--config", tmp_path, "login", "-u", registry.user, "--password-stdin", registry.host)
    done = docker(*words, input="guessed", check=False)
    assert done.returncode == 1
    assert "401 Unauthorized" in done.stderr


def test_the_image_is_at_most_160_mb_as_pushed(registry, pushed):
    size = sum(registry.layers("imago", pushed.partition("@")[2]))
    print(f"as pushed: {size / 1e6:.0f} MB")
    assert size <= 160e6


def test_it_runs_again_when_pulled_by_digest(docker, pushed):
    docker("pull", pushed)
    with docker.container("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", pushed) as container:
        container.wait()
        assert container.health("healthy") == '{"ready":true,"reason":""}\n'


def test_a_digest_that_was_not_pushed_is_not_found(docker, pushed):
    done = docker("pull", pushed[:-4] + "0000", check=False)
    assert "manifest unknown" in done.stderr or "not found" in done.stderr
