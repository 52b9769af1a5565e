"""Pages put together from bands of other pages, where the schema says that repeated siblings are bands below one another.

A picture is cut where rows of pixels have nothing but the background's colour. What stands before the repetition is a band above it each, what
comes after its last item is the tail. Labels are cut and spliced likewise, as rows of events.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bundle.xml.grammar import Element, Event, Expression, Grammar, Named, Repeat, parts

# A row of pixels is background where no channel is further from it: a card of very light grey is (245 on white), noise is not.
TOLERANCE = 4

# Of the pages; with fewer that are cut as their documents say, the cut is not to be trusted.
FEWEST = 0.5

# Tries to put together a page that is not longer than the picture.
TRIES = 4


@dataclass(frozen=True)
class Document:
    """A page's events: the root's start, then its children, the root's end."""

    opening: tuple[Event, ...]
    before: tuple[tuple[Event, ...], ...]
    items: tuple[tuple[Event, ...], ...]  # of the repetition
    after: tuple[tuple[Event, ...], ...]
    closing: tuple[Event, ...]


@dataclass(frozen=True)
class Cut:
    """A page and where in its picture, as shares of the height, its items and its tail begin."""

    at: int  # which pair
    document: Document
    starts: tuple[float, ...]  # one an item, and the tail's


def repeated(grammar: Grammar) -> frozenset[str] | None:
    """Names of the root's children that are bands below one another. None where the schema has none."""
    root = _resolved(grammar, grammar.start)
    if not isinstance(root, Element):
        return None
    for one in _inside(grammar, root.content):
        if isinstance(one, Repeat) and one.bands == "y":
            return frozenset(
                str(item.open.event[1]) for item in _inside(grammar, one.item) if isinstance(item, Element)
            )
    return None


def _resolved(grammar: Grammar, one: Expression) -> Expression:
    while isinstance(one, Named):
        one = grammar.defines[one.name]
    return one


def _inside(grammar: Grammar, expression: Expression) -> list[Expression]:
    """Of an element's content what is not within another element."""
    found, stack = [], [expression]
    while stack:
        one = _resolved(grammar, stack.pop())
        if one not in found:
            found.append(one)
            stack += [] if isinstance(one, Element) else parts(one)
    return found


def document(events: Sequence[Event], names: frozenset[str]) -> Document | None:
    """None where the items are not in one row."""
    opening, children, closing = _children(events)
    places = [at for at, child in enumerate(children) if child[0][1] in names]
    if not places or places != list(range(places[0], places[-1] + 1)):
        return None
    first, last = places[0], places[-1] + 1
    return Document(opening, tuple(children[:first]), tuple(children[first:last]), tuple(children[last:]), closing)


def _children(events: Sequence[Event]) -> tuple[tuple[Event, ...], list[tuple[Event, ...]], tuple[Event, ...]]:
    depth, children, start = 0, [], 0
    for at, (kind, _) in enumerate(events):
        depth += (kind == "start") - (kind == "end")
        if kind == "start" and depth == 2:
            start = at
        if kind == "end" and depth == 1:
            children.append(tuple(events[start : at + 1]))
    first = next((at for at, (kind, _) in enumerate(events) if at and kind == "start"), len(events) - 1)
    return tuple(events[:first]), children, tuple(events[-1:])


# ---- pictures --------------------------------------------------------------------------------


def bands(pixels: np.ndarray) -> list[tuple[int, int]]:
    """uint8 (h, w, 3) -> first and last row + 1 of everything between rows of background."""
    rows = pixels.reshape(len(pixels), -1, 3)
    low, high = rows.min(axis=1).astype(int), rows.max(axis=1).astype(int)
    even = (high - low).max(axis=1) <= TOLERANCE
    if not even.any():
        return []
    colours = Counter(map(tuple, (low[even] + high[even]) // 2 // 4))
    background = np.array(colours.most_common(1)[0][0]) * 4 + 2
    blank = even & (np.abs((low + high) // 2 - background).max(axis=1) <= TOLERANCE)
    edges = np.flatnonzero(np.diff(np.concatenate([[True], blank, [True]]).astype(int)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def cuts(documents: Sequence[Document | None], found: Sequence[list[tuple[int, int]]], height: int) -> list[Cut]:
    """The pages whose bands are as many as their documents and the usual tail have; `found` in pictures so high."""
    tails = [
        len(bands) - len(page.before) - len(page.items) if page else -1
        for page, bands in zip(documents, found, strict=True)
    ]
    usual = Counter(tail for tail in tails if tail >= 0).most_common(1)
    if not usual:
        return []
    cut = []
    for at, (page, bands, tail) in enumerate(zip(documents, found, tails, strict=True)):
        if page and tail == usual[0][0]:
            first, last = len(page.before), len(page.before) + len(page.items)
            starts = [start for start, _ in bands[first : last + 1]]
            if not tail:
                starts.append(min(height, bands[last - 1][1] + _gap(bands)))
            cut.append(Cut(at, page, tuple(start / height for start in starts)))
    return cut


def _gap(bands: Sequence[tuple[int, int]]) -> int:
    """Rows of background between two bands, at least; what belongs to the last item of a page without a tail."""
    return min((low - high for (_, high), (low, _) in pairwise(bands)), default=1)


# ---- re-composition --------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    head: Cut
    items: list[tuple[Cut, int]]
    tail: Cut

    @property
    def length(self) -> float:
        """Of head and items, as a share of the picture's height."""
        return self.head.starts[0] + sum(cut.starts[item + 1] - cut.starts[item] for cut, item in self.items)

    def events(self) -> list[Event]:
        head, tail = self.head.document, self.tail.document
        children = [*head.before, *(cut.document.items[item] for cut, item in self.items), *tail.after]
        return [*head.opening, *(event for child in children for event in child), *tail.closing]

    def picture(self, read: Callable[[int], np.ndarray]) -> np.ndarray:
        """uint8 (h, w, 3), of the same size as those that `read` gives; what is too long is cut off below."""
        first = read(self.head.at)
        height = len(first)
        strips = [first[: round(self.head.starts[0] * height)]]
        for cut, item in self.items:
            start, end = (round(share * height) for share in cut.starts[item : item + 2])
            strips.append(read(cut.at)[start:end])
        last = read(self.tail.at)
        end = round(self.tail.starts[-1] * height)
        strips.append(last[end:])
        missing = height - sum(map(len, strips))
        if missing > 0:  # filled up with the background that stands above the tail
            strips.append(np.broadcast_to(last[end - 1], (missing, *first.shape[1:])))
        return np.concatenate(strips)[:height]


def draw(cuts: Sequence[Cut], rng: np.random.Generator) -> Plan | None:
    """Whose head, whose items, as many as some page has, and whose tail. None where no try gave a page that has room in the picture."""
    for _ in range(TRIES):
        head, like, tail = rng.integers(len(cuts), size=3)
        chosen = rng.integers(len(cuts), size=len(cuts[like].document.items))
        items = [(cuts[at], int(rng.integers(len(cuts[at].document.items)))) for at in chosen]
        plan = Plan(cuts[head], items, cuts[tail])
        if plan.length <= 1:
            return plan
    return None
