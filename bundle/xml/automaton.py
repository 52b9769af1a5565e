"""A grammar as tokens and states: which events may come next, and which of them is a choice that a model has to make.

Where only one event can come it is no token: what the schema decides is never generated. A state is the set of all ways in which the schema can
go on; the states that documents meet are made when they are met, and kept. Depth, repetition and length are bounded, and no state is a dead end.
"""

from collections.abc import Iterator

import numpy as np

from bundle.errors import SchemaError
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
    Named,
    Number,
    One,
    Repeat,
    Sequence,
    Words,
)
from bundle.xml.states import Rest, State, Tails, Ways, several, ways

# States kept at once. Met by no schema in use; a document that jumps about in a large one must not fill the memory.
MOST_STATES = 20_000
# Ways kept in one state; ambiguous repetitions within one another have more. Any of them alone leads to valid documents.
MOST_WAYS = 256
# States looked at for the table of tokens; where a schema has more, every event is a token.
MOST_EXPLORED = 5_000
MOST_TOKENS = 10_000

NEVER = float("inf")
RANKS = {"end": 0, "start": 1, "attribute": 2, "value": 3, "number": 4}


class Automaton:
    """Of one grammar. Raises SchemaError for one with too many tokens."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._states: dict[Tails, State] = {}
        self._rests: dict[tuple[Expression, int, Rest | None], Rest] = {}
        self._masks: dict[tuple[object, ...], np.ndarray] = {}
        self._last = Rest(NOTHING, 0, None, 0, 0)
        self._cost: Cost | None = None  # while there is none nothing is bounded
        chosen, marked = self._explore()
        if len(chosen) >= MOST_TOKENS:
            raise SchemaError(f"the schema makes {len(chosen)} tokens, at most {MOST_TOKENS} wanted; list fewer values")
        self.tokens: tuple[Event, ...] = (("start", ""), *chosen)  # token 0 stands before every document
        self.ids: dict[Event, int] = {event: at for at, event in enumerate(self.tokens) if at}
        self._rests.clear()
        self._cost = Cost(grammar, lambda one: one in marked)
        self.first: State = self.state((self._rest(grammar.start, 0, self._last),))

    def state(self, tails: Tails) -> State:
        """With what comes first in each of the tails opened until it is an event or a number."""
        rests = self._close(tails)
        if rests not in self._states:
            if len(self._states) >= MOST_STATES:
                self._forget()
            found = ways(rests)
            self._states[rests] = State(rests, found, self._mask(found), self.state)
        return self._states[rests]

    def _mask(self, ways: Ways) -> np.ndarray:
        """bool (tokens,), read-only; many states share one."""
        events, numbers = ways
        spans = [(self.ids["number", span.least], span) for span in numbers if ("number", span.least) in self.ids]
        found = sorted(self.ids[event] for event in events if event in self.ids)
        key = (*found, *((first, span.most - span.least + 1) for first, span in spans))
        if key not in self._masks:
            mask = np.zeros(len(self.tokens), bool)
            mask[found] = True
            for first, span in spans:  # the numbers of a span stand in a row in the table
                mask[first : first + span.most - span.least + 1] = True
            mask.flags.writeable = False
            self._masks[key] = mask
        return self._masks[key]

    def _forget(self) -> None:
        for state in list(self._states.values()):
            state.to.clear()
            state.run = None
        self._states.clear()
        self._rests.clear()
        self._masks.clear()

    # ---- what may come -----------------------------------------------------------------------

    def _rest(self, head: Expression, done: int, tail: Rest) -> Rest:
        key = head, done, tail
        if key not in self._rests:
            need = tail.need
            if self._cost and done < (head.least if isinstance(head, Repeat) else 1):
                need += self._cost.of(head, MOST_DEPTH - tail.depth)
            closes = isinstance(head, One) and head.event == END
            self._rests[key] = Rest(head, done, tail, tail.depth + closes, need)
        return self._rests[key]

    def _close(self, tails: Tails) -> Tails:
        stack, seen, found = [*reversed(tails)], set(), []
        while stack:
            rest = stack.pop()
            if rest in seen:
                continue
            seen.add(rest)
            if rest.tail is None or isinstance(rest.head, One | Number):
                found.append(rest)
            else:
                stack.extend(way for way in reversed(self._open(rest.head, rest.done, rest.tail)) if way.need != NEVER)
        if len(found) > MOST_WAYS:
            return (min(found, key=lambda rest: rest.need), *found[: MOST_WAYS - 1])
        return tuple(found)

    def _open(self, head: Expression, done: int, tail: Rest) -> list[Rest]:
        if isinstance(head, Repeat):
            return self._again(head, done, tail)
        if isinstance(head, Choice):
            return [self._rest(item, 0, tail) for item in head.items]
        if isinstance(head, Element):
            return [self._rest(head.open, 0, self._rest(head.content, 0, self._rest(head.close, 0, tail)))]
        if isinstance(head, Attribute):
            return [self._rest(head.open, 0, self._rest(head.content, 0, tail))]
        if isinstance(head, Sequence):
            for item in reversed(head.items):
                tail = self._rest(item, 0, tail)
            return [tail]
        assert isinstance(head, Named | Words)
        return [self._rest(self.grammar.defines[head.name] if isinstance(head, Named) else head.content, 0, tail)]

    def _again(self, repeat: Repeat, done: int, tail: Rest) -> list[Rest]:
        if self.grammar.empty(repeat.item):  # counting items that are nothing would never end
            full = self.grammar.filled(repeat)
            return [self._rest(full, 0, tail), tail] if full else [tail]
        stop = [tail] if done >= repeat.least else []
        if done >= repeat.most:
            return stop
        following = done + 1 if self._cost else repeat.least
        return [self._rest(repeat.item, 0, self._rest(repeat, following, tail)), *stop]

    # ---- tokens ------------------------------------------------------------------------------

    def _explore(self) -> tuple[list[Event], set[One | Number]]:
        """The events that are one of several anywhere, in an order that hangs on the schema alone, and where in the schema they are."""
        chosen: set[Event] = set()
        marked: set[One | Number] = set()
        for at, rests in enumerate(self.explored()):
            if at >= MOST_EXPLORED:
                marked.update(one for one in self.grammar.walk() if isinstance(one, One | Number))
                chosen.update(event for one in marked for event in _events(one))
                break
            events, spans = found = ways(rests)
            if several(found):
                marked.update(rest.head for rest in rests if isinstance(rest.head, One | Number))
                chosen.update(events)
                chosen.update(("number", number) for span in spans for number in range(span.least, span.most + 1))
        return sorted(chosen, key=lambda event: (RANKS[event[0]], event[1])), marked

    def explored(self) -> Iterator[Tails]:
        """All states without counting and nesting: an element's inside is looked at by itself, and so is what may come after it."""
        assert self._cost is None
        start = self._close((self._rest(self.grammar.start, 0, self._last),))
        seen, todo = {start}, [start]
        while todo:
            rests = todo.pop()
            yield rests
            for tails in self.following(rests):
                if (to := self._close(tails)) not in seen:
                    seen.add(to)
                    todo.append(to)

    def following(self, rests: Tails) -> list[Tails]:
        events, spans = ways(rests)
        found = [span.tails for span in spans]
        for event, tails in events.items():
            if event[0] == "start":
                ends = [tail.tail for tail in tails if tail.tail]  # of the elements, and what comes after them
                inside = [
                    self._rest(tail.head, 0, self._rest(tail.tail.head, 0, self._last)) for tail in tails if tail.tail
                ]
                found += [tuple(inside), tuple(end.tail for end in ends if end.tail)]
            else:
                found.append(tails)
        return found


