"""Reads a RELAX NG schema (XML syntax) into a grammar; what is outside our subset is refused by name and line.

The subset: element, attribute, choice, optional, oneOrMore, zeroOrMore, group, list, value, empty, define and ref, and data of a whole-number
type with bounds. Attributes of the namespace NOTES say more, and validators skip them: `max` (of a repetition: at most so often), `bands` (of a
repetition: its items lie below one another, y, or side by side, x, in the picture) and `axis` (of a number: it is an x or a y in the picture).

Source of the format: RELAX NG Specification, OASIS, 3 December 2001.
"""

import re
from collections.abc import Iterator

from lxml import etree

from bundle.errors import SchemaError
from bundle.xml import names, rules
from bundle.xml.grammar import (
    END,
    MOST_REPEATS,
    NOTHING,
    TEXT,
    Attribute,
    Choice,
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
    line,
)
from bundle.xml.tree import read

RNG = "{http://relaxng.org/ns/structure/1.0}"
NOTES = "{urn:imago:xml}"

# Far above any schema in use; libxml2 follows a schema as deep as its defines lead.
MOST_BYTES, MOST_DEFINES = 1 << 20, 1000
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
    "long": (-(2**63), 2**63 - 1),
}
SPOKEN = " as text"  # of a define whose values are an element's text; names have no blanks
PATTERNS = {
    *("element", "attribute", "choice", "optional", "oneOrMore", "zeroOrMore"),
    *("group", "list", "value", "data", "ref", "empty"),
}
# Where each note may stand.
PLACES = {"max": ("oneOrMore", "zeroOrMore"), "bands": ("oneOrMore", "zeroOrMore"), "axis": ("data",)}


def parse(data: bytes, where: str = "schema.rng") -> Grammar:
    """Raises SchemaError with the line of what is wrong or outside the subset."""
    if len(data) > MOST_BYTES:
        raise SchemaError(f"{where}: {len(data)} bytes, at most {MOST_BYTES} wanted")
    root = read(data, where)
    try:
        # Ours first: it knows no include and no externalRef, which would open other files.
        grammar = _Reader(where).grammar(root, data)
        rules.check(grammar, where)
        grammar.prefixes = names.prefixes(grammar, root)
        grammar.relaxng = etree.RelaxNG(root)
    except RecursionError:
        raise SchemaError(f"{where}: its defines lead too deep into one another; make it less deep") from None
    except etree.RelaxNGParseError as error:
        first = next(iter(error.error_log), None)
        raise SchemaError(f"{where}: line {first.line if first else 1}: no good RELAX NG: {error}") from None
    return grammar


