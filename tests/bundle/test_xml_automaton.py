"""Whatever is generated is valid: random walks through the ready-made schemas and through schemas made at random, under any bound of tokens."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle.xml import automaton, codec, table
from training import pieces

from .schemas import codec_of, grow

READY = {path.stem: codec.load(path) for path in (Path(pieces.__file__).parents[1] / "schemas").glob("*.rng")}
seeds = st.integers(0, 2**32)
bounds = st.one_of(st.integers(0, 12), st.integers(0, 400))


@pytest.mark.parametrize("name", READY)
@given(seed=seeds, most=bounds)
@settings(max_examples=60, deadline=None)
def test_every_walk_through_a_ready_made_schema_ends_in_a_valid_document(name, seed, most):
    walk = grow(READY[name], most, Random(seed))
    READY[name].read(READY[name].write(walk.events))
    assert walk.left >= 0


@given(seed=seeds, most=bounds)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_walk_through_any_schema_ends_in_a_valid_document(seed, most):
    coder = codec_of(seed)
    walk = grow(coder, most, Random(seed))
    coder.read(coder.write(walk.events))
    assert walk.left >= 0


@given(seed=seeds)
@settings(max_examples=40, deadline=None)
def test_a_document_cut_off_anywhere_can_be_shown(seed):
    walk = grow(READY["android"], 60, Random(seed))
    for count in range(1, len(walk.events)):
        assert READY["android"].write(walk.events[:count], partial=True).startswith(b"<LinearLayout")


def test_what_the_schema_decides_is_no_token():
    assert READY["page"].names == (
        *("", "</>", "<button>", "<double>", "<quadruple>", "<row>", "<single>"),
        *("active", "green", "inactive", "orange", "red"),
    )
    assert len(READY["pattern"].names) == 1 + 1 + 1 + 3 + 3 + 256  # start, end, path, classes, L C Z, numbers


def test_a_walk_takes_only_what_its_mask_allows():
    walk = automaton.Walk(READY["page"].automaton, 50)
    for token in np.flatnonzero(~walk.mask()).tolist() + [-1, 99]:
        with pytest.raises(ValueError, match="may not come here"):
            walk.push(token)


@pytest.mark.parametrize("name", READY)
def test_of_a_schema_too_large_to_be_looked_at_every_event_is_a_token(name, monkeypatch):
    monkeypatch.setattr(table, "MOST_EXPLORED", 2)
    large = codec.Codec(READY[name].grammar)
    assert set(large.automaton.ids) > set(READY[name].automaton.ids)
    for seed in range(10):
        walk = grow(large, 100, Random(seed))
        assert large.valid(large.write(walk.events))


def test_copies_grow_apart():
    walk = automaton.Walk(READY["page"].automaton, 50)
    copy = walk.copy()
    copy.push(READY["page"].names.index("active"))
    assert len(copy.events) > len(walk.events)
    assert not np.array_equal(copy.mask(), walk.mask())


def test_a_full_memory_is_emptied_and_nothing_else_changes(monkeypatch):
    walks = [grow(READY["pattern"], 300, Random(5)).events]
    monkeypatch.setattr(automaton, "MOST_STATES", 20)
    tight = codec.Codec(READY["pattern"].grammar)
    walks.append(grow(tight, 300, Random(5)).events)
    assert walks[0] == walks[1]
    assert len(tight.automaton._states) <= 20


def test_depth_is_bounded():
    walk = automaton.Walk(READY["android"].automaton, 10_000)
    names = READY["android"].names
    wanted = {names.index(name) for name in ("<LinearLayout>", "vertical", "match_parent")}
    while not walk.done:
        allowed = np.flatnonzero(walk.mask()).tolist()
        walk.push(next((token for token in allowed if token in wanted), allowed[0]))
    assert READY["android"].valid(READY["android"].write(walk.events))
