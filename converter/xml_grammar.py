"""A schema as data, for a decoder in another language: what may come next in a document, what it costs to end it, and how names are written.

`bundle/xml` says what the language is. Here its expressions are numbered; those that say only what comes one after another (elements,
attributes, lists, defines) are sequences, which is all that a walk along them needs.
"""

import json
import math
from pathlib import Path
from typing import Any

from lxml import etree

from bundle import store
from bundle.errors import BundleError, SchemaError
from bundle.manifest import XmlManifest
from bundle.xml import schema, table
from bundle.xml.automaton import MOST_STATES
from bundle.xml.codec import Codec
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
    Text,
    parts,
)
from bundle.xml.states import MOST_WAYS

FORMAT = "imago-grammar-1"


def write(directory: Path, path: Path) -> None:
    """Of the bundle in the directory, as JSON. Raises BundleError."""
    path.write_bytes(dumped(of_bundle(directory)))


def of_bundle(directory: Path) -> dict[str, Any]:
    """The grammar of a bundle that makes XML, and what its manifest says of documents. Raises BundleError."""
    manifest = store.read_manifest(directory)
    if not isinstance(manifest, XmlManifest):
        raise BundleError(f"{directory}: it classifies, and has no grammar; wanted a bundle that makes XML")
    path = directory / "schema.rng"
    try:
        codec = Codec(schema.parse(store.read_file(directory, "schema.rng"), str(path)))
        rules = compiled(codec)
    except SchemaError as error:
        raise BundleError(str(error)) from None
    sure = manifest.sure.model_dump(include={"score", "least", "iou"})
    about = {"name": manifest.name, "id": manifest.id, "most_tokens": manifest.most_tokens, "sure": sure}
    return {"format": FORMAT, **about, "resize": manifest.preprocess.resize, **rules}


def compiled(codec: Codec) -> dict[str, Any]:
    """What a walk needs: the numbered expressions, the tokens, the bounds, the spelling of names. Raises SchemaError."""
    grammar = codec.grammar
    nodes = _nodes(grammar)
    number = {node: at for at, node in enumerate(nodes)}
    _, marked = table.choices(grammar)
    cost = Cost(grammar, lambda one: one in marked)
    return {
        "bounds": {"depth": MOST_DEPTH, "ways": MOST_WAYS, "states": MOST_STATES},
        "drawing": grammar.vector,
        "names": names(grammar),
        "tokens": [list(event) for event in codec.automaton.tokens],
        "start": number[grammar.start],
        "nodes": [{**_shape(node, grammar, number), "costs": _costs(node, cost)} for node in nodes],
    }


def dumped(content: dict[str, Any]) -> bytes:
    """JSON, a line a node, so that a change can be read."""
    nodes = ",\n".join(json.dumps(node, separators=(",", ":")) for node in content["nodes"])
    rest = {key: value for key, value in content.items() if key != "nodes"}
    head = json.dumps(rest, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return f'{head[:-1]},"nodes":[\n{nodes}]}}\n'.encode()


def names(grammar: Grammar) -> dict[str, dict[str, str]]:
    """How a document spells each {namespace}local, as lxml does: at its root with the namespaces, within it, and as an attribute.

    Raises SchemaError for a namespace without a prefix, which each document would have to make up.
    """
    events = [one.event for one in _nodes(grammar) if isinstance(one, One)]
    elements = sorted({str(text) for kind, text in events if kind == "start"})
    attributes = sorted({str(text) for kind, text in events if kind == "attribute"})
    return {
        "roots": {name: _tag(etree.Element(name, nsmap=_map(grammar))) for name in elements},
        "elements": {name: _within(grammar, name) for name in elements},
        "attributes": {name: _attribute(grammar, name) for name in attributes},
    }


def _map(grammar: Grammar) -> Any:
    return grammar.prefixes  # lxml's types know no prefix that is None


def _within(grammar: Grammar, name: str) -> str:
    root = etree.Element("root", nsmap=_map(grammar))
    etree.SubElement(root, name)
    return _own(etree.tostring(root).decode().partition(">")[2], name)


def _attribute(grammar: Grammar, name: str) -> str:
    root = etree.Element("root", nsmap=_map(grammar))
    etree.SubElement(root, "child").set(name, "")
    return _own(etree.tostring(root).decode().partition(">")[2].removeprefix("<child "), name).removesuffix('=""')


def _tag(element: etree._Element) -> str:
    return etree.tostring(element).decode()[1:-2]


def _own(text: str, name: str) -> str:
    tag = text.removeprefix("<").partition("/>")[0]
    if "xmlns" in tag:
        raise SchemaError(f"{name}: its namespace has no prefix in the schema; write the schema with one (xmlns:p=...)")
    return tag


def _nodes(grammar: Grammar) -> list[Expression]:
    """Every expression once, the starts and ends of elements too."""
    return list(dict.fromkeys(one for node in grammar.walk() for one in (node, *_row(node))))


def _shape(node: Expression, grammar: Grammar, number: dict[Expression, int]) -> dict[str, Any]:
    if isinstance(node, One):
        return {"one": list(node.event)}
    if isinstance(node, Number):
        return {"number": [node.least, node.most]}
    inside = [number[item] for item in ((grammar.defines[node.name],) if isinstance(node, Named) else _row(node))]
    if isinstance(node, Repeat):
        return {"repeat": [*inside, node.least, node.most]}
    return {"choice" if isinstance(node, Choice) else "maybe" if isinstance(node, Maybe) else "sequence": inside}


def _row(node: Expression) -> tuple[Expression, ...]:
    """Its parts, and of an element the start before and the end after them."""
    first = (node.open,) if isinstance(node, Element | Attribute | Text) else ()
    last = (node.close,) if isinstance(node, Element) else ()
    return (*first, *parts(node), *last)


def _costs(node: Expression, cost: Cost) -> list[int | None]:
    """The tokens that it takes at least, by how many levels of elements are free within it; the last counts for all that are more."""
    found = [cost.of(node, room) for room in range(MOST_DEPTH + 1)]
    while len(found) > 1 and found[-1] == found[-2]:
        found.pop()
    return [None if math.isinf(one) else int(one) for one in found]
