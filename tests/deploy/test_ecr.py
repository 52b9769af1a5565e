"""What stands in the way of a push to ECR is said in one sentence; no daemon is needed to hear it."""

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

MINE, THEIRS = "123456789012", "210987654321"


@pytest.fixture
def said(repository, tmp_path):
    """said(repository name, **environment): the sentence, of a docker that has the image and nothing more."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text('#!/bin/sh\n[ "$1" = image ] || exit 99\necho sha256:0123456789abcdef\n')
    docker.chmod(0o755)
    repository.env["PATH"] = f"{docker.parent}:{repository.env['PATH']}"

    def run(account=MINE, region="eu-west-1", **env):
        done = repository.push(f"{account}.dkr.ecr.{region}.amazonaws.com/imago", **env)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        return done.stderr.strip()

    return run


@contextmanager
def answering(code, message):
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.dumps({"__type": code, "message": message}).encode()
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ExpiredTokenException", "the AWS credentials have expired; `aws sso login`, or fetch new ones"),
        ("UnrecognizedClientException", "AWS does not know these credentials in eu-west-1; look at"),
        ("AccessDeniedException", "AWS says AccessDeniedException: not for you"),
    ],
)
def test_what_aws_refuses_is_one_sentence(said, aws, code, words):
    with answering(code, "not\nfor you") as url:
        assert said(AWS_ENDPOINT_URL=url).startswith(f"push: {words}")


def test_no_credentials_is_one_sentence(said, aws, tmp_path):
    nothing = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_PROFILE": None, "HOME": str(tmp_path)}
    assert said(**nothing, AWS_EC2_METADATA_DISABLED="true").startswith(
        "push: no AWS credentials are found; set AWS_PROFILE"
    )


def test_repository_of_another_account_is_not_made(said, aws):
    assert said(THEIRS) == (
        f"push: imago is not in account {THEIRS}, and these credentials are of {MINE}; "
        "change AWS_PROFILE or the repository's name"
    )


def test_region_that_does_not_answer_is_named(said, aws, free_port):
    nobody = f"http://127.0.0.1:{free_port}"
    assert said(region="eu-nowhere-1", AWS_ENDPOINT_URL=nobody).startswith("push: ECR does not answer in eu-nowhere-1;")


def test_without_a_daemon_it_says_so(repository):
    done = repository.push("localhost:1/imago")
    assert done.stderr.strip().endswith("no Docker daemon answers; start it, or set DOCKER_HOST")


def test_without_docker_it_says_so(repository, tmp_path):
    (tmp_path / "git").symlink_to("/usr/bin/git")
    done = repository.push("localhost:1/imago", PATH=str(tmp_path))
    assert done.stderr == "push: there is no docker here; install it (Debian's docker.io)\n"


@pytest.mark.parametrize("name", ["imago", "host/Imago", "host/imago:v1", "host/imago@sha256:0", "https://host/imago"])
def test_repository_that_is_none_is_refused(repository, name):
    assert "wanted HOST/NAME, lower case and without a tag" in repository.push(name).stderr


def test_overlay_that_is_not_there_is_noticed_at_once(repository):
    done = repository.push("localhost:1/imago", "--overlay", "nowhere")
    assert done.stderr.strip().endswith("nowhere/kustomization.yaml: no such overlay; there are eks")


SLOW = """#!/bin/sh
case "$1" in
image) echo sha256:0123456789abcdef ;;
context) echo unix:///nowhere ;;
login) cat > "$DOCKER_CONFIG/password"; echo "$DOCKER_CONFIG" > "$0.at" ;;
manifest) echo no such manifest >&2; exit 1 ;;
push) exec sleep 60 ;;
esac
"""


def test_broken_off_it_leaves_no_login(repository, aws, tmp_path):
    docker = tmp_path / "docker"
    docker.write_text(SLOW)
    docker.chmod(0o755)
    env = repository.env | {"PATH": f"{tmp_path}:{repository.env['PATH']}"}
    command = [sys.executable, "docker/push.py", f"{MINE}.dkr.ecr.eu-west-1.amazonaws.com/broken-off"]
    with subprocess.Popen(command, cwd=repository.folder, env=env, stderr=subprocess.PIPE) as process:
        at = tmp_path / "docker.at"
        until = time.monotonic() + 60
        while not (at.exists() and at.read_text()):
            assert time.monotonic() < until, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
    assert not Path(at.read_text().strip()).exists()
