"""The digest goes into an overlay, and nothing else there moves."""

import pytest
import yaml

NAME, DIGEST = "host/imago", "sha256:" + "a" * 64


def _pinned(pin, text):
    return pin.pinned(text, NAME, DIGEST, "k.yaml")


def test_name_and_digest_change_and_every_other_line_stays(pin, overlay_text):
    before, after = overlay_text.splitlines(), _pinned(pin, overlay_text).splitlines()
    changed = [line for old, line in zip(before, after, strict=True) if old != line]
    assert changed == [f"    newName: {NAME}", f"    digest: {DIGEST}  # of the push"]


@pytest.mark.parametrize(
    "text",
    [
        "images:\n- name: imago-server\n",
        "images:\n- name: imago-server",
        "images:\n  - newTag: v1 # was v1\n    name: 'imago-server'\n  - name: z\nname: imago-server\n",
        "images:\n  - name: a\n  - name: imago-server\n    newName: x\n    newTag: v1\n\n    # of b\n  - name: b\n",
        "images:\n  - name: imago-server\n    newTag: v1\n    digest: sha256:1\npatches: []\n",
    ],
)
def test_every_way_to_write_the_entry_gives_the_same(pin, text):
    before, after = yaml.safe_load(text), yaml.safe_load(_pinned(pin, text))
    for entry in before["images"]:
        if entry["name"] == "imago-server":
            entry.pop("newTag", None)
            entry |= {"newName": NAME, "digest": DIGEST}
    assert after == before


def test_twice_is_as_once(pin, overlay_text):
    assert _pinned(pin, _pinned(pin, overlay_text)) == _pinned(pin, overlay_text)


@pytest.mark.parametrize(
    "text", ["", "images: [{name: imago-server}]\n", "patches:\n  - name: imago-server\n", "images:\n  - name: other\n"]
)
def test_without_the_entry_it_says_what_to_add(pin, text):
    with pytest.raises(SystemExit, match="k.yaml: no entry `- name: imago-server` in a list `images:`"):
        _pinned(pin, text)


def test_overlay_that_went_meanwhile_is_told_with_the_digest(pin, tmp_path):
    with pytest.raises(
        SystemExit, match=f"k.yaml: No such file or directory; {NAME}@{DIGEST} is pushed, so push again"
    ):
        pin.pin(tmp_path / "k.yaml", NAME, DIGEST)


def test_file_keeps_its_mode_and_nothing_lies_beside_it(pin, tmp_path):
    path = tmp_path / "kustomization.yaml"
    path.write_text("old")
    path.chmod(0o640)
    pin.write(path, "new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)
    assert list(tmp_path.iterdir()) == [path]
