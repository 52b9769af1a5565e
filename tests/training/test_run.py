"""The name of a bundle that nobody named."""

import pytest

from training.run import name_of


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("photos", "photos"),
        ("photos/train", "photos"),
        ("Meine Bilder", "Meine-Bilder"),
        ("日本", "pictures"),
        ("x" * 80, "x" * 64),
    ],
)
def test_a_bundle_is_named_by_its_folder_or_the_parent_of_train(folder, name, tmp_path):
    assert name_of(tmp_path / folder) == name
