"""What stands in the way of a push to ECR is said in one sentence; no daemon is needed to hear it."""

import json
import shutil
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
    docker.write_text('#!/bin/sh\n[ "$1" = image ] || exit 99\necho \'[{"Id": "sha256:0123456789abcdef"}]\'\n')
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


def test_endpoint_that_is_none_is_one_sentence(said, aws):
    assert said(AWS_ENDPOINT_URL="nowhere") == "push: Invalid endpoint: nowhere; look at AWS_ENDPOINT_URL"


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


@pytest.mark.parametrize(
    "name",
    ["imago", "someone/imago", "a.host/Imago", "a.host/imago:v1", "a.host/imago@sha256:0", "https://a.host/imago"],
)
def test_repository_that_is_none_is_refused(repository, name):
    assert "wanted HOST/NAME, lower case and without a tag" in repository.push(name).stderr


def test_overlay_that_is_not_there_is_noticed_at_once(repository):
    done = repository.push("localhost:1/imago", "--overlay", "nowhere")
    assert done.stderr == "push: nowhere: no such overlay; there are eks\n"


def test_overlay_may_be_the_path_of_a_folder_elsewhere(repository, tmp_path):
    shutil.copy(repository.overlay, tmp_path)
    done = repository.push("localhost:1/imago", "--overlay", tmp_path)
    assert "no Docker daemon answers" in done.stderr  # so it was found


@pytest.mark.parametrize("program", ["push.py localhost:1/imago", "build.py server"])
def test_without_a_revision_it_says_so(repository, program):
    shutil.rmtree(repository.folder / ".git")
    done = _run(repository, program, GIT_CEILING_DIRECTORIES=str(repository.folder.parent))
    assert done.stderr == (
        f"{program[: program.index('.')]}: {repository.folder} has no revision to name an image by; "
        "git says: fatal: not a git repository (or any of the parent directories): .git\n"
    )


def test_a_build_without_git_or_docker_or_a_daemon_is_one_sentence(repository, tmp_path):
    path = {"PATH": str(tmp_path)}
    wanted = "build: there is no git here, and an image is named by its revision; install it\n"
    assert _run(repository, "build.py server", **path).stderr == wanted
    (tmp_path / "git").symlink_to(shutil.which("git"))
    wanted = "build: there is no docker here; install it (Debian's docker.io)\n"
    assert _run(repository, "build.py server", **path).stderr == wanted
    if shutil.which("docker"):
        said = _run(repository, "build.py server").stderr
        assert said == ("build: python:3.11-slim-bookworm: no Docker daemon answers; start it, or set DOCKER_HOST\n")


def _run(repository, program, **env):
    command = [sys.executable, *f"docker/{program}".split()]
    return subprocess.run(
        command, cwd=repository.folder, env=repository.env | env, capture_output=True, text=True, timeout=60
    )


PROGRAM = """#!/bin/sh
case "$1" in
image) echo '[{{"Id": "sha256:0123456789abcdef"}}]' ;;
context) echo unix:///nowhere ;;
login) cat > "$DOCKER_CONFIG/password"; echo "$DOCKER_CONFIG" > "$0.at" ;;
manifest) echo no such manifest >&2; exit 1 ;;
push) {push} ;;
version) echo Is the docker daemon running >&2; exit 1 ;;
esac
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_broken_off_it_leaves_no_login(repository, aws, tmp_path, number):
    docker = tmp_path / "docker"
    docker.write_text(PROGRAM.format(push="exec sleep 60"))
    docker.chmod(0o755)
    env = repository.env | {"PATH": f"{tmp_path}:{repository.env['PATH']}"}
    command = ["env", "--default-signal", sys.executable, "docker/push.py"]  # whatever this process ignores
    command += [f"{MINE}.dkr.ecr.eu-west-1.amazonaws.com/broken-off"]
    with subprocess.Popen(command, cwd=repository.folder, env=env, stderr=subprocess.PIPE) as process:
        at = tmp_path / "docker.at"
        until = time.monotonic() + 60
        while not (at.exists() and at.read_text()):
            assert time.monotonic() < until, process.communicate()
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert b"Traceback" not in process.stderr.read()
    assert not Path(at.read_text().strip()).exists()


def test_a_daemon_that_dies_meanwhile_is_told_and_the_overlay_stays(repository, aws, tmp_path):
    docker, before = tmp_path / "docker", repository.overlay.read_text()
    docker.write_text(PROGRAM.format(push="echo unexpected EOF; exit 1"))
    docker.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{repository.env['PATH']}"}
    done = repository.push("a.host/imago", "--overlay", "eks", **path)
    assert done.stderr.splitlines()[1:] == [
        f"push: imago-server:{repository.revision}: no Docker daemon answers; start it, or set DOCKER_HOST"
    ]
    assert (done.returncode, done.stdout, repository.overlay.read_text()) == (1, "", before)
