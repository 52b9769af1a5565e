"""XML in, a document's elements as events, place by place, and back."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

from lxml import etree

from bundle.errors import SchemaError
from bundle.xml import grammar
from bundle.xml.grammar import END, TEXT, Event
from bundle.xml.states import State

WHOLE = re.compile(r"[+-]?0*[0-9]{1,18}")
Words = tuple[str, ...]


def read(data: bytes, where: str) -> etree._Element:
    """XML without DTD, entities and network. Raises SchemaError."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise SchemaError(
            f"{where}: line {error.lineno or 1}: no well-formed XML: {str(error).splitlines()[0]}"
        ) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise SchemaError(f"{where}: line 1: it has a DOCTYPE, which is not read here; take it out")
    return root


class Open(NamedTuple):
    """An open element: its children, how many of them are read, the attributes and words that are not, and what it stands in."""

    children: tuple[etree._Element, ...]
    read: int
    attributes: tuple[tuple[str, str], ...]
    text: Words | None  # None: read
    above: "Open | None"


class Place(NamedTuple):
    """How far a document is read; never changed, so that one can come back to it."""

    inside: Open
    words: Words = ()  # of the attribute or text that is being read
    word: int = 0  # how many of them are read
    blank: bool = False  # the attribute or text has no words, and its value "" is not read
    line: int = 1

    @classmethod
    def before(cls, root: etree._Element) -> Self:
        return cls(Open((root,), 0, (), None, None), line=grammar.line(root))

    @property
    def ahead(self) -> int:
        """The line of what is read next, as near as elements tell."""
        children, read = self.inside.children, self.inside.read
        return grammar.line(children[read]) if read < len(children) else self.line

    def ways(self, state: State) -> Iterator[tuple[Event, Self]]:
        """What may be read next, and the place after it."""
        inside = self.inside
        if self.word < len(self.words):
            yield from self._word()
            return
        if self.blank:
            yield ("value", ""), self._replace(blank=False)
        if inside.attributes:
            yield from self._attribute(state)
        if inside.text is not None:
            yield (
                TEXT,
                self._replace(inside=inside._replace(text=None), words=inside.text, word=0, blank=not inside.text),
            )
        if inside.text:
            return
        if inside.read < len(inside.children):
            yield self._child(inside.children[inside.read])
        elif not inside.attributes and inside.above is not None:
            yield END, self._replace(inside=inside.above, blank=False)

    def _word(self) -> Iterator[tuple[Event, Self]]:
        """All words as one value, or the first that is left as a value or a number."""
        first, rest = self.words[self.word], self._replace(word=self.word + 1)
        if self.word == 0 and len(self.words) > 1:
            yield ("value", " ".join(self.words)), self._replace(word=len(self.words))
        yield ("value", first), rest
        if WHOLE.fullmatch(first):
            yield ("number", int(first)), rest

    def _attribute(self, state: State) -> Iterator[tuple[Event, Self]]:
        attributes = dict(self.inside.attributes)
        for event in state.events:
            if event[0] == "attribute" and (text := attributes.get(str(event[1]))) is not None:
                left = tuple(pair for pair in self.inside.attributes if pair[0] != event[1])
                words = tuple(text.split())
                inside = self.inside._replace(attributes=left)
                yield event, self._replace(inside=inside, words=words, word=0, blank=not words)

    def _child(self, element: etree._Element) -> tuple[Event, Self]:
        above = self.inside._replace(read=self.inside.read + 1)
        attributes = tuple((str(name), str(value)) for name, value in element.attrib.items())
        words = tuple((element.text or "").split())
        inside = Open(tuple(element), 0, attributes, words, above)
        return ("start", str(element.tag)), self._replace(inside=inside, line=grammar.line(element))


class _Tree:
    def __init__(self, prefixes: Mapping[str | None, str]) -> None:
        self.prefixes = prefixes
        self.root: etree._Element | None = None
        self.stack: list[etree._Element] = []
        self.attribute = ""
        self.words: list[str] = []

    def say(self) -> None:
        """Words since the last event that was none go where they belong."""
        if self.attribute:
            self.stack[-1].set(self.attribute, " ".join(self.words))
        elif any(self.words):
            self.stack[-1].text = " ".join(self.words)
        self.attribute = ""
        self.words.clear()

    def start(self, name: str) -> None:
        if self.root is None:
            nsmap: Any = self.prefixes  # lxml's types know no prefix that is None
            self.root = etree.Element(name, nsmap=nsmap)
            self.stack.append(self.root)
        else:
            self.stack.append(etree.SubElement(self.stack[-1], name))


def tree(events: Sequence[Event], prefixes: Mapping[str | None, str], *, partial: bool = False) -> etree._Element:
    """Its root. Raises ValueError where the events are no document, or only a part of one that is not said to be `partial`."""
    growing = _Tree(prefixes)
    for kind, text in events:
        if kind in ("value", "number"):
            growing.words.append(str(text))
            continue
        if growing.stack:
            growing.say()
        if kind == "start":
            growing.start(str(text))
        elif kind == "attribute":
            growing.attribute = str(text)
        elif kind == "end":
            growing.stack.pop()
    if growing.root is None or (growing.stack and not partial):
        raise ValueError("no whole document")
    if growing.stack:
        growing.say()
    return growing.root
