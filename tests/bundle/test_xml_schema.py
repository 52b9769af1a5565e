"""What of RELAX NG is read, and that everything else is refused by name and line."""

from pathlib import Path

import pytest

from bundle.errors import SchemaError
from bundle.xml import codec, schema
from bundle.xml.table import same_language
from training import pieces

HEAD = (
    '<grammar xmlns="http://relaxng.org/ns/structure/1.0" xmlns:i="urn:imago:xml"'
    ' datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">\n'
)
ELEMENT = '<element name="b"><empty/></element>'
ONE = '<attribute name="x"><value>1</value></attribute>'


def within(pattern: str) -> str:
    return f'{HEAD}<start><element name="a">\n{pattern}\n</element></start></grammar>'


def whole(*numbers: object) -> str:
    names = ("minInclusive", "maxInclusive")
    params = "".join(f'<param name="{name}">{number}</param>' for name, number in zip(names, numbers, strict=False))
    return f'<data type="integer">{params}</data>'


def defines(*bodies: str) -> str:
    rest = "".join(f'\n<define name="d{at}">{body}</define>' for at, body in enumerate(bodies))
    return f'{HEAD}<start><ref name="d0"/></start>{rest}</grammar>'


OUTSIDE = {
    "interleave": f"<interleave>{ELEMENT}</interleave>",
    "mixed": f"<mixed>{ELEMENT}</mixed>",
    "text": "<text/>",
    "notAllowed": "<notAllowed/>",
    "externalRef": '<externalRef href="other.rng"/>',
    "parentRef": '<parentRef name="d"/>',
    "grammar": "<grammar><start><empty/></start></grammar>",
    "anyName": "<element><anyName/><empty/></element>",
    "nsName": "<element><nsName/><empty/></element>",
    "choice": "<element><choice><name>b</name><name>c</name></choice><empty/></element>",
    "except": '<data type="integer"><except><value>1</value></except></data>',
    "data of type string": '<data type="string"/>',
    "a value of type integer": '<value type="integer">1</value>',
    "the param pattern": '<data type="integer"><param name="pattern">1</param></data>',
    "wanted minInclusive": whole(),
    "at most 4096 numbers": whole(0, 5000),
    "no whole number": whole("x", 1),
    "there is no define": '<ref name="nowhere"/>',
    "may have any text": '<attribute name="x"/>',
    "prefix": f'<element name="z:b">{ONE}</element>',
    "group is empty": "<group/>",
    "may come twice": ONE + ONE,
    "x may come twice": f"<oneOrMore>{ONE}</oneOrMore>",
    "text beside something else": f"<value>1</value>{ELEMENT}",
    "text beside something else, or repeated": "<oneOrMore><value>1</value></oneOrMore>",
    "in the attribute x": f'<attribute name="x">{ELEMENT}</attribute>',
    "wanted values of one word": "<list><value>a b</value></list>",
    "wanted a group around them": "<list><optional><value>a</value><value>b</value></optional></list>",
    "wanted optional or zeroOrMore": "<list><choice><value>a</value><empty/></choice></list>",
    "the next word does not tell": f"<list><zeroOrMore>{whole(0, 1)}</zeroOrMore>{whole(0, 1)}</list>",
    "a list of something else": f"<list>{ELEMENT}</list>",
    "a repetition of what may be nothing": f"<zeroOrMore><optional>{ELEMENT}</optional></zeroOrMore>",
    "max='0'": f'<zeroOrMore i:max="0">{ELEMENT}</zeroOrMore>',
    "bands='z'": f'<zeroOrMore i:bands="z">{ELEMENT}</zeroOrMore>',
    "the note axis on element": '<element name="b" i:axis="x"><empty/></element>',
    "the note axes": '<element name="b" i:axes="x"><empty/></element>',
}


@pytest.mark.parametrize(("sentence", "pattern"), OUTSIDE.items())
def test_what_is_outside_is_refused_by_name_and_line(sentence, pattern):
    with pytest.raises(SchemaError, match=r"^own\.rng: line [23]: ") as refused:
        schema.parse(within(pattern).encode(), "own.rng")
    assert sentence in str(refused.value)


