"""The table of tokens: which events of a grammar are ever a choice. And whether two grammars say the same."""

from collections.abc import Iterator

from bundle.errors import SchemaError
from bundle.xml.grammar import Attribute, Element, Event, Expression, Grammar, Number, One, Text
from bundle.xml.states import Rests, Tails, several, ways

# States looked at; where a schema has more, every event is a token.
MOST_EXPLORED = 5_000
MOST_TOKENS = 10_000

RANKS = {"end": 0, "start": 1, "attribute": 2, "text": 3, "value": 4, "number": 5}


def choices(grammar: Grammar) -> tuple[list[Event], set[One | Number]]:
    """The events that are one of several anywhere, in an order that hangs on the schema alone, and where in the schema they stand.
    Raises SchemaError for too many."""
    chosen: set[Event] = set()
    marked: set[One | Number] = set()
    for at, tails in enumerate(explored(grammar, grammar.start)):
        if at >= MOST_EXPLORED:
            marked.update(_all(grammar))
            chosen.update(event for one in marked for event in _events(one))
            break
        if several(ways(tails)):
            heads = [rest.head for rest in tails if isinstance(rest.head, One | Number)]
            marked.update(heads)
            chosen.update(event for one in heads for event in _events(one))
    if len(chosen) >= MOST_TOKENS:
        raise SchemaError(f"the schema makes {len(chosen)} tokens, at most {MOST_TOKENS} wanted; list fewer values")
    return sorted(chosen, key=lambda event: (RANKS[event[0]], event[1])), marked


def _all(grammar: Grammar) -> Iterator[One | Number]:
    """Wherever an event stands, the starts and ends of elements and the names of attributes too."""
    for node in grammar.walk():
        if isinstance(node, One | Number):
            yield node
        if isinstance(node, Element | Attribute | Text):
            yield node.open
        if isinstance(node, Element):
            yield node.close


def same_language(one: Grammar, two: Grammar) -> bool:
    """Whether the same documents are valid, whatever the notes say. False where they are too large to tell."""
    rests = Rests(one, None), Rests(two, None)
    start = rests[0].close(rests[0].first), rests[1].close(rests[1].first)
    seen, todo = {start}, [start]
    while todo and len(seen) < MOST_EXPLORED:
        here, there = todo.pop()
        following, others = _following(rests[0], here), _following(rests[1], there)
        if following.keys() != others.keys():
            return False
        for key, tails in following.items():
            pair = rests[0].close(tails), rests[1].close(others[key])
            if pair not in seen:
                seen.add(pair)
                todo.append(pair)
    return not todo


def explored(grammar: Grammar, expression: Expression) -> Iterator[Tails]:
    """All states of an expression, without counting and nesting."""
    rests = Rests(grammar, None)
    start = rests.close((rests.rest(expression, 0, rests.last),))
    seen, todo = {start}, [start]
    while todo:
        here = todo.pop()
        yield here
        for tails in _following(rests, here).values():
            if (to := rests.close(tails)) not in seen:
                seen.add(to)
                todo.append(to)


def _following(rests: Rests, here: Tails) -> dict[tuple[Event | tuple[int, int], str], Tails]:
    """What may come after each event. An element's inside is looked at by itself, and so is what may come after the element, so that
    schemas that recur have few states."""
    events, spans = ways(here)
    found: dict[tuple[Event | tuple[int, int], str], Tails] = {}
    for span in spans:
        found[(span.least, span.most), ""] = span.tails
    for event, tails in events.items():
        if event[0] == "start":
            ends = [(tail.head, tail.tail) for tail in tails if tail.tail]  # the inside, then the end
            found[event, "inside"] = tuple(
                rests.rest(inside, 0, rests.rest(end.head, 0, rests.last)) for inside, end in ends
            )
            found[event, "after"] = tuple(end.tail for _, end in ends if end.tail)
        else:
            found[event, ""] = tails
    return found


def _events(one: One | Number) -> list[Event]:
    return [one.event] if isinstance(one, One) else [("number", at) for at in range(one.least, one.most + 1)]
