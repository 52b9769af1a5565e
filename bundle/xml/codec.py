"""XML to tokens and back, in one place: a document is walked along its schema, and written down in one canonical spelling."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from lxml import etree

from bundle.errors import DocumentError, SchemaError
from bundle.xml import paths, schema
from bundle.xml.automaton import Automaton, State
from bundle.xml.schema import END, Event, Grammar

# Of one document, whatever the schema allows.
MOST_BYTES = 4 << 20


class Codec:
    """One schema's tokens; token 0 stands before every document and is none of them."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.automaton = Automaton(grammar)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each token is, for people."""
        return ("", *(_name(event) for event in self.automaton.tokens[1:]))

    def encode(self, document: bytes, where: str = "document.xml") -> list[int]:
        """The tokens of the document's canonical form. Raises DocumentError with the line of what the schema does not allow."""
        return self.tokens(self.events(document, where))

    def events(self, document: bytes, where: str = "document.xml") -> list[Event]:
        """Everything that the canonical document is, forced or chosen. Raises DocumentError."""
        root = self.read(document, where)
        if self.grammar.vector:
            paths.canonical(root)
        return self._walk(root, where)

    def tokens(self, events: Iterable[Event]) -> list[int]:
        """Of those that are a choice. Raises DocumentError for a row of events that is no document."""
        tokens, rests = [], self.automaton.first
        for event in events:
            state = self.automaton.state(rests)
            if state.choice:
                tokens.append(self.automaton.ids[event])
            to = self.automaton.after(state, event)
            if to is None:
                raise DocumentError(f"{_name(event)} may not come here; the schema does not allow it")
            rests = to
        return tokens

    def decode(self, tokens: Sequence[int]) -> bytes:
        """The document of a whole row of tokens. Raises DocumentError for one that is none."""
        events: list[Event] = []
        rests, waiting = self.automaton.first, iter(tokens)
        while not (state := self.automaton.state(rests)).end:
            event: Event | None = self.automaton.only(state)
            if state.choice:
                token = next(waiting, None)
                event = (
                    self.automaton.tokens[token]
                    if token is not None and 0 < token < len(self.automaton.tokens)
                    else None
                )
            to = event and self.automaton.after(state, event)
            if not event or to is None:
                raise DocumentError(f"token {len(events)}: no token that may come here")
            events.append(event)
            rests = to
        return self.write(events)

    def read(self, document: bytes, where: str = "document.xml") -> etree._Element:
        """The root of a valid document. Raises DocumentError."""
        if len(document) > MOST_BYTES:
            raise DocumentError(f"{where}: {len(document)} bytes, at most {MOST_BYTES} wanted")
        try:
            root = schema.read(document, where)
        except SchemaError as error:
            raise DocumentError(str(error)) from None
        assert self.grammar.relaxng is not None
        if not self.grammar.relaxng.validate(root):
            first = self.grammar.relaxng.error_log[0]
            raise DocumentError(f"{where}: line {first.line}: {first.message}")
        return root

    def valid(self, document: bytes) -> bool:
        """What lxml says, which knows nothing of our automaton."""
        try:
            self.read(document)
        except DocumentError:
            return False
        return True

    def canonical(self, document: bytes) -> bytes:
        """Without blanks between elements; two documents that say the same have the same bytes. Raises DocumentError."""
        return bytes(etree.tostring(_tree(self.events(document))))

    def write(self, events: Sequence[Event], *, partial: bool = False) -> bytes:
        """As people read it, two blanks a level; of a `partial` document what is there so far, all elements closed."""
        root = _tree(events, partial=partial)
        etree.indent(root)
        data: bytes = etree.tostring(root) + b"\n"
        return data

    # ---- along the schema --------------------------------------------------------------------

    def _walk(self, root: etree._Element, where: str) -> list[Event]:
        events: list[Event] = []
        rests, cursor = self.automaton.first, _Cursor(root)
        while not (state := self.automaton.state(rests)).end:
            for event in cursor.candidates(state):
                to = self.automaton.after(state, event)
                if to is not None:
                    break
            else:
                line = cursor.line
                raise DocumentError(
                    f"{where}: line {line}: more than {schema.MOST_REPEATS} repeats or {schema.MOST_DEPTH} levels, or in an order "
                    "that cannot be read from left to right"
                )
            cursor.take(event)
            events.append(event)
            rests = to
        return events


class _Cursor:
    """Where in a document one is: the open elements with what is left of them, and the words of the attribute or text at hand."""

    def __init__(self, root: etree._Element) -> None:
        self._next: list[list[etree._Element]] = [[root]]
        self._attributes: list[dict[str, str]] = []
        self._text = ""  # as a whole, while none of its words is taken
        self._words: list[str] = []
        self.line = root.sourceline or 1

    def candidates(self, state: State) -> list[Event]:
        if self._words:
            whole: Event = ("value", self._text)
            word = self._words[0]
            number: list[Event] = [("number", int(word))] if _whole(word) else []
            return [whole, ("value", word), *number]
        if self._text == "" and ("value", "") in state.events:
            return [("value", "")]
        if self._attributes and self._attributes[-1]:
            return [event for event in state.events if event[0] == "attribute" and event[1] in self._attributes[-1]]
        if self._next[-1]:
            return [("start", str(self._next[-1][0].tag))]
        return [END]

    def take(self, event: Event) -> None:
        kind, text = event
        if kind == "start":
            element = self._next[-1].pop(0)
            self._next.append(list(element))
            self._attributes.append({str(name): str(value) for name, value in element.attrib.items()})
            self.line = element.sourceline or self.line
            self._say(element.text or "")
        elif kind == "attribute":
            self._say(self._attributes[-1].pop(str(text)))
        elif kind == "end":
            self._next.pop()
            self._attributes.pop()
        elif self._words:
            self._words = [] if kind == "value" and text == self._text else self._words[1:]
            self._text = "\0"  # taken

    def _say(self, text: str) -> None:
        self._words = text.split()
        self._text = " ".join(self._words) if self._words else "\0"


def _whole(word: str) -> bool:
    return word.lstrip("+-").isdecimal() and word.isascii() and len(word) < 12


def _tree(events: Sequence[Event], *, partial: bool = False) -> etree._Element:
    """Raises ValueError for no events."""
    root: etree._Element | None = None
    stack: list[etree._Element] = []
    attribute: str | None = None
    words: list[str] = []

    def say() -> None:
        nonlocal attribute
        if attribute is not None:
            stack[-1].set(attribute, " ".join(words))
        elif words:
            stack[-1].text = " ".join(words)
        attribute = None
        words.clear()

    for kind, text in events:
        if kind in ("value", "number"):
            words.append(str(text))
            continue
        if stack:
            say()
        if kind == "attribute":
            attribute = str(text)
        elif kind == "start":
            name = etree.QName(str(text))
            element = etree.Element(name, nsmap={None: name.namespace} if name.namespace and not stack else None)
            if stack:
                stack[-1].append(element)
            else:
                root = element
            stack.append(element)
        else:
            stack.pop()
    if root is None or (stack and not partial):
        raise ValueError("no whole document")
    if stack:
        say()
    return root


def _name(event: Event) -> str:
    kind, text = event
    local = str(text).rpartition("}")[2]
    return {"start": f"<{local}>", "attribute": f"{local}=", "end": "</>"}.get(kind, local)


def load(path: Path) -> Codec:
    """Of a schema file. Raises SchemaError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read: {error.strerror}") from None
    return Codec(schema.parse(data, str(path)))
