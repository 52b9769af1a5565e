"""A grammar as tokens and states: which events may come next, and which of them is a choice that a model has to make.

Where only one event can come it is no token: what the schema decides is never generated. A state is the set of all ways in which the schema can
go on; the states that documents meet are made when they are met, and kept. Depth, repetition and length are bounded, and no state is a dead end.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bundle.xml.schema import (
    CLOSE,
    END,
    MOST_DEPTH,
    Choice,
    Event,
    Expression,
    Grammar,
    Named,
    Number,
    One,
    Repeat,
    Sequence,
)

# Met by no schema in use; a document that jumps about in a large one must not fill the memory.
MOST_STATES = 50_000
# For the table of tokens; where a schema has more, every event is a token.
MOST_EXPLORED = 5_000


class Again(NamedTuple):
    """A repetition of which so many items are there."""

    repeat: Repeat
    done: int


# What is still to come, as a linked list: None, or (what comes first, the rest).
Rest = tuple["Expression | Again", "Rest"] | None


class State(NamedTuple):
    """What may come next: events, and numbers from .. to, each with what is to come after it."""

    events: dict[Event, frozenset[Rest]]
    numbers: tuple[tuple[int, int, frozenset[Rest]], ...]
    need: int  # events that it takes at least from here to the end
    choice: bool  # more than one event may come
    mask: np.ndarray  # bool (tokens,): those that may come

    @property
    def end(self) -> bool:
        return not self.events and not self.numbers


class Automaton:
    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._states: dict[frozenset[Rest], State] = {}
        self._peaks: dict[frozenset[Rest], int] = {}
        self._bounded = True
        self.ids: dict[Event, int] = {}
        self.tokens: tuple[Event, ...] = (("start", ""),)  # token 0, before every document
        chosen = self._explore()
        self.tokens += tuple(chosen)
        self.ids = {event: at for at, event in enumerate(self.tokens) if at}
        self._states.clear()
        self.first: frozenset[Rest] = self._close([(grammar.start, None)])

    def state(self, rests: frozenset[Rest]) -> State:
        if rests not in self._states:
            if len(self._states) >= MOST_STATES:
                self._states.clear()
                self._peaks.clear()
            self._states[rests] = self._make(rests)
        return self._states[rests]

    def after(self, state: State, event: Event) -> frozenset[Rest] | None:
        """None where the event may not come."""
        if event[0] == "number":
            return next((to for least, most, to in state.numbers if least <= int(event[1]) <= most), None)
        return state.events.get(event)

    def peak(self, rests: frozenset[Rest]) -> int:
        """How many events are needed at least after the event that needs the most after it."""
        if rests not in self._peaks:
            state = self.state(rests)
            following = [*state.events.values(), *(to for _, _, to in state.numbers)]
            self._peaks[rests] = max((self.state(to).need for to in following), default=0)
        return self._peaks[rests]

    def only(self, state: State) -> Event:
        """The one event that may come, where there is no choice."""
        return next(iter(state.events)) if state.events else ("number", state.numbers[0][0])

    def events(self, state: State) -> Iterator[Event]:
        yield from state.events
        for least, most, _ in state.numbers:
            yield from (("number", number) for number in range(least, most + 1))

    # ---- states ------------------------------------------------------------------------------

    def _make(self, rests: frozenset[Rest]) -> State:
        events: dict[Event, list[Rest]] = {}
        spans: list[tuple[int, int, Rest]] = []
        for rest in rests:
            if rest is None:
                continue
            head, tail = rest
            if isinstance(head, One):
                events.setdefault(head.event, []).append(tail)
            elif isinstance(head, Number):
                spans.append((head.least, head.most, tail))
        closed = {event: self._close(tails) for event, tails in sorted(events.items(), key=_order)}
        numbers = self._numbers(spans)
        need = min(sum(map(self._need, _items(rest))) for rest in rests)
        choice = len(closed) + sum(most - least + 1 for least, most, _ in numbers) > 1
        mask = np.zeros(len(self.tokens), bool)
        for event in closed:
            if event in self.ids:
                mask[self.ids[event]] = True
        for least, most, _ in numbers:
            if ("number", least) in self.ids:  # the numbers of a table are a row without gaps
                first = self.ids["number", least]
                mask[first : first + most - least + 1] = True
        return State(closed, numbers, need, choice, mask)

    def _numbers(self, spans: list[tuple[int, int, Rest]]) -> tuple[tuple[int, int, frozenset[Rest]], ...]:
        """Where spans overlap, the part that they share leads to all that either leads to."""
        cuts = sorted({edge for least, most, _ in spans for edge in (least, most + 1)})
        found = []
        for least, above in zip(cuts, cuts[1:], strict=False):
            if tails := [tail for low, high, tail in spans if low <= least and above - 1 <= high]:
                found.append((least, above - 1, self._close(tails)))
        return tuple(found)

    def _close(self, rests: list[Rest]) -> frozenset[Rest]:
        """Opens whatever stands first until it is an event or a number."""
        found: set[Rest] = set()
        seen: set[Rest] = set()
        while rests:
            rest = rests.pop()
            if rest in seen:
                continue
            seen.add(rest)
            if rest is None or isinstance(rest[0], One | Number):
                found.add(rest)
            else:
                rests.extend(self._open(rest[0], rest[1]))
        return frozenset(found)

    def _open(self, head: "Expression | Again", tail: Rest) -> list[Rest]:
        if isinstance(head, Named):
            return [(self.grammar.defines[head.name], tail)]
        if isinstance(head, Sequence):
            for item in reversed(head.items):
                tail = (item, tail)
            return [tail]
        if isinstance(head, Choice):
            return [(item, tail) for item in head.items if self._fits(item, tail)]
        if isinstance(head, Repeat):
            return self._open(Again(head, 0), tail)
        assert isinstance(head, Again)
        repeat, done = head
        ways = [tail] if done >= repeat.least else []
        if (done < repeat.most or not self._bounded) and self._fits(repeat.item, tail):
            following = done + 1 if self._bounded else repeat.least
            ways.append((repeat.item, (Again(repeat, following), tail)))
        return ways

    def _fits(self, expression: Expression, tail: Rest) -> bool:
        if not self._bounded:
            return True
        depth = sum(item is CLOSE for item in _items(tail))
        return depth + self.grammar.height(expression) <= MOST_DEPTH

    def _need(self, item: "Expression | Again") -> int:
        if isinstance(item, Again):
            return self._need(item.repeat.item) if item.done < item.repeat.least else 0
        return int(self.grammar.need(item))

    # ---- tokens ------------------------------------------------------------------------------

    def _explore(self) -> list[Event]:
        """The events that are one of several anywhere, in an order that hangs on the schema alone."""
        self._bounded = False
        chosen: set[Event] = set()
        start = self._close([(self.grammar.start, None)])
        seen, todo = {start}, [start]
        while todo and len(seen) < MOST_EXPLORED:
            state = self._make(todo.pop())
            if state.choice:
                chosen.update(self.events(state))
            for to in [*state.events.values(), *(to for _, _, to in state.numbers)]:
                if to not in seen:
                    seen.add(to)
                    todo.append(to)
        if todo:
            chosen = set(_all(self.grammar))
        self._bounded = True
        return sorted(_filled(chosen), key=lambda event: (RANKS[event[0]], event[1]))


RANKS = {"end": 0, "start": 1, "attribute": 2, "value": 3, "number": 4}


def _order(item: tuple[Event, object]) -> tuple[int, str]:
    return RANKS[item[0][0]], str(item[0][1])


def _items(rest: Rest) -> Iterator["Expression | Again"]:
    while rest is not None:
        yield rest[0]
        rest = rest[1]


def _all(grammar: Grammar) -> Iterator[Event]:
    for one in grammar.walk():
        if isinstance(one, One):
            yield one.event
        elif isinstance(one, Number):
            yield from (("number", number) for number in range(one.least, one.most + 1))


def _filled(chosen: set[Event]) -> set[Event]:
    """Numbers without gaps, so that a span of them is a slice of the table."""
    numbers = [int(text) for kind, text in chosen if kind == "number"]
    between = range(min(numbers), max(numbers) + 1) if numbers else ()
    return chosen | {("number", number) for number in between}


class Walk:
    """One document that grows token by token. `most` bounds its tokens: near it only what leads to the end may come."""

    def __init__(self, automaton: Automaton, most: int) -> None:
        self.automaton = automaton
        self.events: list[Event] = []
        self.left = max(most, automaton.state(automaton.first).need)
        self.rests = automaton.first
        self._run()

    @property
    def state(self) -> State:
        return self.automaton.state(self.rests)

    @property
    def done(self) -> bool:
        return self.state.end

    def mask(self) -> np.ndarray:
        """bool (tokens,): what may come."""
        state = self.state
        if self.automaton.peak(self.rests) < self.left:
            return state.mask
        ids = self.automaton.ids
        mask = np.zeros(len(self.automaton.tokens), bool)
        for event, to in state.events.items():
            mask[ids[event]] = self.automaton.state(to).need < self.left
        for least, most, to in state.numbers:
            first = ids["number", least]
            mask[first : first + most - least + 1] = self.automaton.state(to).need < self.left
        return mask

    def push(self, token: int) -> None:
        """A token that the mask allows; then all that must follow."""
        self._follow(self.automaton.tokens[token])
        self.left -= 1
        self._run()

    def copy(self) -> "Walk":
        other = object.__new__(Walk)
        other.automaton, other.events, other.left, other.rests = (
            self.automaton,
            self.events.copy(),
            self.left,
            self.rests,
        )
        return other

    def _follow(self, event: Event) -> None:
        to = self.automaton.after(self.state, event)
        if to is None:
            raise ValueError(f"{event} may not come here")
        self.events.append(event)
        self.rests = to

    def _run(self) -> None:
        while not (state := self.state).choice and not state.end:
            self._follow(self.automaton.only(state))


assert CLOSE.event == END
