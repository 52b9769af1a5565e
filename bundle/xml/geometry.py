"""A document's coordinates moved as its picture is: turned, mirrored, scaled, shifted."""

from collections.abc import Iterator, Sequence

import numpy as np

from bundle.errors import DocumentError
from bundle.xml.codec import Codec
from bundle.xml.grammar import Event

# By quarters clockwise; of points around the origin, y down.
TURNS = tuple(
    np.array(turn, float) for turn in (((1, 0), (0, 1)), ((0, -1), (1, 0)), ((-1, 0), (0, -1)), ((0, 1), (-1, 0)))
)


def matrix(
    side: float, *, turns: int = 0, mirror: bool = False, scale: float = 1, shift: Sequence[float] = (0, 0)
) -> np.ndarray:
    """float (2, 3), for `moved`: of a square with points from 0 to `side`, about its middle mirrored (left becomes right), then turned
    clockwise by quarters and scaled; then shifted by (x, y)."""
    linear = TURNS[turns % 4] @ np.diag([-1.0 if mirror else 1.0, 1.0]) * scale
    middle = np.full(2, side / 2)
    return np.column_stack([linear, middle - linear @ middle + np.asarray(shift, float)])


def moved(codec: Codec, events: Sequence[Event], matrix: np.ndarray) -> list[Event] | None:
    """The canonical document, as events like `codec.events` gives them, of a picture whose points went from (x, y) to matrix @ (x, y, 1);
    matrix is float (2, 3), in the document's units. Points are rounded. None where one leaves its bounds, and for what cannot be
    moved so: only SVG's paths can be turned and mirrored, since elsewhere parts change their order."""
    spots = list(coordinates(codec, events))
    numbers = np.array([events[at][1] for at, _ in spots], float)
    if codec.grammar.vector:
        numbers = (numbers.reshape(-1, 2) @ matrix[:, :2].T + matrix[:, 2]).ravel()
    elif matrix[0, 1] or matrix[1, 0] or matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        return None
    else:
        rows = np.array([0 if axis == "x" else 1 for _, axis in spots], int)
        numbers = numbers * matrix[rows, rows] + matrix[rows, 2]
    put = list(events)
    for (at, _), number in zip(spots, np.floor(numbers + 0.5), strict=True):
        put[at] = ("number", int(number))
    try:
        return codec.events(codec.write(put))
    except DocumentError:
        return None


def coordinates(codec: Codec, events: Sequence[Event]) -> Iterator[tuple[int, str]]:
    """Of every number that is a coordinate: which event it is, and its axis, x or y. In SVG's paths they take turns."""
    state, turn = codec.automaton.first, 0
    for at, event in enumerate(events):
        if event[0] == "number":
            span = state.span(int(event[1]))
            if codec.grammar.vector and turn:
                yield at, "xy"[turn % 2 == 0]
                turn += 1
            elif span and span.axis and not codec.grammar.vector:
                yield at, span.axis
        elif event[0] != "value":
            turn = int(event == ("attribute", "d"))
        to = state.after(event)
        assert to
        state = to