def _events(one: One | Number) -> list[Event]:
    return [one.event] if isinstance(one, One) else [("number", at) for at in range(one.least, one.most + 1)]


class Walk:
    """One document that grows token by token. `most` bounds its tokens: near it only what leads to the end may come."""

    def __init__(self, automaton: Automaton, most: int) -> None:
        self.automaton = automaton
        self.left = max(float(most), automaton.first.need)
        self.events, self.state = automaton.first.forced()
        self.events = self.events.copy()

    @property
    def done(self) -> bool:
        return self.state.end

    def mask(self) -> np.ndarray:
        """bool (tokens,): what may come. Not to be written to."""
        state = self.state
        if state.peak < self.left:
            return state.mask
        automaton = self.automaton
        mask = np.zeros(len(automaton.tokens), bool)
        for event, tails in state.events.items():
            if min(rest.need for rest in tails) < self.left:
                mask[automaton.ids[event]] = True
        for span in state.numbers:
            if min(rest.need for rest in span.tails) < self.left:
                first = automaton.ids["number", span.least]
                mask[first : first + span.most - span.least + 1] = True
        return mask

    def push(self, token: int) -> None:
        """A token that the mask allows; then all that must follow. Raises ValueError for another."""
        event = self.automaton.tokens[token]
        state = self.state.after(event) if token > 0 else None
        if state is None or self.state.end:
            raise ValueError(f"token {token}, {event}, may not come here")
        more, self.state = state.forced()
        self.events.append(event)
        self.events += more
        self.left -= 1

    def copy(self) -> "Walk":
        other = object.__new__(Walk)
        other.automaton, other.left, other.state = self.automaton, self.left, self.state
        other.events = self.events.copy()
        return other
