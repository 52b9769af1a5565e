"""XML to tokens and back, in one place: a document is walked along its schema, and written down in one canonical spelling."""

import copy
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from lxml import etree

from bundle.errors import DocumentError, SchemaError
from bundle.xml import paths, schema
from bundle.xml.automaton import Automaton, Walk
from bundle.xml.grammar import MOST_DEPTH, MOST_REPEATS, Event, Grammar
from bundle.xml.states import State
from bundle.xml.tree import Place, read, tree

# Of one document, whatever the schema allows.
MOST_BYTES = 4 << 20
MOST_STEPS = 1_000_000


class Codec:
    """One schema's tokens; token 0 stands before every document and is none of them."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        try:
            self.automaton = Automaton(grammar)
        except RecursionError:
            raise SchemaError("the schema's defines lead too deep into one another; make it less deep") from None

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
        return self._walk(self._settled(root) if self.grammar.vector else root, where)

    def tokens(self, events: Iterable[Event]) -> list[int]:
        """Of those that are a choice. Raises DocumentError for a row of events that is no document."""
        tokens, state = [], self.automaton.first
        for event in events:
            to = state.after(event)
            if to is None:
                raise DocumentError(f"{_name(event)} may not come here; the schema does not allow it")
            if state.choice:
                tokens.append(self.automaton.ids[event])
            state = to
        return tokens

    def decode(self, tokens: Sequence[int]) -> bytes:
        """The document of a whole row of tokens. Raises DocumentError for one that is none."""
        walk = Walk(self.automaton, len(tokens))
        for at, token in enumerate(tokens):
            try:
                walk.push(token)
            except ValueError as error:
                raise DocumentError(f"at {at}: {error}") from None
        if not walk.done:
            raise DocumentError(f"{len(tokens)} tokens are no whole document")
        return self.write(walk.events)

    def read(self, document: bytes, where: str = "document.xml") -> etree._Element:
        """The root of a valid document. Raises DocumentError."""
        if len(document) > MOST_BYTES:
            raise DocumentError(f"{where}: {len(document)} bytes, at most {MOST_BYTES} wanted")
        try:
            root = read(document, where)
        except SchemaError as error:
            raise DocumentError(str(error)) from None
        relaxng = self._relaxng()
        if not relaxng.validate(root):
            first = next(iter(relaxng.error_log), None)
            what = f"line {first.line}: {first.message}" if first else "it is not valid"
            raise DocumentError(f"{where}: {what}")
        return root

    def _relaxng(self) -> etree.RelaxNG:
        assert self.grammar.relaxng is not None
        return self.grammar.relaxng

    def _settled(self, root: etree._Element) -> etree._Element:
        """With canonical paths, where the schema allows those; one that counts lines, say, need not."""
        settled = copy.deepcopy(root)
        paths.canonical(settled)
        return settled if self._relaxng().validate(settled) else root

    def valid(self, document: bytes) -> bool:
        """What lxml says, which knows nothing of our automaton."""
        try:
            self.read(document)
        except DocumentError:
            return False
        return True

    def canonical(self, document: bytes) -> bytes:
        """Without blanks between elements; two documents that say the same have the same bytes. Raises DocumentError."""
        return bytes(etree.tostring(tree(self.events(document), self.grammar.prefixes)))

    def write(self, events: Sequence[Event], *, partial: bool = False) -> bytes:
        """As people read it, two blanks a level; of a `partial` document what is there so far, all elements closed."""
        root = tree(events, self.grammar.prefixes, partial=partial)
        etree.indent(root)
        data: bytes = etree.tostring(root) + b"\n"
        return data

    # ---- along the schema --------------------------------------------------------------------

    def _walk(self, root: etree._Element, where: str) -> list[Event]:
        """Depth first over what the document can be read as; in most schemas there is one way at each place."""
        events: list[Event] = []
        state, place = self.automaton.first, Place.before(root)
        others: list[tuple[int, Event, State, Place]] = []  # ways not gone: after how many events, which
        line, steps = place.ahead, 0
        while not state.end:
            ways = [(event, to, then) for event, then in place.ways(state) if (to := state.after(event))]
            others += [(len(events), *way) for way in ways[:0:-1]]
            steps += 1
            if ways:
                event, state, place = ways[0]
            elif others and steps < MOST_STEPS:
                count, event, state, place = others.pop()
                del events[count:]
            else:
                raise DocumentError(
                    f"{where}: line {line}: what stands here comes too often, too deep or in too many ways to be read: "
                    f"at most {MOST_REPEATS} times (or the schema's own max), {MOST_DEPTH} levels"
                )
            events.append(event)
            line = max(line, place.ahead)
        return events


def _name(event: Event) -> str:
    kind, text = event
    local = str(text).rpartition("}")[2]
    return {"start": f"<{local}>", "attribute": f"{local}=", "end": "</>", "text": "text"}.get(kind, local)


def load(path: Path) -> Codec:
    """Of a schema file. Raises SchemaError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SchemaError(f"{path}: cannot be read: {error.strerror}") from None
    return Codec(schema.parse(data, str(path)))
