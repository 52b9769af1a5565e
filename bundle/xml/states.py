"""The states of an automaton: what may come next in a document, and the state after it. Made by bundle/xml/automaton.py."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from bundle.xml.grammar import (
    END,
    MOST_DEPTH,
    NOTHING,
    Attribute,
    Choice,
    Cost,
    Element,
    Event,
    Expression,
    Grammar,
    Maybe,
    Named,
    Number,
    One,
    Repeat,
    Sequence,
    Text,
    Words,
    parts,
)

NEVER = float("inf")
# Ways kept to go on after one event; ambiguous repetitions within one another have more. Any of them alone leads to valid documents.
MOST_WAYS = 64


class Rest:
    """What is still to come: an expression, then `tail`. There is one object of each, so they are compared by identity."""

    __slots__ = ("depth", "done", "head", "need", "tail")

    def __init__(self, head: Expression, done: int, tail: "Rest | None", depth: int, need: float) -> None:
        self.head = head
        self.done = done  # of a repetition: how many items are there already
        self.tail = tail  # None: the document is at its end, and head is nothing
        self.depth = depth  # elements that are open here
        self.need = need  # tokens that it takes at least


class Span(NamedTuple):
    """Whole numbers, from and to; what may come after each of them."""

    least: int
    most: int
    axis: str
    tails: tuple[Rest, ...]


Tails = tuple[Rest, ...]
Ways = tuple[dict[Event, Tails], tuple[Span, ...]]


class State:
    """What may come next."""

    __slots__ = ("_make", "choice", "events", "mask", "need", "numbers", "peak", "rests", "run", "to")

    def __init__(self, rests: Tails, ways: Ways, mask: np.ndarray, make: Callable[[Tails], "State"]) -> None:
        self.rests, self.mask, self._make = rests, mask, make  # bool (tokens,): those that may come
        self.events, self.numbers = ways
        needs = [min(rest.need for rest in tails) for tails in self.tails()]
        self.need = min(rest.need for rest in rests)
        self.peak = max(needs, default=0.0)  # what is needed after the event that needs the most after it
        self.choice = several(ways)
        self.to: dict[Event | Span, State] = {}
        self.run: tuple[list[Event], State] | None = None

    @property
    def end(self) -> bool:
        return not self.events and not self.numbers

    @property
    def only(self) -> Event:
        """The one event that may come, where there is no choice."""
        return next(iter(self.events)) if self.events else ("number", self.numbers[0].least)

    def tails(self) -> Iterator[Tails]:
        yield from self.events.values()
        for span in self.numbers:
            yield span.tails

    def span(self, number: int) -> Span | None:
        return next((span for span in self.numbers if span.least <= number <= span.most), None)

    def after(self, event: Event) -> "State | None":
        """None where the event may not come."""
        key = self.span(int(event[1])) if event[0] == "number" else event
        if key is None or (key not in self.to and not isinstance(key, Span) and key not in self.events):
            return None
        if key not in self.to:
            self.to[key] = self._make(key.tails if isinstance(key, Span) else self.events[key])
        return self.to[key]

    def forced(self) -> tuple[list[Event], "State"]:
        """The events that must come now, one after the other, and the state in which there is a choice again, or the end."""
        if self.run is None:
            events: list[Event] = []
            state = self
            while not state.choice and not state.end:
                event = state.only
                events.append(event)
                following = state.after(event)
                assert following
                state = following
            self.run = events, state
        return self.run


def ways(rests: Tails) -> Ways:
    """By event, in the schema's order, what may come after it."""
    events: dict[Event, list[Rest]] = {}
    numbers: list[tuple[Number, Rest]] = []
    for rest in rests:
        if rest.tail is None:
            continue
        if isinstance(rest.head, Number):
            numbers.append((rest.head, rest.tail))
        elif isinstance(rest.head, One):
            events.setdefault(rest.head.event, []).append(rest.tail)
    return {event: tuple(tails) for event, tails in events.items()}, _spans(numbers)


