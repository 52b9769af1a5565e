"""Reads a RELAX NG schema (XML syntax) as the description of a language of events; what is outside our subset is refused by line.

A document is a row of events in the schema's order: an element starts, an attribute is there, a value, a whole number, an element ends.
The schema becomes an expression over them. The subset: element, attribute, choice, optional, oneOrMore, zeroOrMore, group, list, value,
empty, define and ref, and data of a whole-number type with bounds. Attributes of the namespace NOTES say more, and validators skip them:
`max` (of a repetition: at most so often), `bands` (of a repetition: its items lie below one another, y, or side by side, x, in the picture)
and `axis` (of a number: it is an x or a y in the picture).

Source of the format: RELAX NG Specification, OASIS, 3 December 2001.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from lxml import etree

from bundle.errors import SchemaError

RNG = "{http://relaxng.org/ns/structure/1.0}"
NOTES = "{urn:imago:xml}"

# Of a schema that says nothing of its own; so no document is endless.
MOST_REPEATS, MOST_DEPTH = 256, 24
# A whole number is one token, so its bounds are bounds of the table.
MOST_NUMBERS = 4096

WHOLE = {
    "integer": (None, None),
    "nonNegativeInteger": (0, None),
    "positiveInteger": (1, None),
    "unsignedByte": (0, 255),
    "unsignedShort": (0, 65535),
    "byte": (-128, 127),
    "short": (-32768, 32767),
    "int": (-(2**31), 2**31 - 1),
    "unsignedInt": (0, 2**32 - 1),
    "long": (None, None),
}

# ---- expressions ----------------------------------------------------------------------------
# An event is a pair: ("start", name), ("attribute", name), ("value", text), ("number", n) or END. Names are Clark's {namespace}local.

Event = tuple[str, str | int]
END: Event = ("end", "")


@dataclass(frozen=True, eq=False)
class One:
    """One event."""

    event: Event


@dataclass(frozen=True, eq=False)
class Number:
    """A whole number from `least` to `most`, both included."""

    least: int
    most: int
    axis: str  # x, y or empty


@dataclass(frozen=True, eq=False)
class Sequence:
    items: tuple["Expression", ...]


@dataclass(frozen=True, eq=False)
class Choice:
    items: tuple["Expression", ...]


@dataclass(frozen=True, eq=False)
class Repeat:
    item: "Expression"
    least: int  # 0 or 1
    most: int
    bands: str  # x, y or empty


@dataclass(frozen=True, eq=False)
class Named:
    """A define, by name, so that schemas may recur."""

    name: str


Expression = One | Number | Sequence | Choice | Repeat | Named
NOTHING = Sequence(())


@dataclass(eq=False)
class Grammar:
    """What a schema says: `start`, and the defines that it needs."""

    start: Expression
    defines: dict[str, Expression]
    data: bytes
    namespace: str = ""  # of the root element
    relaxng: etree.RelaxNG | None = field(default=None, repr=False)
    _heights: dict[str, float] = field(default_factory=dict, repr=False)
    _needs: dict[str, float] = field(default_factory=dict, repr=False)

    def resolve(self, expression: Expression) -> Expression:
        while isinstance(expression, Named):
            expression = self.defines[expression.name]
        return expression

    def height(self, expression: Expression) -> float:
        """How deep elements must nest in it at least."""
        return _measure(expression, self._heights, nested=True)

    def need(self, expression: Expression) -> float:
        """How many events it has at least."""
        return _measure(expression, self._needs, nested=False)

    @cached_property
    def vector(self) -> bool:
        """Whether its documents are drawings in SVG with paths."""
        return any(one.event == ("attribute", "d") for one in self.walk() if isinstance(one, One)) and (
            self.namespace == "http://www.w3.org/2000/svg"
        )

    def walk(self) -> Iterator[Expression]:
        """Every expression, once."""
        stack: list[Expression] = [self.start, *self.defines.values()]
        while stack:
            one = stack.pop()
            yield one
            if isinstance(one, Sequence | Choice):
                stack.extend(one.items)
            elif isinstance(one, Repeat):
                stack.append(one.item)


def _measure(expression: Expression, known: dict[str, float], *, nested: bool) -> float:
    """The least depth (`nested`) or number of events of all that the expression can become; `known` has the defines'."""
    if isinstance(expression, One | Number):
        return 0.0 if nested else 1.0
    if isinstance(expression, Named):
        return known.get(expression.name, float("inf"))
    if isinstance(expression, Repeat):
        return _measure(expression.item, known, nested=nested) if expression.least else 0.0
    parts = [_measure(item, known, nested=nested) for item in expression.items]
    if isinstance(expression, Choice):
        return min(parts)
    if not nested:
        return sum(parts)
    element = expression.items and expression.items[-1] is CLOSE
    return max(parts, default=0.0) + bool(element)