class _Reader:
    def __init__(self, where: str) -> None:
        self.where = where
        self.nodes: dict[str, etree._Element] = {}  # of the defines
        self.said: dict[str, set[str]] = {}  # of what kinds they are
        self.defines: dict[str, Expression] = {}
        self.speaks = False  # values and data here are an element's text

    def grammar(self, root: etree._Element, data: bytes) -> Grammar:
        for node in root.iter(f"{RNG}*"):
            self._notes(node)
        node = self._outline(root) if root.tag == f"{RNG}grammar" else root
        start = self._pattern(root) if node is root else self._group(node)
        for name, define in self.nodes.items():
            self.defines[name] = self._group(define)
        lines = {name: line(self.nodes[name.removesuffix(SPOKEN)]) for name in self.defines}
        return Grammar(start, self.defines, data, {**lines, "": line(node)})

    def _outline(self, root: etree._Element) -> etree._Element:
        """The start; the defines are noted."""
        start: etree._Element | None = None
        for child in self._flat(root):
            name = child.get("name", "").strip()
            if child.get("combine"):
                raise self._outside(child, "combine", "a define in one part")
            if child.tag == f"{RNG}start" and start is None:
                start = child
            elif child.tag == f"{RNG}define" and name not in self.nodes and len(self.nodes) < MOST_DEFINES:
                self.nodes[name] = child
            elif child.tag in (f"{RNG}start", f"{RNG}define"):
                raise SchemaError(f"{self._at(child)}: {name or 'start'} is here twice, or after {MOST_DEFINES} others")
            else:
                raise self._outside(child)
        if start is None:
            raise SchemaError(f"{self._at(root)}: no start; say which element a document begins with")
        return start

    def _pattern(self, node: etree._Element) -> Expression:
        kind = str(node.tag).removeprefix(RNG)
        if not str(node.tag).startswith(RNG) or kind not in PATTERNS:
            raise self._outside(node)
        expression: Expression = getattr(self, f"_{kind}")(node)
        return expression

    def _group(self, node: etree._Element) -> Expression:
        """Attributes first, since they stand in the start tag; a group that has elements too keeps its place among the others."""
        nodes = sorted(self._patterns(node), key=lambda child: not self._kinds(child) <= {"attribute"})
        items = tuple(item for item in map(self._pattern, nodes) if item is not NOTHING)
        return items[0] if len(items) == 1 else Sequence(items) if items else NOTHING

    def _patterns(self, node: etree._Element) -> list[etree._Element]:
        found = [child for child in self._flat(node) if child.tag != f"{RNG}name"]
        if not found:
            raise SchemaError(f"{self._at(node)}: {etree.QName(node).localname} is empty; wanted a pattern in it")
        return found

    def _kinds(self, node: etree._Element) -> set[str]:
        """Which of attribute, element and text it may be."""
        if node.tag == f"{RNG}attribute":
            return {"attribute"}
        if node.tag == f"{RNG}element":
            return {"element"}
        if node.tag in (f"{RNG}value", f"{RNG}data", f"{RNG}list"):
            return {"text"}
        if node.tag != f"{RNG}ref":
            return set().union(*map(self._kinds, self._flat(node)))
        name = node.get("name", "").strip()
        if name not in self.said and name in self.nodes:
            self.said[name] = set()  # while it is asked for
            self.said[name] = set().union(*map(self._kinds, self._flat(self.nodes[name])))
        return self.said.get(name, set())

    # ---- patterns ----------------------------------------------------------------------------

    def _element(self, node: etree._Element) -> Expression:
        name = self._name(node, attribute=False)
        speaks = any("text" in self._kinds(child) for child in self._flat(node))
        return Element(One(("start", name)), self._within(node, speaks=speaks), One(END), line(node))

    def _attribute(self, node: etree._Element) -> Expression:
        name = self._name(node, attribute=True)
        if not [child for child in self._flat(node) if child.tag != f"{RNG}name"]:
            raise SchemaError(
                f"{self._at(node)}: the attribute {name} may have any text; list its values, or numbers with bounds"
            )
        return Attribute(One(("attribute", name)), self._within(node, speaks=False), line(node))

    def _within(self, node: etree._Element, *, speaks: bool) -> Expression:
        before, self.speaks = self.speaks, speaks
        found = self._group(node)
        self.speaks = before
        return found

    def _said(self, content: Expression) -> Expression:
        return Text(One(TEXT), content) if self.speaks else content

    def _choice(self, node: etree._Element) -> Expression:
        return Choice(tuple(map(self._pattern, self._patterns(node))))

    def _optional(self, node: etree._Element) -> Expression:
        return Maybe(self._group(node), len(self._patterns(node)) == 1)

    def _oneOrMore(self, node: etree._Element) -> Expression:  # noqa: N802  (RELAX NG's own name)
        return self._repeat(node, 1)

    def _zeroOrMore(self, node: etree._Element) -> Expression:  # noqa: N802
        return self._repeat(node, 0)

    def _repeat(self, node: etree._Element, least: int) -> Expression:
        text = node.get(f"{NOTES}max", str(MOST_REPEATS))
        if not re.fullmatch(r"[1-9][0-9]{0,4}", text):
            raise SchemaError(f"{self._at(node)}: max={text!r}; wanted a number from 1 to 99999")
        return Repeat(self._group(node), least, int(text), self._axis(node, "bands"), line(node))

    def _list(self, node: etree._Element) -> Expression:
        return self._said(Words(self._within(node, speaks=False), line(node)))

    def _value(self, node: etree._Element) -> Expression:
        kind, text = node.get("type", "token"), node.text or ""
        words = " ".join(text.split())
        if kind not in ("token", "string") or (kind == "string" and text != words):
            raise self._outside(
                node, f"a value of type {kind}", "one of type token, or of string without blanks at its ends"
            )
        return self._said(One(("value", words)))

    def _data(self, node: etree._Element) -> Expression:
        kind = node.get("type", "")
        if kind not in WHOLE:
            raise self._outside(node, f"data of type {kind or 'none'}", f"a whole number: {', '.join(WHOLE)}")
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
                raise self._outside(child, f"the param {child.get('name')}", "minInclusive and maxInclusive")
        if least is None or most is None or not 0 <= most - least < MOST_NUMBERS:
            raise SchemaError(
                f"{self._at(node)}: wanted minInclusive and maxInclusive, at most {MOST_NUMBERS} numbers from one to the other"
            )
        return self._said(Number(least, most, self._axis(node, "axis")))

    def _ref(self, node: etree._Element) -> Expression:
        name = node.get("name", "").strip()
        if name not in self.nodes:
            raise SchemaError(f"{self._at(node)}: there is no define {name!r}")
        if not self.speaks or "text" not in self._kinds(node):
            return Named(name)
        spoken = name + SPOKEN
        if spoken not in self.defines:
            self.defines[spoken] = NOTHING  # while it is read
            self.defines[spoken] = self._group(self.nodes[name])
        return Named(spoken)

    def _empty(self, node: etree._Element) -> Expression:
        return NOTHING

    # ---- attributes of the schema's own elements ----------------------------------------------

    def _notes(self, node: etree._Element) -> None:
        for attribute in node.attrib:
            name = str(attribute).removeprefix(NOTES)
            if str(attribute).startswith(NOTES) and etree.QName(node).localname not in PLACES.get(name, ()):
                raise SchemaError(
                    f"{self._at(node)}: the note {name} on {etree.QName(node).localname}; wanted "
                    + ", ".join(f"{note} on {' or '.join(places)}" for note, places in PLACES.items())
                )

    def _axis(self, node: etree._Element, name: str) -> str:
        text = node.get(f"{NOTES}{name}", "")
        if text not in ("", "x", "y"):
            raise SchemaError(f"{self._at(node)}: {name}={text!r}; wanted x or y")
        return str(text)

    def _integer(self, node: etree._Element) -> int:
        text = (node.text or "").strip()
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise SchemaError(f"{self._at(node)}: {text[:40]!r} is no whole number")
        return int(text)

    def _name(self, node: etree._Element, *, attribute: bool) -> str:
        name = node.get("name")
        if name is None:
            first = next(self._flat(node), None)
            if first is None or first.tag != f"{RNG}name":
                raise self._outside(first if first is not None else node, wanted="a name")
            name, node, attribute = first.text or "", first, False
        found = names.qualified(name.strip(), node, attribute=attribute)
        if found is None:
            raise SchemaError(f"{self._at(node)}: {name}: its prefix stands for no namespace")
        return found

    def _flat(self, node: etree._Element) -> Iterator[etree._Element]:
        """RELAX NG's children; those of other namespaces are somebody's notes, a div is only a bracket."""
        for child in node.iterchildren(f"{RNG}*"):
            if child.tag == f"{RNG}div":
                yield from self._flat(child)
            else:
                yield child

    def _at(self, node: etree._Element) -> str:
        return f"{self.where}: line {line(node)}"

    def _outside(self, node: etree._Element, what: str = "", wanted: str = "") -> SchemaError:
        wanted = wanted or ", ".join(sorted(PATTERNS))
        return SchemaError(f"{self._at(node)}: {what or etree.QName(node).localname} is not read here; wanted {wanted}")
