"""What the Dockerfiles promise about a build: only what uv.lock names gets in, by its hash."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
UV = Path(sys.executable).with_name("uv")


@pytest.fixture
def context(tmp_path):
    """What the Dockerfiles copy, to be changed."""
    for name in ("docker", ".ci"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("pyproject.toml", "uv.lock", ".dockerignore"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.images
def test_a_library_with_another_hash_than_the_lock_file_s_ends_the_build(docker, python_image, context):
    lock = (context / "uv.lock").read_text()
    (context / "uv.lock").write_text(
        re.sub(r"(/flask-[\d.]+-py3-none-any.whl\", hash = \"sha256:)\w{8}", r"\g<1>00000000", lock)
    )
    done = _libraries(docker, python_image, context)
    assert done.returncode != 0
    assert "Hash mismatch for `flask" in done.stdout + done.stderr


@pytest.mark.images
def test_an_unknown_variant_ends_the_build_in_a_sentence(docker, python_image, context):
    done = _libraries(docker, python_image, context, "--build-arg", "VARIANT=tpu")
    assert done.returncode != 0
    assert "VARIANT=tpu: wanted cpu or gpu" in done.stdout + done.stderr


def _libraries(docker, python_image, context, *words):
    secret = ("--secret", "id=ca,src=/etc/ssl/certs/ca-certificates.crt")
    base = ("--build-arg", f"PYTHON_IMAGE={python_image}", "--target", "libraries", "--network", "host")
    file = ("-f", context / "docker" / "server.Dockerfile")
    return docker("build", *base, *secret, *file, *words, context, check=False, timeout=600)


@pytest.mark.parametrize(
    ("extras", "wanted"),
    [
        (("serve",), {"onnxruntime", "flask"}),
        (("serve", "gpu"), {"flask", "tensorflow", "nvidia-cudnn-cu12"}),
        (("gpu",), {"tensorflow", "nvidia-cudnn-cu12"}),
        (("train",), {"tensorflow-cpu"}),
        (("train", "export"), {"tensorflow-cpu", "coremltools"}),
    ],
)
def test_what_an_image_needs_is_in_the_lock_file_with_its_hashes(extras, wanted):
    """As much of the gpu variants as can be looked at without gigabytes."""
    if not UV.is_file():
        pytest.skip("no uv beside this Python; make setup")
    words = [word for extra in extras for word in ("--extra", extra)]
    command = [UV, "export", "--frozen", "--offline", "--no-emit-project", "--no-annotate", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    rows = [row for row in done.stdout.replace("\\\n", "").splitlines() if not row.startswith("#")]
    assert wanted <= {row.partition("==")[0].partition("[")[0] for row in rows}
    assert [row for row in rows if "--hash=sha256:" not in row] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_dockerfile_needs_no_frontend_and_copies_no_certificate(path):
    text = path.read_text()
    assert "# syntax" not in text
    assert [line for line in text.splitlines() if line.startswith(("COPY", "ADD")) and "cert" in line.lower()] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_only_the_first_step_needs_the_secret(path):
    """BuildKit's client may have lost its session by the second, on a busy machine: `no active session`."""
    steps = re.findall(r"^RUN (?:.*\\\n)*.*", path.read_text(), re.MULTILINE)
    assert ["type=secret" in step for step in steps].count(True) == 1
    assert "type=secret" in steps[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_dockerfile_ends_as_a_user_by_number(path):
    last = path.read_text().split("\nFROM ")[-1]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["10001:10001"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_ignore_file_lets_in_what_is_copied_and_no_more(path):
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.*)$", path.read_text(), re.MULTILINE):
        copied |= set(line.split()[:-1])
    assert {re.sub(r"^docker/\w+\.py$", "docker/*.py", name) for name in copied} <= allowed


def test_training_and_converter_differ_in_what_they_install_only():
    """One way to build, in three files; the server's is slimmer and listens."""
    training, converter = ((ROOT / "docker" / f"{name}.Dockerfile").read_text() for name in ("training", "converter"))
    ends = [text[text.index("# ---- Imago itself") :] for text in (training, converter)]
    ends = [re.sub(r"imago-\w+|^CMD.*$", "", end, flags=re.MULTILINE) for end in ends]
    assert ends[0] == ends[1]