CLOSE = One(END)


# ---- reading --------------------------------------------------------------------------------


def parse(data: bytes, where: str = "schema.rng") -> Grammar:
    """Raises SchemaError with the line of what is wrong or outside the subset."""
    root = read(data, where)
    try:
        relaxng = etree.RelaxNG(root)
    except etree.RelaxNGParseError as error:
        raise SchemaError(f"{where}: no good RELAX NG: {str(error).splitlines()[0]}") from None
    return _Reader(where).grammar(root, data, relaxng)


def read(data: bytes, where: str) -> etree._Element:
    """XML without DTD, entities and network. Raises SchemaError."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise SchemaError(f"{where}: no well-formed XML: {str(error).splitlines()[0]}") from None
    if root.getroottree().docinfo.doctype:
        raise SchemaError(f"{where}: it has a DOCTYPE, which is not read here; take it out")
    return root


class _Reader:
    def __init__(self, where: str) -> None:
        self.where = where

    def grammar(self, root: etree._Element, data: bytes, relaxng: etree.RelaxNG) -> Grammar:
        defines: dict[str, Expression] = {}
        if root.tag == f"{RNG}grammar":
            start: Expression | None = None
            for child in self._flat(root):
                if child.tag == f"{RNG}start":
                    start = self._group(child)
                elif child.tag == f"{RNG}define":
                    name = child.get("name", "").strip()
                    if name in defines or child.get("combine"):
                        raise self._outside(child, "a define in several parts (combine)")
                    defines[name] = self._group(child)
                else:
                    raise self._outside(child)
            if start is None:
                raise SchemaError(f"{self.where}: no start; say which element a document begins with")
        else:
            start = self._pattern(root)
        grammar = Grammar(start, defines, data, self._namespace(root), relaxng)
        self._settle(root, grammar)
        return grammar

    def _settle(self, root: etree._Element, grammar: Grammar) -> None:
        """Least heights and lengths of the defines; raises for a schema whose documents have no end."""
        for measure, known in ((grammar.height, grammar._heights), (grammar.need, grammar._needs)):
            changed = True
            while changed:
                changed = False
                for name, expression in grammar.defines.items():
                    if (found := measure(expression)) < known.get(name, float("inf")):
                        known[name], changed = found, True
        for define in root.iter(f"{RNG}define"):
            if grammar._needs.get(define.get("name", "").strip(), float("inf")) == float("inf"):
                raise SchemaError(
                    f"{self._at(define)}: {define.get('name')} needs itself without end; give it a choice that ends"
                )
        if grammar.need(grammar.start) == float("inf") or grammar.height(grammar.start) > MOST_DEPTH:
            raise SchemaError(
                f"{self.where}: no document of at most {MOST_DEPTH} nested elements is valid; make it less deep"
            )

    def _pattern(self, node: etree._Element) -> Expression:
        kind = str(node.tag).removeprefix(RNG)
        reader = getattr(self, f"_{kind}", None) if str(node.tag).startswith(RNG) and kind in PATTERNS else None
        if reader is None:
            raise self._outside(node)
        expression: Expression = reader(node)
        return expression

    def _group(self, node: etree._Element) -> Expression:
        """Attributes first, since they stand in the start tag."""
        nodes = sorted(
            (child for child in self._flat(node) if child.tag != f"{RNG}name"),
            key=lambda child: not self._in_tag(child, set()),
        )
        items = [item for item in map(self._pattern, nodes) if item is not NOTHING]
        return items[0] if len(items) == 1 else Sequence(tuple(items)) if items else NOTHING

    def _in_tag(self, node: etree._Element, seen: set[str]) -> bool:
        """Whether it is, or may be, an attribute."""
        if node.tag == f"{RNG}attribute":
            return True
        if node.tag == f"{RNG}element":
            return False
        children = list(self._flat(node))
        if node.tag == f"{RNG}ref" and (name := node.get("name", "").strip()) not in seen:
            seen.add(name)
            for define in node.getroottree().iter(f"{RNG}define"):
                if define.get("name", "").strip() == name:
                    children += self._flat(define)
        return any(self._in_tag(child, seen) for child in children)

    def _element(self, node: etree._Element) -> Expression:
        name = self._name(node, attribute=False)
        content = self._group(node)
        inner = content.items if isinstance(content, Sequence) else (content,)
        return Sequence((One(("start", name)), *inner, CLOSE))

    def _attribute(self, node: etree._Element) -> Expression:
        name = self._name(node, attribute=True)
        content = self._group(node)
        if content is NOTHING:
            raise SchemaError(
                f"{self._at(node)}: the attribute {name} may have any text; list its values, or numbers with bounds"
            )
        return Sequence((One(("attribute", name)), content))

    def _choice(self, node: etree._Element) -> Expression:
        return Choice(tuple(self._pattern(child) for child in self._flat(node)))

    def _optional(self, node: etree._Element) -> Expression:
        return Choice((NOTHING, self._group(node)))

    def _oneOrMore(self, node: etree._Element) -> Expression:  # noqa: N802  (RELAX NG's own name)
        return self._repeat(node, 1)

    def _zeroOrMore(self, node: etree._Element) -> Expression:  # noqa: N802
        return self._repeat(node, 0)

    def _repeat(self, node: etree._Element, least: int) -> Expression:
        text = node.get(f"{NOTES}max", str(MOST_REPEATS))
        if not text.isdecimal() or not 1 <= int(text) <= 100_000:
            raise SchemaError(f"{self._at(node)}: max={text!r}; wanted a number from 1 to 100000")
        return Repeat(self._group(node), least, int(text), self._note(node, "bands"))

    def _list(self, node: etree._Element) -> Expression:
        return self._group(node)

    def _value(self, node: etree._Element) -> Expression:
        if node.get("type", "token") not in ("token", "string"):
            raise self._outside(node, f"a value of type {node.get('type')}")
        return One(("value", " ".join((node.text or "").split())))

    def _data(self, node: etree._Element) -> Expression:
        kind = node.get("type", "")
        if kind not in WHOLE:
            raise self._outside(node, f"data of type {kind or 'none'}")
        least, most = WHOLE[kind]
        for child in self._flat(node):
            if child.tag != f"{RNG}param":
                raise self._outside(child)
            number = self._integer(child)
            if child.get("name") == "minInclusive":
                least = number if least is None else max(least, number)
            elif child.get("name") == "maxInclusive":
                most = number if most is None else min(most, number)
            else:
                raise self._outside(child, f"the param {child.get('name')}")
        if least is None or most is None or not 0 <= most - least < MOST_NUMBERS:
            raise SchemaError(
                f"{self._at(node)}: wanted minInclusive and maxInclusive, at most {MOST_NUMBERS} numbers apart"
            )
        return Number(least, most, self._note(node, "axis"))

    def _ref(self, node: etree._Element) -> Expression:
        return Named(node.get("name", "").strip())

    def _empty(self, node: etree._Element) -> Expression:
        return NOTHING

    def _note(self, node: etree._Element, name: str) -> str:
        text = node.get(f"{NOTES}{name}", "")
        if text not in ("", "x", "y"):
            raise SchemaError(f"{self._at(node)}: {name}={text!r}; wanted x or y")
        return str(text)

    def _integer(self, node: etree._Element) -> int:
        try:
            return int((node.text or "").strip())
        except ValueError:
            raise SchemaError(f"{self._at(node)}: {node.text!r} is no whole number") from None

    def _name(self, node: etree._Element, *, attribute: bool) -> str:
        name = node.get("name")
        if name is None:
            first = next(iter(self._flat(node)), None)
            if first is None or first.tag != f"{RNG}name":
                raise self._outside(first if first is not None else node, "a name that is not spelled out")
            name, node, attribute = first.text or "", first, False
        name = name.strip()
        if ":" in name:
            prefix, _, local = name.partition(":")
            return f"{{{node.nsmap.get(prefix, '')}}}{local}"
        namespace = node.get("ns", "") if attribute else self._namespace(node)
        return f"{{{namespace}}}{name}" if namespace else name

    @staticmethod
    def _namespace(node: etree._Element) -> str:
        found = node.xpath("ancestor-or-self::*[@ns][1]/@ns")
        return str(found[-1]) if found else ""

    def _flat(self, node: etree._Element) -> Iterator[etree._Element]:
        """RELAX NG's children; those of other namespaces are somebody's notes, a div is only a bracket."""
        for child in node:
            if not isinstance(child.tag, str) or not child.tag.startswith(RNG):
                continue
            if child.tag == f"{RNG}div":
                yield from self._flat(child)
            else:
                yield child

    def _at(self, node: etree._Element) -> str:
        return f"{self.where}: line {node.sourceline}"

    def _outside(self, node: etree._Element, what: str = "") -> SchemaError:
        named = what or str(node.tag).removeprefix(RNG)
        return SchemaError(
            f"{self._at(node)}: {named} is outside of what is read here; wanted {', '.join(sorted(PATTERNS))}"
        )


PATTERNS = {
    *("element", "attribute", "choice", "optional", "oneOrMore", "zeroOrMore"),
    *("group", "list", "value", "data", "ref", "empty"),
}
