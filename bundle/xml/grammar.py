"""A language of events as expressions: what a schema is read into, and what the automaton walks along. Imports nothing but lxml.

A document is a row of events in the schema's order: an element starts, it has an attribute or text, a value, a whole number, an element ends.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from lxml import etree

# Of a schema that says nothing of its own; so no document is endless.
MOST_REPEATS, MOST_DEPTH = 256, 24

SVG = "http://www.w3.org/2000/svg"

# A pair: ("start", name), ("attribute", name), TEXT, ("value", text), ("number", n) or END. Names are Clark's {namespace}local.
# What comes after an attribute, and after TEXT, is what it says.
Event = tuple[str, str | int]
TEXT: Event = ("text", "")
END: Event = ("end", "")

# Expressions are compared by identity: each stands for one place in the schema.


@dataclass(frozen=True, eq=False)
class One:
    """One event."""

    event: Event


@dataclass(frozen=True, eq=False)
class Number:
    """A whole number from `least` to `most`, both included."""

    least: int
    most: int
    axis: str = ""  # x, y or empty


@dataclass(frozen=True, eq=False)
class Element:
    open: One
    content: "Expression"
    close: One
    line: int = 0


@dataclass(frozen=True, eq=False)
class Attribute:
    open: One
    content: "Expression"
    line: int = 0


@dataclass(frozen=True, eq=False)
class Text:
    """An element's own text."""

    open: One
    content: "Expression"


@dataclass(frozen=True, eq=False)
class Words:
    """A list: words set off by blanks."""

    content: "Expression"
    line: int = 0


@dataclass(frozen=True, eq=False)
class Sequence:
    items: tuple["Expression", ...]


@dataclass(frozen=True, eq=False)
class Choice:
    items: tuple["Expression", ...]


@dataclass(frozen=True, eq=False)
class Maybe:
    item: "Expression"
    grouped: bool = True  # written as one pattern


@dataclass(frozen=True, eq=False)
class Repeat:
    item: "Expression"
    least: int  # 0 or 1
    most: int = MOST_REPEATS
    bands: str = ""  # x, y or empty
    line: int = 0


@dataclass(frozen=True, eq=False)
class Named:
    """A define, by name, so that schemas may recur."""

    name: str


Expression = One | Number | Element | Attribute | Text | Words | Sequence | Choice | Maybe | Repeat | Named
NOTHING = Sequence(())


def line(element: etree._Element) -> int:
    """Where it stands in its file."""
    found: int | None = getattr(element, "sourceline", None)  # which lxml's types do not know
    return found or 1


def parts(expression: Expression) -> tuple[Expression, ...]:
    if isinstance(expression, Sequence | Choice):
        return expression.items
    if isinstance(expression, Maybe | Repeat):
        return (expression.item,)
    return (expression.content,) if isinstance(expression, Element | Attribute | Text | Words) else ()


@dataclass(eq=False)
class Grammar:
    """What a schema says: `start`, and the defines that it needs."""

    start: Expression
    defines: dict[str, Expression]
    data: bytes = b""
    lines: dict[str, int] = field(default_factory=dict, repr=False)  # of the defines; "" for the start
    prefixes: dict[str | None, str] = field(default_factory=dict)  # of namespaces, as the schema has them
    relaxng: etree.RelaxNG | None = field(default=None, repr=False)
    _empty: dict[Expression, bool] = field(default_factory=dict, repr=False)

    @property
    def namespace(self) -> str:
        """Of names without a prefix in documents; empty for none."""
        return self.prefixes.get(None, "")

    @cached_property
    def vector(self) -> bool:
        """Whether its documents are drawings in SVG, with paths of absolute M, L, C and Z."""
        paths = [one for one in self.walk() if isinstance(one, Element) and one.open.event[1] == f"{{{SVG}}}path"]
        inside = [one for path in paths for one in self.within(path.content)]
        lines = [one for one in inside if isinstance(one, Attribute) and one.open.event[1] == "d"]
        return bool(lines) and all(map(self._draws, lines))

    def _draws(self, line: Attribute) -> bool:
        leaves = [one for one in self.within(line.content) if isinstance(one, One | Number)]
        letters = {one.event[1] for one in leaves if isinstance(one, One)}
        return "M" in letters and letters <= {"M", "L", "C", "Z"}

    def walk(self) -> Iterator[Expression]:
        """Every expression that `start` needs, once."""
        return self.within(self.start)

    def within(self, expression: Expression) -> Iterator[Expression]:
        stack, seen = [expression], set()
        while stack:
            one = stack.pop()
            if one not in seen:
                seen.add(one)
                yield one
                stack.extend(reversed((self.defines[one.name],) if isinstance(one, Named) else parts(one)))

    def empty(self, expression: Expression) -> bool:
        """Whether no event at all is one of its documents."""
        if expression not in self._empty:
            self._empty[expression] = self._is_empty(expression)
        return self._empty[expression]

    def _is_empty(self, expression: Expression) -> bool:
        if isinstance(expression, Named):
            return self.empty(self.defines[expression.name])
        if isinstance(expression, Repeat):
            return expression.least == 0 or self.empty(expression.item)
        if isinstance(expression, Choice):
            return any(map(self.empty, expression.items))
        if isinstance(expression, Maybe):
            return True
        if isinstance(expression, Sequence):
            return all(map(self.empty, expression.items))
        return isinstance(expression, Words) and self.empty(expression.content)


class Cost:
    """The least that an expression costs, where each event costs what `weigh` says and elements nest at most `room` deep; inf for never."""

    def __init__(self, grammar: Grammar, weigh: Callable[[One | Number], int]) -> None:
        self._grammar, self._weigh = grammar, weigh
        self._known: dict[tuple[Expression, int], float] = {}

    def of(self, expression: Expression, room: int) -> float:
        key = expression, room
        if key not in self._known:
            self._known[key] = float("inf")  # while it is asked for: what needs itself never ends
            self._known[key] = self._of(expression, room)
        return self._known[key]

    def _of(self, expression: Expression, room: int) -> float:
        if isinstance(expression, One | Number):
            return self._weigh(expression)
        if isinstance(expression, Named):
            return self.of(self._grammar.defines[expression.name], room)
        if isinstance(expression, Maybe) or (isinstance(expression, Repeat) and not expression.least):
            return 0
        if isinstance(expression, Element):
            ends = self._weigh(expression.open) + self._weigh(expression.close)
            return ends + self.of(expression.content, room - 1) if room else float("inf")
        costs = [self.of(part, room) for part in parts(expression)]
        opens = self._weigh(expression.open) if isinstance(expression, Attribute | Text) else 0
        return min(costs) if isinstance(expression, Choice) else opens + sum(costs)
