"""The server's image as it is meant to run: read-only, without a right, as nobody in particular."""

import os
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

pytestmark = pytest.mark.images

SAMPLE = Path(__file__).parents[2] / "server" / "static" / "samples" / "hood.png"
EMBEDDED = next((Path(__file__).parents[2] / "server" / "bundles").glob("pieces-????????"))
CONFINED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
LIMITED = ("--pids-limit", "128", "--memory", "1g")


@pytest.fixture(scope="module")
def container(docker, server_image):
    with docker.container(*CONFINED, *LIMITED, server_image) as container:
        yield container.wait()


def _post(url, pictures=1, **options):
    """A form as a browser sends it; the status and the answer."""
    form = [("image", (f"{at}.png", SAMPLE.read_bytes(), "image/png")) for at in range(pictures)]
    answer = requests.post(url, files=form, timeout=120, **options)
    return answer.status_code, answer.json()


def test_a_picture_is_labelled(container):
    status, answer = _post(container.url + "/classify")
    assert (status, answer["predictions"][0]["label"]) == (200, "hood")


def test_a_picture_becomes_xml(container):
    status, answer = _post(container.url + "/convert")
    assert (status, answer["valid"]) == (200, True)


def test_docker_calls_it_healthy(container):
    assert container.health("healthy") == '{"ready":true,"reason":""}\n'


def test_nothing_in_it_runs_as_root(container):
    rows = container.docker("top", container.name, "-eo", "uid,gid,pid,args").stdout.splitlines()[1:]
    assert len(rows) >= 2
    assert {tuple(row.split()[:2]) for row in rows} == {("10001", "10001")}


def test_its_process_has_no_capability_and_gets_none(container):
    status = container.run("cat", "/proc/1/status").stdout
    fields = dict(re.findall(r"^(\w+):\t(.*)$", status, re.MULTILINE))
    assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd")} == {"0" * 16}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")


@pytest.mark.parametrize("path", ["/srv/imago/x", "/opt/imago/x", "/etc/x", "/bundles/x"])
def test_its_files_cannot_be_written(container, path):
    assert "Read-only file system" in container.run("touch", path, check=False).stderr


def test_it_leaves_nothing_behind_in_its_temporary_folder(container):
    """onnxruntime would keep a device's number and a database of events there, to be sent."""
    _post(container.url + "/classify")
    assert container.run("ls", "-A", "/tmp").stdout == ""


def test_requests_in_flight_are_answered_after_sigterm(docker, server_image):
    """8 clients, 6 pictures each to be made XML of: seconds of work when the signal comes."""
    slow = ("-e", "IMAGO_DEADLINE_MS=100000", "-e", "IMAGO_DRAIN_S=100", "-e", "IMAGO_REQUEST_THREADS=10")
    with docker.container(*CONFINED, *slow, server_image) as container, ThreadPoolExecutor(8) as clients:
        container.wait()
        asked = [clients.submit(_post, container.url + "/convert?beam=4", 6) for _ in range(8)]
        _until(lambda: "imago_in_flight 8.0" in requests.get(container.url + "/metrics", timeout=30).text)
        docker("kill", "--signal", "TERM", container.name)
        assert not all(future.done() for future in asked)
        assert [future.result()[0] for future in asked] == [200] * 8
        _until(lambda: not container.state["Running"])
        assert container.state["ExitCode"] == 0


def test_no_client_is_lost_while_it_goes_down(docker, server_image):
    """Each asks until its first request after /readyz said 503; only then may a connection be refused."""
    with docker.container(*CONFINED, "-e", "IMAGO_UNREADY_MS=10000", server_image) as container:
        container.wait()
        going, wrong = threading.Event(), []

        def ask():
            while not going.is_set():
                status, _ = _post(container.url + "/classify")
                wrong.extend([status] * (status != 200))

        with ThreadPoolExecutor(8) as clients:
            asked = [clients.submit(ask) for _ in range(8)]
            time.sleep(1)
            docker("kill", "--signal", "TERM", container.name)
            _until(lambda: requests.get(container.url + "/readyz", timeout=30).status_code == 503)
            going.set()
            assert [future.result() for future in asked] == [None] * 8
        _until(lambda: not container.state["Running"])
        assert (wrong, container.state["ExitCode"]) == ([], 0)


