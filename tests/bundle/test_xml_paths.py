"""One drawing, one spelling: whatever vertex and direction a path is drawn from; and points that move as the picture does."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from bundle.xml import codec, geometry, paths
from training import pieces

PATTERN = codec.load(Path(pieces.__file__).parents[1] / "schemas" / "pattern.rng")
SVG = '<svg xmlns="http://www.w3.org/2000/svg" version="1.1" viewBox="0 0 256 256">{}</svg>'


def settle(d: str) -> str:
    return paths.format(paths.settled(paths.parse(d)))


def drawing(*lines: tuple[str, str]) -> bytes:
    return SVG.format("".join(f'<path class="{kind}" d="{d}"/>' for kind, d in lines)).encode()


points = st.tuples(st.integers(0, 6), st.integers(0, 6))
steps = st.one_of(st.tuples(points), st.tuples(points, points, points))
drawn = st.builds(paths.Path, points, st.lists(steps, min_size=1, max_size=6).map(tuple), st.booleans())

CANONICAL = {
    "M 0 0 L 0 9 L 9 9 L 9 0 L 0 0 Z": "M 0 0 L 9 0 L 9 9 L 0 9 Z",
    "M 9 9 L 0 9 L 0 0 C 5 0 9 0 9 5 Z": "M 0 0 C 5 0 9 0 9 5 L 9 9 L 0 9 Z",
    "M +05 7 L 5 7 L -1 07": "M 5 7 L -1 7",
    "M 1 7 L 5 7": "M 1 7 L 5 7",
    "M 5 7 L 1 7": "M 1 7 L 5 7",
    "M 3 3 L 3 3 C 3 3 3 3 3 3 Z": "M 3 3 L 3 3 Z",
    "M 9 0 L 0 0 Z": "M 0 0 L 9 0 Z",
    "M 0 0 C 9 0 9 9 0 0 Z": "M 0 0 C 9 0 9 9 0 0 Z",
}


@pytest.mark.parametrize(("d", "wanted"), CANONICAL.items())
def test_a_path_has_one_spelling(d, wanted):
    wanted = "M -1 7 L 5 7" if "+05" in d else wanted
    assert settle(d) == wanted


@given(drawn)
def test_canonical_paths_stay_as_they_are(path):
    once = paths.settled(path)
    assert paths.settled(once) == once
    assert paths.parse(paths.format(once)) == once


@given(drawn, st.integers(0, 5))
def test_neither_start_nor_direction_matter_to_a_closed_path(path, turn):
    ring = [*path.steps, (path.start,)]  # closed by a line that is spelled out
    turn %= len(ring)
    turned = paths.Path(ring[turn - 1][-1], tuple(ring[turn:] + ring[:turn]), True)
    assert paths.settled(turned) == paths.settled(paths._reversed(turned)) == paths.settled(path._replace(closed=True))


@given(drawn)
def test_the_drawing_is_the_same(path):
    """The points on it are, whichever way it is gone."""
    before, after = (paths.flatten(paths.format(one), 8) for one in (path, paths.settled(path)))
    assert {tuple(point) for point in before.round(6) + 0.0} == {tuple(point) for point in after.round(6) + 0.0}


@pytest.mark.parametrize(
    "d", ["", "M 1 1", "M 1 1 Z", "m 1 1 l 2 2", "M 1 1 L 2", "M 1 1 L 2 2 Z M 3 3 L 4 4 Z", "M 1 1 H 5"]
)
def test_other_paths_are_not_read(d):
    assert paths.parse(d) is None
    with pytest.raises(ValueError, match="is no path"):
        paths.flatten(d)


def test_paths_are_sorted_by_class_and_start():
    root = etree.fromstring(drawing(("fold", "M 1 1 L 2 2"), ("cut", "M 5 9 L 7 9"), ("cut", "M 9 5 L 9 7")))
    paths.canonical(root)
    assert [path.get("d") for path in root] == ["M 9 5 L 9 7", "M 5 9 L 7 9", "M 1 1 L 2 2"]


def test_curves_become_as_many_pieces_as_wanted():
    line = paths.flatten("M 0 0 C 0 0 8 8 8 8 L 8 0 Z", 4)
    np.testing.assert_allclose(line[[0, 2, 4, 5, 6]], [(0, 0), (4, 4), (8, 8), (8, 0), (0, 0)])
    assert (line.shape, line.dtype) == ((7, 2), np.float64)


# ---- moved with the picture ------------------------------------------------------------------

TRIANGLE = PATTERN.events(drawing(("cut", "M 10 20 L 110 20 L 10 60 Z"), ("fold", "M 10 20 L 30 40")))


def moved(**how) -> list[str] | None:
    events = geometry.moved(PATTERN, TRIANGLE, geometry.matrix(255, **how))
    return events and [path.get("d") for path in etree.fromstring(PATTERN.write(events))]


MOVES = [
    ({}, ["M 10 20 L 110 20 L 10 60 Z", "M 10 20 L 30 40"]),
    ({"mirror": True}, ["M 145 20 L 245 20 L 245 60 Z", "M 245 20 L 225 40"]),
    ({"turns": 1}, ["M 235 10 L 235 110 L 195 10 Z", "M 235 10 L 215 30"]),
    ({"shift": (5, -20)}, ["M 15 0 L 115 0 L 15 40 Z", "M 15 0 L 35 20"]),
    ({"shift": (0, -21)}, None),
    ({"scale": 2}, None),
]


@pytest.mark.parametrize(("how", "wanted"), MOVES)
def test_points_move_as_the_picture_does(how, wanted):
    wanted = wanted and [settle(d) for d in wanted]
    assert moved(**how) == wanted


def test_only_paths_are_turned_and_mirrored():
    number = '<data type="integer" i:axis="{}"><param name="minInclusive">0</param><param name="maxInclusive">99</param></data>'
    text = (
        '<element name="at" xmlns="http://relaxng.org/ns/structure/1.0" xmlns:i="urn:imago:xml" '
        'datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes"><list>'
        f"{number.format('y')}{number.format('x')}</list></element>"
    )
    from bundle.xml import schema

    boxes = codec.Codec(schema.parse(text.encode()))
    events = boxes.events(b"<at>10 20</at>")
    shifted = geometry.moved(boxes, events, geometry.matrix(99, shift=(5, -3)))
    assert boxes.write(shifted) == b"<at>7 25</at>\n"
    assert geometry.moved(boxes, events, geometry.matrix(99, mirror=True)) is None


# ---- outlines that others drafted --------------------------------------------------------------


def outlines() -> list[bytes]:
    source = Path(os.environ.get("IMAGO_DATA", "")) / "freesewing" / "train.jsonl"
    if not source.is_file():
        pytest.skip("set IMAGO_DATA to the folder that holds freesewing/train.jsonl")
    return [drawing(("cut", on_grid(json.loads(row)["d"]))) for row in source.read_text().splitlines()]


def on_grid(d: str) -> str:
    path, line = paths.parse(d), paths.flatten(d)
    low, high = line.min(0), line.max(0)

    def put(point):
        spot = (np.array(point) - (low + high) / 2) * 239 / (high - low).max() + 127.5
        return tuple(int(number) for number in spot.round().clip(0, 255))

    return paths.format(paths.Path(put(path.start), tuple(tuple(map(put, step)) for step in path.steps), path.closed))


def test_outlines_go_to_tokens_and_back_and_turn_to_themselves():
    back = np.linalg.inv(np.vstack([turn := geometry.matrix(255, turns=3, mirror=True), [0, 0, 1]]))[:2]
    for document in outlines():
        events = PATTERN.events(document)
        assert PATTERN.decode(PATTERN.tokens(events)) == PATTERN.write(events)
        turned = geometry.moved(PATTERN, events, turn)
        assert geometry.moved(PATTERN, turned, back) == events
