"""`make push` with a real daemon to a real registry: tags, digests, and what is refused."""

import os
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.images

# Not to be found at once; the image of these tests has no use for it.
BASE = ("--build", "--python-image", "localhost:1/python")


@pytest.fixture
def push(repository, docker, registry, tmp_path):
    """push(*words) into a repository of the registry for this test alone."""
    target = f"{registry.host}/{re.sub('[^a-z0-9]+', '-', tmp_path.name).strip('-')}"

    def run(*words, **env):
        return repository.push(target, *words, **docker.env | env)

    run.target, run.name = target, target.partition("/")[2]
    return run


def sentence(done):
    """What the failed program said last."""
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (1, "", False), done.stderr
    return done.stderr.splitlines()[-1]


def test_image_is_there_under_its_revision_and_the_overlay_has_its_digest(push, repository, registry):
    done = push("--overlay", "eks", *BASE)
    assert done.returncode == 0, done.stderr
    name, _, digest = done.stdout.strip().partition("@")
    assert name == push.target
    assert registry.ask(f"{push.name}/tags/list")["tags"] == [repository.revision]
    assert registry.layers(push.name, digest) == registry.layers(push.name, repository.revision)
    assert f"    newName: {push.target}\n    digest: {digest}  # of the push\n" in repository.overlay.read_text()


def test_second_push_of_a_revision_finds_the_same(push):
    first, second = push("--overlay", "eks", *BASE), push("--overlay", "eks", *BASE)
    assert second.stdout == first.stdout
    assert "is there already" in second.stderr.splitlines()[-2]


def test_the_same_tag_is_not_moved_to_other_content(push, repository, docker, registry):
    digest = push(*BASE).stdout.strip().partition("@")[2]
    docker("tag", _other(docker, repository), f"imago-server:{repository.revision}")
    assert sentence(push()) == (
        f"push: {push.target}:{repository.revision} is there with other content ({digest}), "
        "and tags do not change; commit, and push again"
    )
    assert registry.layers(push.name, repository.revision) == registry.layers(push.name, digest)


def test_nor_is_it_in_a_registry_without_tls(repository, docker, registries, tmp_path):
    with registries.plain(tmp_path) as host:
        first, second = (repository.push(f"{host}/imago", *BASE, **docker.env) for _ in range(2))
        assert second.stdout == first.stdout
        docker("tag", _other(docker, repository), f"imago-server:{repository.revision}")
        said = sentence(repository.push(f"{host}/imago", **docker.env))
        assert "is there with other content" in said


def _other(docker, repository):
    (repository.folder / "Dockerfile").write_text("FROM scratch\nLABEL other=1\nCOPY content /\n")
    docker("build", "-t", "imago-other", repository.folder)
    (repository.folder / "Dockerfile").unlink()
    return "imago-other"


def test_changed_files_are_refused(push, repository):
    (repository.folder / "content").write_text("changed")
    (repository.folder / "new").write_text("new")
    assert sentence(push(*BASE)) == (
        "push: content and 1 more are not as committed; commit, or push under another tag with --allow-dirty"
    )


def test_changed_files_get_a_tag_of_their_own_when_allowed(push, repository, registry):
    (repository.folder / "content").write_text("changed")
    assert push("--allow-dirty", *BASE).returncode == 0
    (tag,) = registry.ask(f"{push.name}/tags/list")["tags"]
    assert re.fullmatch(rf"{repository.revision}-dirty-[0-9a-f]{{8}}", tag)


def test_gpu_variant_has_a_tag_of_its_own(push, repository, registry):
    assert push("--variant", "gpu", *BASE).returncode == 0
    assert registry.ask(f"{push.name}/tags/list")["tags"] == [f"{repository.revision}-gpu"]


def test_without_a_login_it_says_which(push, registry, tmp_path):
    said = sentence(push(*BASE, DOCKER_CONFIG=str(tmp_path / "none")))
    assert said.endswith(
        f"{registry.host} does not take the login that docker has, if any; docker login {registry.host}"
    )


def test_wrong_password_is_one_sentence(push, registry, tmp_path):
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "config.json").write_text(
        f'{{"auths": {{"{registry.host}": {{"auth": "Y2k6Z3Vlc3NlZA=="}}}}}}'
    )
    said = sentence(push(*BASE, DOCKER_CONFIG=str(tmp_path / "wrong")))
    assert said.endswith(
        f"{registry.host} does not take the login that docker has, if any; docker login {registry.host}"
    )


def test_registry_that_does_not_answer_is_one_sentence(repository, docker, free_port):
    done = repository.push(f"localhost:{free_port}/imago", *BASE, **docker.env)
    assert sentence(done).endswith(f"localhost:{free_port} does not answer; try again later")


def test_image_that_was_not_built_is_one_sentence(push, repository):
    wanted = f"push: there is no image imago-server:{repository.revision} here; build it with --build or make image"
    assert sentence(push()) == wanted


# ---- ECR ----------------------------------------------------------------------------------


@pytest.fixture
def push_ecr(repository, ecr_daemon, recorder, tmp_path):
    docker, _, env = ecr_daemon
    name = re.sub("[^a-z0-9]+", "-", tmp_path.name).strip("-")
    config = tmp_path / "config"
    config.mkdir()
    paths = {"PATH": f"{recorder}:{env['PATH']}", "DOCKER_CONFIG": str(config)}

    def run(*words):
        target = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/{name}"
        aws = {key: value for key, value in os.environ.items() if key.startswith("AWS_")}
        return repository.push(target, *words, **env | aws | paths)

    run.name, run.config, run.said = name, config, recorder / "said"
    return run


def test_ecr_repository_is_made_and_the_image_pushed_there(push_ecr, ecr_daemon, repository, aws):
    done = push_ecr("--overlay", "eks", *BASE)
    assert done.returncode == 0, done.stderr
    _, registry, _ = ecr_daemon
    assert registry.ask(f"{push_ecr.name}/tags/list")["tags"] == [repository.revision]
    (made,) = aws.describe_repositories(repositoryNames=[push_ecr.name])["repositories"]
    assert (made["imageTagMutability"], made["imageScanningConfiguration"]) == ("IMMUTABLE", {"scanOnPush": True})
    assert '"untagged"' in aws.get_lifecycle_policy(repositoryName=push_ecr.name)["lifecyclePolicyText"]
    assert done.stdout.strip().rpartition("@")[2] in repository.overlay.read_text()


def test_ecr_login_is_in_no_command_and_nothing_is_left_of_it(push_ecr):
    first, again = push_ecr(*BASE), push_ecr(*BASE)
    assert (first.returncode, again.stdout) == (0, first.stdout), first.stderr + again.stderr
    said = push_ecr.said.read_text()
    assert "auth-token" not in said + first.stderr + again.stderr
    folders = {Path(line.split()[0]) for line in said.splitlines() if line.split()[1] == "login"}
    assert len(folders) == 2
    assert not any(folder.exists() for folder in folders)
    assert not (push_ecr.config / "config.json").exists()
