"""One daemon, one base image and one registry for all tests of images; see daemon.py and registry.py."""

import importlib.util
import sys
from pathlib import Path

import pytest


def _module(name):
    """A file beside this one: tests find nothing by import."""
    spec = importlib.util.spec_from_file_location(f"imago_images_{name}", Path(__file__).with_name(f"{name}.py"))
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def containers():
    """daemon.py"""
    return _module("daemon")


@pytest.fixture(scope="session")
def registries():
    """registry.py"""
    return _module("registry")


@pytest.fixture(scope="session")
def docker(containers):
    """docker(*words) runs a command against a daemon that lives as long as the tests."""
    if reason := containers.missing("debootstrap"):
        pytest.skip(reason)
    with containers.daemon() as docker:
        yield docker


@pytest.fixture(scope="session")
def python_image(containers, docker):
    """The name of the base image."""
    return containers.base_image(docker)


@pytest.fixture(scope="session")
def server_image(docker, python_image):
    """The name of the server's image, as `make image` builds it."""
    return docker.make("server", "--python-image", python_image)


@pytest.fixture(scope="session")
def registry(containers, registries, docker, tmp_path_factory):
    """A registry with TLS and a password that `docker` is logged in to."""
    if reason := containers.missing(*registries.PROGRAMS):
        pytest.skip(reason)
    with registries.registry(tmp_path_factory.mktemp("registry")) as registry:
        docker("login", "-u", registry.user, "--password-stdin", registry.host, input=registry.password)
        yield registry
