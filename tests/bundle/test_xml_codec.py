"""Documents to tokens and back: nothing is lost, one document has one spelling, and what is not valid is refused by line."""

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle.errors import DocumentError
from bundle.xml import codec
from training import pieces

from .schemas import codec_of, grow

READY = {path.stem: codec.load(path) for path in (Path(pieces.__file__).parents[1] / "schemas").glob("*.rng")}
PAGE = b'<page>\n <header><button state="active"/></header>\n <row><single><title/><text/><action colour="red"/></single></row></page>'
seeds = st.integers(0, 2**32)


def round_trip(coder: codec.Codec, document: bytes) -> None:
    tokens = coder.encode(document)
    assert coder.canonical(coder.decode(tokens)) == coder.canonical(document)
    assert coder.encode(coder.decode(tokens)) == tokens


@given(seed=seeds, most=st.integers(0, 120))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_document_of_any_schema_goes_to_tokens_and_back(seed, most):
    coder = codec_of(seed)
    round_trip(coder, coder.write(grow(coder, most, Random(seed)).events))


@pytest.mark.parametrize("name", READY)
@given(seed=seeds, most=st.integers(0, 300))
@settings(max_examples=40, deadline=None)
def test_any_document_of_a_ready_made_schema_goes_to_tokens_and_back(name, seed, most):
    round_trip(READY[name], READY[name].write(grow(READY[name], most, Random(seed)).events))


def test_pages_are_what_their_files_say():
    folder = Path(os.environ.get("IMAGO_DATA", "")) / "pix2code-web"
    if not folder.is_dir():
        pytest.skip("set IMAGO_DATA to the folder that holds pix2code-web/")
    for path in sorted(folder.glob("*.xml")):
        assert READY["page"].decode(READY["page"].encode(path.read_bytes())).strip() == path.read_bytes().strip()


def test_spelling_does_not_matter():
    other = PAGE.replace(b"<title/>", b"<title><!-- one --></title>\n\n").replace(b'"red"', b"' &#114;ed '")
    assert READY["page"].canonical(other) == READY["page"].canonical(PAGE)
    assert READY["page"].encode(other) == READY["page"].encode(PAGE)


def test_attributes_may_come_in_any_order():
    size = b'android:layout_width="0dp" android:layout_height="48dp" android:layout_weight="1"'
    turned = b" ".join(reversed(size.split()))
    layout = (
        b'<LinearLayout xmlns:android="http://schemas.android.com/apk/res/android" android:orientation="vertical" '
        b'android:layout_width="match_parent" android:layout_height="match_parent"><Button %s/></LinearLayout>'
    )
    assert READY["android"].encode(layout % size) == READY["android"].encode(layout % turned)
    assert size in READY["android"].decode(READY["android"].encode(layout % turned))


def test_numbers_have_one_spelling():
    svg = (
        b'<svg xmlns="http://www.w3.org/2000/svg" version="1.1" viewBox="0 0 256 256"><path class="cut" d="%s"/></svg>'
    )
    canonical = READY["pattern"].canonical(svg % b" M +1 002\n L 0000000000000000000000000003 -0 ")
    assert canonical == READY["pattern"].canonical(svg % b"M 3 0 L 1 2") == svg % b"M 3 0 L 1 2"


REFUSED = {
    "no well-formed XML": b"<page>\n<header>",
    "line 2: Did not expect element footer": b"<page><header><button state='active'/></header>\n<footer/></page>",
    "line 2: Element button failed": PAGE.replace(b"active", b"open"),
    "DOCTYPE": b'<!DOCTYPE page [<!ENTITY a "b">]>' + PAGE,
    "at most": b" " * (codec.MOST_BYTES + 1),
    "line 1": b"<page xmlns='urn:other'/>",
}


@pytest.mark.parametrize(("sentence", "document"), REFUSED.items())
def test_a_document_that_is_not_valid_is_refused(sentence, document):
    with pytest.raises(DocumentError, match=r"^page\.xml: ") as refused:
        READY["page"].encode(document, "page.xml")
    assert sentence in str(refused.value)
    assert not READY["page"].valid(document)


def test_entities_do_not_blow_up():
    laughs = "".join(f'<!ENTITY a{at} "{f"&a{at - 1};" * 10}">' for at in range(1, 12))
    bomb = f'<!DOCTYPE page [<!ENTITY a0 "ha">{laughs}]><page x="&a11;">&a11;</page>'
    with pytest.raises(DocumentError):
        READY["page"].encode(bomb.encode())


def test_more_repeats_than_the_bound_are_refused_by_line():
    button = b'<button state="active"/>\n'
    with pytest.raises(DocumentError, match=r"^document\.xml: line 258: .* at most 256 times"):
        READY["page"].encode(PAGE.replace(b'<button state="active"/>', button * 300))
    READY["page"].encode(PAGE.replace(b'<button state="active"/>', button * 256))


@pytest.mark.parametrize("tokens", [[], [0], [7], [1, 1], [-1], [10_000]])
def test_tokens_that_are_no_document_are_refused(tokens):
    with pytest.raises(DocumentError, match="token"):
        READY["page"].decode(tokens)
