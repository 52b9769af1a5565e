"""Names in a schema: which namespace each is in, and the prefixes that documents are written with."""

from lxml import etree

from bundle.xml.grammar import Attribute, Element, Grammar

XML = "http://www.w3.org/XML/1998/namespace"


def qualified(name: str, node: etree._Element, *, attribute: bool) -> str | None:
    """{namespace}local of a name that stands at the node; None for a prefix that is not declared there."""
    if ":" in name:
        prefix, _, local = name.partition(":")
        uri = XML if prefix == "xml" else node.nsmap.get(prefix)
        return f"{{{uri}}}{local}" if uri else None
    uri = node.get("ns", "") if attribute else namespace(node)
    return f"{{{uri}}}{name}" if uri else name


def namespace(node: etree._Element) -> str:
    while "ns" not in node.attrib and (above := node.getparent()) is not None:
        node = above
    return str(node.get("ns", ""))


def prefixes(grammar: Grammar, root: etree._Element) -> dict[str | None, str]:
    """The schema's own, as far as its names need them; none for the root's namespace, where there is no name without one."""
    elements = [_uri(one) for one in grammar.walk() if isinstance(one, Element)]
    used = {*elements, *(_uri(one) for one in grammar.walk() if isinstance(one, Attribute))}
    found: dict[str | None, str] = {
        str(prefix): str(uri) for prefix, uri in root.nsmap.items() if prefix and uri in used
    }
    return {None: elements[0], **found} if all(elements) else found


def _uri(one: Element | Attribute) -> str:
    return etree.QName(str(one.open.event[1])).namespace or ""
