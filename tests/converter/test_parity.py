"""How much an export may be off: what rounding alone does to its network says it, within limits."""

from pathlib import Path

import pytest

from converter import parity, pictures
from converter.subject import open_subject

pytest.importorskip("tensorflow", reason="of the train extra")
PIECES = next((Path(__file__).parents[2] / "server" / "bundles").glob("pieces-????????"))


@pytest.fixture
def truth():
    subject = open_subject(PIECES)
    return parity.Truth(subject=subject, pictures={"drawn": pictures.drawn(subject.spec)})


def test_a_network_in_good_order_has_the_least_bound(truth):
    assert truth.bound == parity.BOUNDS[None]


def test_a_network_that_makes_more_of_rounding_has_a_larger_one(truth, monkeypatch):
    monkeypatch.setattr(parity, "NOISE", 100)
    assert parity.BOUNDS[None].most < truth.bound.most < truth.subject.manifest.tolerance


def test_no_bound_is_beyond_what_the_bundle_allows_its_own_golden_pictures(truth, monkeypatch):
    monkeypatch.setattr(parity, "NOISE", 1e9)
    assert truth.bound.most == truth.subject.manifest.tolerance


def test_drawn_pictures_are_the_same_each_time_and_unlike_one_another():
    spec = open_subject(PIECES).spec
    some = pictures.drawn(spec)
    assert (some == pictures.drawn(spec)).all()
    assert len({one.tobytes() for one in some}) == len(some) == 8