def _spans(numbers: list[tuple[Number, Rest]]) -> tuple[Span, ...]:
    """Where numbers' bounds overlap, the part that they share leads to all that either leads to."""
    cuts = sorted({edge for number, _ in numbers for edge in (number.least, number.most + 1)})
    found = []
    for least, above in zip(cuts, cuts[1:], strict=False):
        here = [(number, tail) for number, tail in numbers if number.least <= least and above - 1 <= number.most]
        if here:
            axes = {number.axis for number, _ in here}
            found.append(Span(least, above - 1, axes.pop() if len(axes) == 1 else "", tuple(tail for _, tail in here)))
    return tuple(found)


def several(ways: Ways) -> bool:
    """Whether more than one event may come."""
    events, numbers = ways
    return len(events) + sum(span.most - span.least + 1 for span in numbers) > 1


def _few(ways: list[Rest]) -> list[Rest]:
    return ways if len(ways) <= MOST_WAYS else [min(ways, key=lambda rest: rest.need), *ways[: MOST_WAYS - 1]]


class Rests:
    """Makes them, one object of each. Without a cost nothing is bounded: neither depth nor repetitions nor length."""

    def __init__(self, grammar: Grammar, cost: Cost | None) -> None:
        self._grammar, self._cost = grammar, cost
        self._known: dict[tuple[Expression, int, Rest], Rest] = {}
        self.last = Rest(NOTHING, 0, None, 0, 0)
        self.first: Tails = (self.rest(grammar.start, 0, self.last),)

    def clear(self) -> None:
        self._known.clear()

    def rest(self, head: Expression, done: int, tail: Rest) -> Rest:
        key = head, done, tail
        if key not in self._known:
            need = tail.need
            if self._cost and done < (head.least if isinstance(head, Repeat) else 1):
                need += self._cost.of(head, MOST_DEPTH - tail.depth)
            closes = isinstance(head, One) and head.event == END
            self._known[key] = Rest(head, done, tail, tail.depth + closes, need)
        return self._known[key]

    def close(self, tails: Tails) -> Tails:
        """What comes first in each of the tails, opened until it is an event or a number."""
        stack, seen = [*reversed(tails)], set()
        found: dict[Expression, list[Rest]] = {}
        while stack:
            rest = stack.pop()
            if rest in seen:
                continue
            seen.add(rest)
            if rest.tail is None or isinstance(rest.head, One | Number):
                found.setdefault(rest.head, []).append(rest)
            else:
                stack.extend(way for way in reversed(self._open(rest.head, rest.done, rest.tail)) if way.need != NEVER)
        return tuple(rest for ways in found.values() for rest in _few(ways))

    def _open(self, head: Expression, done: int, tail: Rest) -> list[Rest]:
        if isinstance(head, Repeat):
            return self._again(head, done, tail)
        if isinstance(head, Choice | Maybe):
            return [*(self.rest(item, 0, tail) for item in parts(head)), *([tail] if isinstance(head, Maybe) else [])]
        if isinstance(head, Element):
            return [self.rest(head.open, 0, self.rest(head.content, 0, self.rest(head.close, 0, tail)))]
        if isinstance(head, Attribute | Text):
            return [self.rest(head.open, 0, self.rest(head.content, 0, tail))]
        if isinstance(head, Sequence):
            for item in reversed(head.items):
                tail = self.rest(item, 0, tail)
            return [tail]
        assert isinstance(head, Named | Words)
        return [self.rest(self._grammar.defines[head.name] if isinstance(head, Named) else head.content, 0, tail)]

    def _again(self, repeat: Repeat, done: int, tail: Rest) -> list[Rest]:
        stop = [tail] if done >= repeat.least else []
        if done >= repeat.most:
            return stop
        following = done + 1 if self._cost else repeat.least
        return [self.rest(repeat.item, 0, self.rest(repeat, following, tail)), *stop]
