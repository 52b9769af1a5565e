"""What docker says when a push fails, told as what to do."""

import pytest

NAME = "registry.example/imago:1"
# As docker 20.10 and ECR write them.
SAID = {
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?": "no Docker daemon answers",
    'Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "http://x": dial unix /var/run/docker.sock: connect: permission denied': "this user may not use the Docker daemon",
    "write /var/lib/docker/tmp/x: no space left on device": "the disk is full",
    "tag invalid: The image tag '1' already exists in the 'imago' repository and cannot be overwritten because the tag is immutable.": "this tag is there with other content",
    "denied: Your authorization token has expired. Reauthenticate and try again.": "the login at registry.example has expired",
    "no basic auth credentials": "registry.example does not take the login",
    "Error response from daemon: login attempt to https://registry.example/v2/ failed with status: 401 Unauthorized": "registry.example does not take the login",
    "denied: User: arn:aws:iam::1:user/a is not authorized to perform: ecr:InitiateLayerUpload": "registry.example does not let this login push there",
    "name unknown: The repository with name 'imago' does not exist in the registry with id '1'": "registry.example has no such repository",
    'Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host': "registry.example is not found",
    'Get "https://registry.example/v2/": x509: certificate signed by unknown authority': "the certificate of registry.example is not believed here",
    'Get "https://registry.example/v2/": dial tcp 10.0.0.1:443: connect: connection refused': "registry.example does not answer",
    "first\nsomething new": "docker says: something new",
    "": "docker says: nothing",
}


@pytest.mark.parametrize(("text", "words"), SAID.items())
def test_it_is_one_sentence(client, text, words):
    found = client.sentence(text, NAME)
    assert found.startswith(f"{NAME}: {words}")
    assert "\n" not in found
