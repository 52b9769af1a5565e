"""What reloads are tested with: a bundle's name that moves, its next version, and the operator's key."""

from dataclasses import replace

import pytest

from bundle.write import write


@pytest.fixture(scope="module")
def second(tmp_path_factory, parts):
    """The next version of `tiny`."""
    return write(tmp_path_factory.mktemp("second"), replace(parts, metrics={"accuracy": 0.95}))


@pytest.fixture
def link(tmp_path, tiny):
    """A name that moves."""
    path = tmp_path / "tiny"
    path.symlink_to(tiny)
    return path


@pytest.fixture
def move():
    """(link, target): in one step, as an operator should."""

    def moved(link, target):
        new = link.with_name("new")
        new.symlink_to(target)
        new.rename(link)

    return moved


@pytest.fixture(scope="session")
def admin():
    """The headers with the operator's key."""
    return {"X-API-Key": "a-key-of-the-operator"}


@pytest.fixture
def admin_file(tmp_path, admin):
    """The operator's key, as --admin-keys wants it."""
    (tmp_path / "admin.keys").write_text(admin["X-API-Key"] + "\n")
    return tmp_path / "admin.keys"
