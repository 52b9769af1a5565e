"""`make bundles`: a new default takes the place of the one of its kind, and of nothing else."""

import pytest

from training import default


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path, tiny, boxes):
    """Both kinds, each with its report."""
    for bundle in (tiny, boxes):
        default.publish(bundle, tmp_path)
        (tmp_path / f"{bundle.name}.report").mkdir()
    return tmp_path


@pytest.mark.parametrize("which", ["tiny", "boxes"])
def test_new_one_takes_the_place_of_its_kind(folder, request, multi, drawing, which):
    old, new = request.getfixturevalue(which), {"tiny": multi, "boxes": drawing}[which]
    before = names(folder)
    default.publish(new, folder)
    assert names(folder) == sorted({*before, new.name} - {old.name, f"{old.name}.report"})


def test_one_that_is_too_large_replaces_nothing(folder, multi, monkeypatch):
    monkeypatch.setitem(default.MOST_BYTES, "classifier", 100)
    before = names(folder)
    with pytest.raises(SystemExit, match="at most 100 wanted; nothing was replaced"):
        default.publish(multi, folder)
    assert names(folder) == before