WRONG = {
    "include": (2, HEAD + '<include href="other.rng"/></grammar>'),
    "no start": (1, HEAD + "</grammar>"),
    "combine": (2, HEAD + f'<start combine="choice">{ELEMENT}</start></grammar>'),
    "here twice": (4, defines(ELEMENT, ELEMENT).replace("d1", "d0")),
    "one element at the start": (3, defines(f"<oneOrMore>{ELEMENT}</oneOrMore>")),
    "needs itself without end": (3, defines('<element name="a"><ref name="d0"/></element>')),
    "leads to itself": (3, defines(f'<group><ref name="d0"/>{ELEMENT}</group>')),
    "too many parts": (
        29,
        defines(*(f"<choice>{f'<ref name=|d{at}|/>' * 2}</choice>" for at in range(1, 40)), ELEMENT),
    ),
    "24 levels": (3, defines(*(f'<element name="a"><ref name="d{at}"/></element>' for at in range(1, 40)), ELEMENT)),
    "well-formed": (1, "<grammar"),
    "DOCTYPE": (1, '<!DOCTYPE a [<!ENTITY b "c">]>' + within("<empty/>")),
    "html is not read here": (1, '<html xmlns="http://www.w3.org/1999/xhtml"/>'),
}


@pytest.mark.parametrize(("sentence", "line", "text"), [(key, *row) for key, row in WRONG.items()])
def test_a_schema_that_is_no_good_is_refused_by_line(sentence, line, text):
    with pytest.raises(SchemaError, match=rf"^own\.rng: line {line}: ") as refused:
        schema.parse(text.replace("|", '"').encode(), "own.rng")
    assert sentence in str(refused.value)


def test_a_schema_of_too_many_tokens_is_refused():
    numbers = "".join(f'<attribute name="x{at}">{whole(at * 4096, at * 4096 + 4095)}</attribute>' for at in range(3))
    with pytest.raises(SchemaError, match="12288 tokens, at most"):
        codec.Codec(schema.parse(within(numbers).encode()))


def test_defines_that_lead_deep_into_one_another_are_refused():
    links = [f'<ref name="d{at}"/>' for at in range(1, 900)]
    with pytest.raises(SchemaError, match="too deep into one another"):
        codec.Codec(schema.parse(defines(*links, ELEMENT).encode()))


def test_a_file_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(SchemaError, match="cannot be read"):
        codec.load(tmp_path / "none.rng")


SCHEMAS = {path.stem: path for path in (Path(pieces.__file__).parents[1] / "schemas").glob("*.rng")}


def test_notes_are_read():
    pattern, page = (codec.load(SCHEMAS[name]).grammar for name in ("pattern", "page"))
    assert {one.axis for one in pattern.walk() if isinstance(one, schema.Number)} == {"x", "y"}
    assert [one.bands for one in page.walk() if isinstance(one, schema.Repeat)] == ["", "y"]
    assert (pattern.vector, page.vector) == (True, False)
    assert (pattern.namespace, page.namespace) == ("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("name", SCHEMAS)
def test_notes_and_spelling_do_not_change_the_language(name):
    text = SCHEMAS[name].read_text()
    bare = text.replace(' i:bands="y"', "").replace(' i:axis="x"', "").replace("<empty/>", "<group><empty/></group>")
    same = [schema.parse(one.encode()) for one in (text, bare)]
    assert same_language(*same)
    assert not same_language(same[0], schema.parse(within(ELEMENT).encode()))


def test_one_or_more_is_not_the_language_of_zero_or_more():
    two = [
        schema.parse(within(f"<{kind}>{ELEMENT}</{kind}>").encode()) for kind in ("oneOrMore", "zeroOrMore", "optional")
    ]
    assert [same_language(two[0], other) for other in two] == [True, False, False]
    assert not same_language(two[1], two[2])
