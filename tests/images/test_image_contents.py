"""What the server's image holds, and what it says about itself."""

import hashlib
import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.images

ROOT = Path(__file__).parents[2]
LISTED = "import json; from importlib.metadata import distributions as all; print(json.dumps([[d.name, d.version] for d in all()]))"


@pytest.fixture(scope="module")
def files(docker, server_image, tmp_path_factory):
    """Every file of the image as a row of `tarfile`."""
    archive = tmp_path_factory.mktemp("image") / "image.tar"
    name = docker("create", server_image).stdout.strip()
    docker("export", "-o", archive, name)
    docker("rm", name)
    with tarfile.open(archive) as tar:
        rows = tar.getmembers()
    archive.unlink()  # 400 MB
    return rows


@pytest.fixture(scope="module")
def inside(docker, server_image):
    """(program, *words) -> what it prints in a container of the image."""
    return lambda program, *words: docker("run", "--rm", "--entrypoint", program, server_image, *words).stdout


def test_the_image_is_at_most_420_mb(docker, server_image):
    size = docker.inspect(server_image)["Size"]
    print(f"unpacked: {size / 1e6:.0f} MB")
    assert size <= 420e6


def test_neither_compiler_nor_installer_is_in_the_image(files):
    unwanted = re.compile(
        r"bin/(.*-linux-gnu-)?(gcc|g\+\+|cc|clang|tcc|ld|as|make|go|rustc|pip|uv|git)[\d.-]*$|/(pip|ensurepip)$"
    )
    assert [file.name for file in files if unwanted.search(file.name)] == []


def test_neither_tests_nor_caches_of_the_build_are_in_the_image(files):
    unwanted = re.compile(r"^(build|root/\.cache|opt/imago/.*/tests|srv/imago/tests|.*\.git)(/|$)")
    assert [file.name for file in files if unwanted.search(file.name)] == []


def test_all_of_the_application_belongs_to_root_and_is_read_only_for_others(files):
    ours = [file for file in files if file.name.startswith(("opt/", "srv/", "usr/share/imago/"))]
    assert len(ours) > 1000
    wrong = [file.name for file in ours if file.uid or file.gid or (not file.issym() and file.mode & 0o022)]
    assert wrong == []


def test_the_user_owns_the_folder_of_bundles_only(files):
    assert [file.name.rstrip("/") for file in files if file.uid == 10001] == ["bundles"]


def test_every_module_of_the_application_is_compiled(files):
    names = {file.name for file in files}
    ours = [Path(name) for name in names if re.match(r"(srv/imago|opt/imago/lib/.*/onnxruntime)/.*\.py$", name)]
    assert [path for path in ours if f"{path.parent}/__pycache__/{path.stem}.cpython-311.pyc" not in names] == []


def test_tensorflow_is_not_in_the_image(files):
    assert not any("/tensorflow/" in file.name or "/keras/" in file.name for file in files)


def test_the_bill_of_materials_lists_what_is_installed(inside):
    told = json.loads(inside("cat", "/usr/share/imago/sbom.json"))
    kinds = {"pypi": set(), "deb": set()}
    for part in told["components"]:
        kinds[re.match(r"pkg:(\w+)/", part["purl"])[1]].add((part["name"], part["version"]))
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.5")
    assert kinds["pypi"] == {tuple(row) for row in json.loads(inside("python", "-c", LISTED))}
    packages = inside("dpkg-query", "-W", "-f", "${Package} ${Version}\n").splitlines()
    assert kinds["deb"] == {tuple(row.split()) for row in packages}
    lock = hashlib.sha256((ROOT / "uv.lock").read_bytes()).hexdigest()
    assert told["metadata"]["properties"] == [{"name": "imago:uv.lock:sha256", "value": lock}]


def test_every_library_has_the_version_of_the_lock_file(inside):
    lock = (ROOT / "uv.lock").read_text()
    locked = set(re.findall(r'^name = "(.+)"\nversion = "(.+)"$', lock, re.MULTILINE))
    installed = {
        (name.lower().replace("_", "-"), version) for name, version in json.loads(inside("python", "-c", LISTED))
    }
    assert installed <= locked


def test_labels_say_where_the_image_comes_from(docker, server_image, python_image):
    labels = docker.inspect(server_image)["Config"]["Labels"]
    revision, created = _git("rev-parse", "HEAD"), _git("show", "--no-patch", "--format=%cI")
    about = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
    assert about.pop("revision").removesuffix("-dirty") == revision
    assert about == {
        "title": "imago-server",
        "version": "0.1.0",
        "created": created,
        "source": "unknown",
        "licenses": "Apache-2.0",
        "base.name": python_image,
        "base.digest": "unknown",  # made here, and in no registry
        "imago.lock.sha256": hashlib.sha256((ROOT / "uv.lock").read_bytes()).hexdigest(),
    }


def test_the_tag_is_the_revision(server_image):
    assert server_image.removesuffix("-dirty") == f"imago-server:{_git('rev-parse', '--short=12', 'HEAD')}"


def test_the_same_commit_is_built_from_the_cache(docker, server_image, python_image):
    before = docker.inspect(server_image)["Id"]
    assert docker.inspect(docker.make("server", "--python-image", python_image))["Id"] == before


def _git(*words):
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
