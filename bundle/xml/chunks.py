"""A document's text as it grows: what is certain is said at once, and all that is said is what the codec writes in the end."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from bundle.xml.codec import Codec
from bundle.xml.grammar import Event


class Chunks:
    def __init__(self, codec: Codec) -> None:
        self._namespace = codec.grammar.namespace
        self._seen = 0  # events
        self._sent = 0  # characters
        self._names: list[str] = []  # of the open elements
        self._inner: list[bool] = []  # whether they have elements within
        self._last = ""  # kind of the event before
        self._tag = False  # a start tag is open
        self._quoted = False  # an attribute is open
        self._plain = set(codec.grammar.prefixes) <= {None}  # no name that needs a prefix has come

    def grow(self, events: Sequence[Event]) -> str:
        """What the events since the last call add."""
        say = {
            "start": self._start,
            "attribute": self._name,
            "value": self._word,
            "number": self._word,
            "text": self._text,
            "end": self._end,
        }
        text = ""
        for event in events[self._seen :]:
            self._plain = self._plain and self._known(event)
            if self._plain:
                text += say[event[0]](str(event[1]))
                self._last = event[0]
        self._seen = len(events)
        self._sent += len(text)
        return text

    def finish(self, xml: bytes) -> str:
        """What is missing of the whole document."""
        return xml.decode()[self._sent :]

    def _known(self, event: Event) -> bool:
        """lxml makes up prefixes for other namespaces: such a document comes with its last piece."""
        kind, name = event[0], str(event[1])
        if kind == "start":
            return name.rpartition("}")[0].removeprefix("{") == self._namespace
        return kind != "attribute" or "}" not in name

    def _start(self, name: str) -> str:
        text = self._quote() + self._close()
        if self._names:
            self._inner[-1] = True
            text += "\n" + "  " * len(self._names)
        local = name.rpartition("}")[2]
        spoken = f' xmlns="{_escaped(self._namespace)}"' if self._namespace and not self._names else ""
        self._names.append(local)
        self._inner.append(False)
        self._tag = True
        return f"{text}<{local}{spoken}"

    def _name(self, name: str) -> str:
        text = self._quote()
        self._quoted = True
        return f'{text} {name}="'

    def _word(self, text: str) -> str:
        blank = " " if self._last in ("value", "number") else ""
        if self._quoted:
            return blank + _escaped(text)
        return self._close() + blank + escape(text) if text or blank else ""

    def _text(self, _: str) -> str:
        """Where the attributes are over."""
        return self._quote()

    def _end(self, _: str) -> str:
        text = self._quote()
        name, inner, empty = self._names.pop(), self._inner.pop(), self._tag
        self._tag = False
        if empty:
            return f"{text}/>"
        return f"{text}\n{'  ' * len(self._names)}</{name}>" if inner else f"{text}</{name}>"

    def _quote(self) -> str:
        """Ends an attribute."""
        text = '"' if self._quoted else ""
        self._quoted = False
        return text

    def _close(self) -> str:
        """Ends a start tag."""
        text = ">" if self._tag else ""
        self._tag = False
        return text


def _escaped(text: str) -> str:
    return escape(text, {'"': "&quot;", "\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})