def test_a_bundle_that_was_changed_is_not_served_and_the_log_says_why(docker, server_image, tmp_path):
    folder = shutil.copytree(EMBEDDED, tmp_path / EMBEDDED.name)
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    _readable(tmp_path)
    mount = ("-v", f"{folder}:/models/{folder.name}:ro", "-e", f"IMAGO_BUNDLE=/models/{folder.name}")
    with docker.container(*CONFINED, *mount, server_image) as container:
        _until(lambda: not container.state["Running"])
        assert container.state["ExitCode"] != 0
        assert container.state["Health"]["Status"] != "healthy"
        assert f"/models/{folder.name}/model.onnx: its content was changed (sha256 differs)" in container.log


def test_a_bundle_can_be_baked_in(docker, server_image, tmp_path, tiny):
    shutil.copytree(tiny, tmp_path / tiny.name)
    _readable(tmp_path)
    lines = (
        f"FROM {server_image}",
        f"COPY {tiny.name} /srv/bundles/{tiny.name}",
        f"ENV IMAGO_BUNDLE=/srv/bundles/{tiny.name}",
    )
    (tmp_path / "Dockerfile").write_text("\n".join(lines))
    docker("build", "-t", "imago-server:baked", tmp_path)
    with docker.container(*CONFINED, "imago-server:baked") as container:
        status, answer = _post(container.wait().url + "/classify")
        assert (status, answer["model"]["name"]) == (200, "tiny")


def test_a_bundle_is_pulled_from_s3_and_served(containers, docker, server_image, s3, tiny):
    from bundle import pull

    pull.push(tiny, "s3://models/images")
    uri, volume = f"s3://models/images/{tiny.name}", "imago-pulled"
    shared = (*CONFINED, "--network", "host", "-v", f"{volume}:/bundles", *_aws(), "-e", f"IMAGO_BUNDLE={uri}")
    try:
        # As the pod's two containers do it: one pulls and ends, the other finds what was pulled.
        pulled = docker("run", "--rm", *shared, server_image, "bundle", "pull", uri, "--to", "/bundles")
        assert tiny.name in pulled.stdout
        listen = f"127.0.0.1:{containers.free_port()}"
        with docker.container(*shared, "-e", f"IMAGO_LISTEN={listen}", server_image) as container:
            container.health("healthy")
            assert _post(f"http://{listen}/classify")[1]["model"]["name"] == "tiny"
    finally:
        docker("volume", "rm", volume)


def test_a_bundle_that_was_changed_in_s3_is_not_pulled(docker, server_image, s3, tiny):
    from bundle import pull

    pull.push(tiny, "s3://models/changed")
    s3.put_object(
        Bucket="models", Key=f"changed/{tiny.name}/model.onnx", Body=b"x" * (tiny / "model.onnx").stat().st_size
    )
    words = (*CONFINED, "--tmpfs", "/bundles:uid=10001", "--network", "host", *_aws(), server_image)
    uri = f"s3://models/changed/{tiny.name}"
    done = docker("run", "--rm", *words, "bundle", "pull", uri, "--to", "/bundles", check=False)
    assert (done.returncode, "its content was changed" in done.stderr) == (1, True)


def _aws():
    """Where `s3` leads this process, for a container on its network."""
    names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    return [word for name in names for word in ("-e", f"{name}={os.environ[name]}")]


def _readable(folder):
    """pytest's folders are private, and the container's user is another."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def _until(happened, timeout_s=100):
    until = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.05)
