"""Schemas made at random, within the subset, and random walks through them."""

from random import Random

import numpy as np
from hypothesis import reject

from bundle.errors import SchemaError
from bundle.xml import schema
from bundle.xml.automaton import Walk
from bundle.xml.codec import Codec

HEAD = (
    '<grammar xmlns="http://relaxng.org/ns/structure/1.0" xmlns:i="urn:imago:xml" xmlns:o="urn:other"\n'
    ' datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes"'
)
PARAMS = '<data type="integer"><param name="minInclusive">{}</param><param name="maxInclusive">{}</param></data>'
REPEATS = ("optional", "oneOrMore", "zeroOrMore")


class Writer:
    """Writes one schema. Few names of elements, so that much is ambiguous; every attribute has a name of its own."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.attributes = self.letters = 0

    def schema(self) -> str:
        namespace = self.rng.choice(["", ' ns="urn:one"'])
        defines = "".join(f'<define name="d{at}">{self.element(2)}</define>\n' for at in range(3))
        return f"{HEAD}{namespace}>\n<start>{self.element(3)}</start>\n{defines}</grammar>"

    def element(self, depth: int) -> str:
        name = self.rng.choice(["p", "q", "r", "o:s"])
        inside = "".join(self.attribute() for _ in range(self.rng.choice([0, 0, 1, 2])))
        if self.rng.random() < 0.3:
            return f'<element name="{name}">{inside}{self.text()}</element>'
        inside += "".join(self.pattern(depth - 1) for _ in range(self.rng.choice([0, 1, 1, 2, 3])))
        return f'<element name="{name}">{inside or "<empty/>"}</element>'

    def pattern(self, depth: int) -> str:
        kind = self.rng.choice(["element", "element", "choice", "group", "attribute", "ref", *REPEATS])
        if kind == "attribute":
            return self.attribute()
        if kind == "ref":  # not needed, so that no schema is endless
            return f'<{(way := self.rng.choice(["optional", "zeroOrMore"]))}><ref name="d{self.rng.randrange(3)}"/></{way}>'
        if depth <= 0 or kind == "element":
            return self.element(depth - 1)
        many = kind in ("oneOrMore", "zeroOrMore")
        first = self.element(depth - 1)  # so that no repetition is one of nothing
        inside = "".join(self.pattern(depth - 1) for _ in range(self.rng.choice([0, 1, 2])))
        if many:
            inside = "" if "<attribute" in inside else inside
        most = f' i:max="{self.rng.choice([1, 2, 5])}"' if many and self.rng.random() < 0.5 else ""
        return f"<{kind}{most}>{first}{inside}</{kind}>"

    def attribute(self) -> str:
        self.attributes += 1
        name = self.rng.choice(["", "o:"]) + f"a{self.attributes}"
        one = f'<attribute name="{name}">{self.text()}</attribute>'
        return f"<optional>{one}</optional>" if self.rng.random() < 0.5 else one

    def text(self) -> str:
        kind = self.rng.choice(["value", "data", "choice", "list", "empty"])
        if kind == "choice":
            return f"<choice>{self.text()}{self.text()}</choice>"
        if kind == "list":
            return f"<list>{''.join(self.words(2) for _ in range(self.rng.choice([1, 2, 3])))}</list>"
        return {"value": self.value(" "), "data": self.number(), "empty": "<empty/>"}[kind]

    def words(self, depth: int) -> str:
        """Of a list: each begins with a word that no other begins with, or has nothing after it."""
        kind = self.rng.choice(["data", "group", *REPEATS]) if depth else "data"
        if kind == "data":
            return self.number()
        self.letters += 1
        return f"<{kind}><group><value>W{self.letters}</value>{self.words(depth - 1)}</group></{kind}>"

    def value(self, blank: str) -> str:
        return f"<value>{self.rng.choice(['M', 'L', '7', f'two{blank}words'] + ([''] if blank else []))}</value>"

    def number(self) -> str:
        least = self.rng.choice([-3, 0, 5])
        return PARAMS.format(least, least + self.rng.choice([0, 1, 9]))


def grow(codec: Codec, most: int, rng: Random) -> Walk:
    """A whole document of at most so many tokens, each of those that may come as likely as the others."""
    walk = Walk(codec.automaton, most)
    while not walk.done:
        walk.push(int(rng.choice(np.flatnonzero(walk.mask()))))
    return walk


def codec_of(seed: int) -> Codec:
    """Of a schema by chance; one that libxml2 knows how to refuse is no example."""
    try:
        return Codec(schema.parse(Writer(Random(seed)).schema().encode()))
    except SchemaError:
        reject()
