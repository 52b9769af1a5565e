"""What a grammar must keep to besides its spelling, so that every document that it generates is one that a validator accepts."""

import re

from bundle.errors import SchemaError
from bundle.xml.grammar import (
    MOST_DEPTH,
    Attribute,
    Choice,
    Cost,
    Element,
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
from bundle.xml.states import Tails, ways
from bundle.xml.table import explored

MOST_PARTS = 10_000


def check(grammar: Grammar, where: str) -> None:
    """Raises SchemaError with the line; RecursionError where defines lead too deep into one another."""
    rules = _Rules(grammar, where)
    rules.ends()
    rules.document(grammar.start)
    for one in grammar.walk():
        if isinstance(one, Element):
            rules.element(one)
        elif isinstance(one, Attribute):
            rules.attribute(one)
        elif isinstance(one, Words):
            rules.words(one)
        elif isinstance(one, Repeat) and grammar.empty(one.item):
            raise rules.wrong(
                one.line, "a repetition of what may be nothing; wanted something in it that is always there"
            )


class _Rules:
    def __init__(self, grammar: Grammar, where: str) -> None:
        self.grammar, self.where = grammar, where
        self._kinds: dict[str, frozenset[str]] = {}
        self._named: dict[str, set[str]] = {}
        self._sizes: dict[str, int] = {}

    def ends(self) -> None:
        """No define needs itself for ever."""
        for name in self.grammar.defines:
            self._loop(Named(name))
        cost = Cost(self.grammar, lambda one: 1)
        elements = [one for one in self.grammar.walk() if isinstance(one, Element)]
        for one in elements:
            if cost.of(one, MOST_DEPTH) == float("inf"):
                raise self.wrong(
                    one.line,
                    f"{_local(one)} needs itself without end, or more than {MOST_DEPTH} levels; give it a choice that ends",
                )

    def _loop(self, expression: Expression) -> int:
        """How many parts it has with its refs followed; libxml2 follows each of them."""
        if isinstance(expression, Named):
            name = expression.name
            if name not in self._sizes:
                self._sizes[name] = 0  # while it is looked at
                self._sizes[name] = self._loop(self.grammar.defines[name])
            if not 0 < self._sizes[name] < MOST_PARTS:
                found = (
                    "has too many parts with all its refs"
                    if self._sizes[name]
                    else "leads to itself with no element between"
                )
                raise self.wrong(self.grammar.lines[name], f"{name} {found}")
            return self._sizes[name]
        return 1 + (0 if isinstance(expression, Element) else sum(map(self._loop, parts(expression))))

    def document(self, start: Expression) -> None:
        """One element, or a choice of some."""
        todo, seen = [(start, self.grammar.lines[""])], {start}
        while todo:
            one, at = todo.pop()
            if isinstance(one, Named):
                following, at = [self.grammar.defines[one.name]], self.grammar.lines[one.name]
            elif isinstance(one, Choice):
                following = [item for item in one.items if item not in seen]
            elif isinstance(one, Element):
                following = []
            else:
                raise self.wrong(at, "wanted one element at the start of a document, or a choice of some")
            seen.update(following)
            todo += [(item, at) for item in following]

    def element(self, element: Element) -> None:
        self._kind(element.content, element.line)
        self._names(element.content, element.line)

    def attribute(self, attribute: Attribute) -> None:
        if self._kind(attribute.content, attribute.line) - {"text"}:
            raise self.wrong(attribute.line, f"an element or attribute in the attribute {_local(attribute)}")

    def words(self, words: Words) -> None:
        """libxml2 reads a list from left to right and never goes back, so no other lists are let in."""
        for one in self.grammar.within(words.content):
            if isinstance(one, Element | Attribute | Words):
                raise self.wrong(words.line, "a list of something else than values and data")
            if isinstance(one, One) and " " in (text := str(one.event[1]) or " "):
                raise self.wrong(words.line, f"a list with the value {text!r}; wanted values of one word")
            if isinstance(one, Maybe) and not one.grouped:
                raise self.wrong(words.line, "an optional of several patterns in a list; wanted a group around them")
            inside = one.items if isinstance(one, Choice) else (one.item,) if isinstance(one, Maybe | Repeat) else ()
            if any(map(self.grammar.empty, inside)):
                raise self.wrong(words.line, "nothing as a choice or repeated in a list; wanted optional or zeroOrMore")
        for state in explored(self.grammar, words.content):
            if not _plain(state):
                raise self.wrong(
                    words.line, "a list in which the next word does not tell what it is; wanted one that does"
                )

    def _kind(self, expression: Expression, line: int) -> frozenset[str]:
        """Of element, text and attribute those that it may hold, as RELAX NG 7.2 has it: text stands alone, and is not repeated."""
        if isinstance(expression, Named):
            if expression.name not in self._kinds:
                self._kinds[expression.name] = self._kind(self.grammar.defines[expression.name], line)
            return self._kinds[expression.name]
        if isinstance(expression, One | Number | Text | Words):
            return frozenset({"text"})
        if isinstance(expression, Element | Attribute):
            return frozenset({"element" if isinstance(expression, Element) else "attribute"})
        kinds = [self._kind(part, line) for part in parts(expression)]
        full = [kind for kind in kinds if kind - {"attribute"}]
        several = len(full) > 1 if isinstance(expression, Sequence) else isinstance(expression, Repeat)
        if several and any("text" in kind for kind in full):
            raise self.wrong(line, "text beside something else, or repeated; wanted one value or data, or a list")
        return frozenset().union(*kinds)

    def _names(self, expression: Expression, line: int) -> set[str]:
        """Of the attributes; each may come once."""
        if isinstance(expression, Named):
            if expression.name not in self._named:
                self._named[expression.name] = self._names(self.grammar.defines[expression.name], line)
            return self._named[expression.name]
        if isinstance(expression, Attribute):
            return {str(expression.open.event[1])}
        names: set[str] = set()
        for part in () if isinstance(expression, Element) else parts(expression):
            more = self._names(part, line)
            if more and isinstance(expression, Repeat) or (more & names and isinstance(expression, Sequence)):
                raise self.wrong(line, f"the attribute {min(more)} may come twice in one element")
            names |= more
        return names

    def wrong(self, line: int, what: str) -> SchemaError:
        return SchemaError(f"{self.where}: line {line or 1}: {what}")


def _plain(state: Tails) -> bool:
    """Whether every word may come for one reason only."""
    events, spans = ways(state)
    words = [str(event[1]) for event in events]
    numbers = [int(word) for word in words if re.fullmatch(r"[+-]?[0-9]{1,18}", word)]
    return all(len(tails) == 1 for tails in [*events.values(), *(span.tails for span in spans)]) and not any(
        span.least <= number <= span.most for number in numbers for span in spans
    )


def _local(one: Element | Attribute) -> str:
    return str(one.open.event[1]).rpartition("}")[2]
