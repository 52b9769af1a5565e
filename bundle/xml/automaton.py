"""A grammar as tokens and states: which events may come next, and which of them is a choice that a model has to make.

Where only one event can come it is no token: what the schema decides is never generated. A state is the set of all ways in which the schema can
go on; the states that documents meet are made when they are met, and kept. Depth, repetition and length are bounded, and no state is a dead end.
"""

import numpy as np

from bundle.xml import table
from bundle.xml.grammar import Cost, Event, Grammar
from bundle.xml.states import Rests, State, Tails, Ways, ways

# States kept at once. Met by no schema in use; a document that jumps about in a large one must not fill the memory.
MOST_STATES = 20_000


class Automaton:
    """Of one grammar. Raises SchemaError for one with too many tokens."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._states: dict[Tails, State] = {}
        self._masks: dict[tuple[object, ...], np.ndarray] = {}
        chosen, marked = table.choices(grammar)
        self.tokens: tuple[Event, ...] = (("start", ""), *chosen)  # token 0 stands before every document
        self.ids: dict[Event, int] = {event: at for at, event in enumerate(self.tokens) if at}
        self._rests = Rests(grammar, Cost(grammar, lambda one: one in marked))
        self.first: State = self.state(self._rests.first)

    def state(self, tails: Tails) -> State:
        """With what comes first in each of the tails opened until it is an event or a number."""
        rests = self._rests.close(tails)
        state = self._states.get(rests)
        if state is None:
            if len(self._states) >= MOST_STATES:
                self._forget()
            found = ways(rests)
            state = self._states[rests] = State(rests, found, self._mask(found), self.state)
        return state  # another thread may forget it meanwhile

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
        event = self.automaton.tokens[token] if 0 < token < len(self.automaton.tokens) else None
        state = event and self.state.after(event)
        if not event or not state:
            raise ValueError(f"token {token} may not come here")
        more, self.state = state.forced()
        self.events.append(event)
        self.events += more
        self.left -= 1

    def copy(self) -> "Walk":
        other = object.__new__(Walk)
        other.automaton, other.left, other.state = self.automaton, self.left, self.state
        other.events = self.events.copy()
        return other
