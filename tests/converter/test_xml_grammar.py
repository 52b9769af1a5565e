"""A schema as data says the same as the schema."""

import json
from pathlib import Path

import pytest

from bundle.errors import BundleError, SchemaError
from bundle.xml import codec, schema
from bundle.xml.codec import Codec
from converter import xml_grammar

ROOT = Path(__file__).parents[2]
SHEETS = next((ROOT / "server" / "bundles").glob("sheets-????????"))
SCHEMAS = sorted((ROOT / "training" / "schemas").glob("*.rng"))
HEAD = '<grammar xmlns="http://relaxng.org/ns/structure/1.0"><start>{}</start></grammar>'


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    path = tmp_path_factory.mktemp("grammar") / "grammar.json"
    xml_grammar.write(SHEETS, path)
    return json.loads(path.read_bytes())


def test_the_grammar_of_a_bundle_says_what_its_manifest_says(sheets):
    manifest = json.loads((SHEETS / "manifest.json").read_bytes())
    assert (sheets["format"], sheets["name"], sheets["id"]) == ("imago-grammar-1", "sheets", manifest["id"])
    assert len(sheets["tokens"]) == manifest["vocabulary"]
    assert sheets["most_tokens"] == manifest["most_tokens"]
    assert sheets["sure"] == {key: manifest["sure"][key] for key in ("score", "least", "iou")}
    assert (sheets["resize"], sheets["drawing"]) == ("pad", True)


def test_names_are_spelled_as_in_documents(sheets):
    uri = "http://www.w3.org/2000/svg"
    assert sheets["names"]["roots"][f"{{{uri}}}svg"] == f'svg xmlns="{uri}"'
    assert sheets["names"]["elements"][f"{{{uri}}}path"] == "path"
    assert sheets["names"]["attributes"]["viewBox"] == "viewBox"


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_every_node_names_nodes_that_exist(path):
    content = xml_grammar.compiled(codec.load(path))
    inside = range(len(content["nodes"]))
    for node in content["nodes"]:
        items = node.get("sequence", node.get("choice", node.get("maybe", node.get("repeat", [0])[:1])))
        assert all(item in inside for item in items)
    assert content["start"] in inside


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_the_start_costs_what_the_automaton_needs(path):
    language = codec.load(path)
    content = xml_grammar.compiled(language)
    assert content["nodes"][content["start"]]["costs"][-1] == language.automaton.first.need


def test_a_namespace_without_a_prefix_is_refused():
    text = HEAD.format('<element name="a"><element name="b" ns="urn:b"><empty/></element></element>')
    with pytest.raises(SchemaError, match=r"\{urn:b\}b: its namespace has no prefix in the schema"):
        xml_grammar.compiled(Codec(schema.parse(text.encode())))


def test_a_classifier_has_no_grammar(tiny):
    with pytest.raises(BundleError, match="it classifies, and has no grammar"):
        xml_grammar.of_bundle(tiny)
