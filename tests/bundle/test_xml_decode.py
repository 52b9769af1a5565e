"""Whatever a network says comes out as a valid document: greedy, with beams, streamed, cut short."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.engine import onnx_xml
from bundle.errors import BundleError, Expired
from bundle.image import Preprocess
from bundle.xml import codec, schema
from bundle.xml.automaton import Walk
from bundle.xml.chunks import Chunks
from bundle.xml.decode import Decoder

PAGE = b"""<grammar xmlns="http://relaxng.org/ns/structure/1.0" datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
  <start><element name="page">
    <attribute name="lang"><choice><value>en &amp; "de"</value><value>a b</value></choice></attribute>
    <oneOrMore><choice>
      <element name="row"><zeroOrMore><element name="card"><empty/></element></zeroOrMore></element>
      <element name="note"><list><oneOrMore><choice><value>more</value><value>less</value></choice></oneOrMore></list></element>
      <element name="size"><data type="unsignedByte"><param name="maxInclusive">4</param></data></element>
    </choice></oneOrMore>
  </element></start></grammar>"""
PATTERN = Path(__file__).parents[2] / "training" / "schemas" / "pattern.rng"

page = codec.Codec(schema.parse(PAGE))
pattern = codec.load(PATTERN)


@pytest.fixture(scope="module")
def files(xml_network):
    sizes = replace(xml_network.TINY, tokens=len(page.automaton.tokens))
    return xml_network.encoder(sizes), xml_network.step(sizes)


@pytest.fixture(scope="module")
def engine(files):
    return onnx_xml.load(*files, preprocess(16), len(page.automaton.tokens))


@pytest.fixture(scope="module")
def decoder(engine):
    return Decoder(engine.encode, engine.step, page, 40)


def preprocess(side):
    return Preprocess(height=side, width=side, resize="squash", resample="bilinear", color="rgb")


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)


def saying(language, logits, most=40):
    """A decoder whose network says `logits(path)` after the tokens of a path, whatever the picture; the cache holds the path."""

    def step(token, keys, values, *memory):
        grown = np.concatenate([keys, token[None, :, None, None, None].astype(np.float32)], 3)
        return np.stack([logits(path[1:].astype(int)) for path in grown[0, :, 0, :, 0]]), grown, grown

    memory = np.zeros((1, 1, 1, 1, 1), np.float32)
    return Decoder(lambda pixels: (memory, memory), step, language, most)


@pytest.mark.parametrize("beam", [1, 4])
def test_any_picture_gives_a_valid_document(decoder, beam):
    for seed in range(5):
        answer = decoder.decode(picture(seed), beam=beam)
        assert page.valid(answer.xml)
        assert page.write(page.events(answer.xml)) == answer.xml
        assert 0 < answer.least <= answer.score <= 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([page, pattern]), st.integers(1, 3), st.integers(1, 60))
def test_any_network_gives_a_valid_document_within_its_bound(seed, language, beam, most):
    rng = np.random.default_rng(seed)
    tokens = len(language.automaton.tokens)
    decoder = saying(language, lambda path: rng.normal(0, 3, tokens), most)
    answer = decoder.decode(picture(0), beam=beam)
    assert language.valid(answer.xml)
    assert answer.tokens <= Walk(language.automaton, most).left


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_a_network_that_says_no_numbers_gives_a_valid_document_without_score(strange):
    decoder = saying(page, lambda path: np.full(len(page.automaton.tokens), strange, np.float32))
    answer = decoder.decode(picture(0))
    assert page.valid(answer.xml)
    assert (answer.score, answer.least) == (0, 0)


def test_each_step_is_told_the_token_before_and_the_cache_has_all_of_them(engine):
    """Steps with caches say what one long row of steps from the start says."""
    seen = []

    def step(token, keys, values, *memory):
        seen.append((int(token[0]), keys.shape[3]))
        return engine.step(token, keys, values, *memory)

    answer = Decoder(engine.encode, step, page, 40).decode(picture(1))
    assert seen == [(token, at) for at, token in enumerate([0, *page.tokens(answer.events)[:-1]])]


def towards(*names, by=9.0):
    return sum(np.eye(len(page.names))[page.names.index(name)] for name in names) * by


def test_beams_find_what_greedy_misses():
    """Greedy takes lang="a b", after which nothing is likely; after the other word all is."""
    other = 'en & "de"'

    def logits(path):
        if len(path) == 0:
            return towards("a b", by=0.4)
        sure = path[0] == page.names.index(other)
        return towards("<row>" if len(path) == 1 else "</>", by=9.0 if sure else 1.0)

    decoder = saying(page, logits)
    assert b'lang="a b"' in decoder.decode(picture(0)).xml
    assert b'lang="en' in decoder.decode(picture(0), beam=2).xml


def test_when_the_time_is_over_the_document_is_finished_and_says_so(decoder):
    answer = decoder.decode(picture(0), until=time.monotonic() - 1)
    assert page.valid(answer.xml)
    assert answer.cut
    assert answer.least == 0


def test_a_bound_of_tokens_that_bites_is_said():
    endless = saying(page, lambda path: towards("<row>" if len(path) % 2 else "</>"))
    answer = endless.decode(picture(0))
    assert page.valid(answer.xml)
    assert answer.cut


def test_a_client_that_has_gone_stops_the_work(decoder):
    asked = []
    with pytest.raises(Expired, match="nobody waits"):
        decoder.decode(picture(0), gone=lambda: asked.append(1) or len(asked) > 1)
    assert len(asked) == 2


def test_a_stream_says_the_same_document_piece_by_piece(decoder):
    for seed in range(5):
        pieces = list(decoder.stream(picture(seed)))
        answer = decoder.decode(picture(seed))
        assert "".join(piece.text for piece in pieces).encode() == answer.xml
        assert pieces[-1].answer == answer
        assert [piece.tokens for piece in pieces] == list(range(1, answer.tokens + 1))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([page, pattern]))
def test_chunks_of_any_document_are_what_the_codec_writes(data, language):
    walk, chunks, text = Walk(language.automaton, 60), Chunks(language), ""
    while not walk.done:
        walk.push(data.draw(st.sampled_from(np.flatnonzero(walk.mask()).tolist())))
        text += chunks.grow(walk.events) if not walk.done else ""
    xml = language.write(walk.events)
    assert xml.startswith(text.encode())
    assert (text + chunks.finish(xml)).encode() == xml


def test_other_namespaces_come_with_the_last_piece():
    other = PAGE.replace(b'<element name="card">', b'<element name="card" ns="urn:other">')
    language = codec.Codec(schema.parse(other))
    events = language.events(b'<page lang="a b"><row><card xmlns="urn:other"/></row></page>')
    chunks, xml = Chunks(language), language.write(events)
    text = chunks.grow(events)
    assert text == '<page lang="a b">\n  <row'
    assert (text + chunks.finish(xml)).encode() == xml


def test_files_that_do_not_fit_each_other_are_refused(xml_network, files):
    sizes = replace(xml_network.TINY, tokens=len(page.names), heads=4)
    with pytest.raises(BundleError, match="cache_keys is .* wanted"):
        onnx_xml.load(files[0], xml_network.step(sizes), preprocess(16), len(page.names))


def test_another_table_of_tokens_is_refused(files):
    with pytest.raises(BundleError, match="step.onnx: logits"):
        onnx_xml.load(*files, preprocess(16), 5)


def test_another_size_of_picture_is_refused(files):
    with pytest.raises(BundleError, match="encoder.onnx: pixels"):
        onnx_xml.load(*files, preprocess(8), len(page.names))
