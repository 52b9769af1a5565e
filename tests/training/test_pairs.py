"""Pairs: what is read, what is left out and why, and who is kept for validation."""

import stat
import zipfile

import numpy as np
import pytest

from bundle.errors import DataError
from bundle.image import Preprocess
from training.data import archive, pairs
from training.data.cache import Cache
from training.data.pairs import Pair

SPEC = Preprocess(height=64, width=64, resize="squash", resample="bilinear", color="rgb")


@pytest.fixture
def load(tmp_path):
    """(folder) -> the pairs of it."""

    def load(folder, validation=None):
        codec = pairs.schema(folder, None)
        found, skipped = pairs.scan(folder, codec)
        judges, bad = pairs.scan(validation, codec) if validation else ([], [])
        return pairs.load(
            found, judges, codec, Cache(directory=tmp_path / "cache", spec=SPEC), skipped=[*skipped, *bad]
        )

    return load


def test_a_pair_is_a_picture_and_a_document_of_one_name(pages, load, tmp_path):
    found = load(pages(tmp_path / "data", 30))
    assert len(found.train) + len(found.validation) == 30
    assert found.skipped == ()


def test_invalid_pairs_are_left_out_each_with_its_reason(pages, load, tmp_path):
    folder = pages(tmp_path / "data", 30)
    (folder / "000.xml").write_text('<page>\n<head c="red"/>\n<row c="pink"/></page>')
    (folder / "001.xml").unlink()
    (folder / "002.png").rename(folder / "alone.png")
    reasons = {path.name: reason for path, reason in load(folder).skipped}
    assert "000.xml: line 3" in reasons.pop("000.xml")
    assert reasons.keys() == {"001.png", "002.xml", "alone.png"}
    assert all("one of each wanted" in reason for reason in reasons.values())


def test_nothing_left_is_an_error_that_says_why(pages, load, tmp_path):
    folder = pages(tmp_path / "data", 2)
    for path in folder.glob("*.xml"):
        path.write_text("<page/>")
    with pytest.raises(DataError, match=r"0 usable pairs .* the first: .*000.xml"):
        load(folder)


@pytest.mark.parametrize("count", [0, 2])
def test_one_schema_is_wanted(pages, load, tmp_path, count):
    folder = pages(tmp_path / "data", 2)
    schema = (folder / "page.rng").read_text()
    (folder / "page.rng").unlink()
    for number in range(count):
        (folder / f"{number}.rng").write_text(schema)
    with pytest.raises(DataError, match="wanted one .rng"):
        load(folder)


def test_a_schema_without_notes_gets_those_of_the_ready_made_one_that_says_the_same(tmp_path):
    ready = (pairs.SCHEMAS / "page.rng").read_text()
    (tmp_path / "plain.rng").write_text(ready.replace(' i:bands="y"', "").replace(' xmlns:i="urn:imago:xml"', ""))
    assert b'i:bands="y"' in pairs.schema(tmp_path, None).grammar.data


# ---- the split -------------------------------------------------------------------------------


def test_neither_names_nor_more_pairs_move_a_pair_across_the_split(pages, load, tmp_path):
    few = load(pages(tmp_path / "few", 40))
    many = load(pages(tmp_path / "many", 40))
    for at, path in enumerate(sorted((tmp_path / "many").glob("*.png"))):
        path.rename(path.with_name(f"z{at}.png"))
        path.with_suffix(".xml").rename(path.with_name(f"z{at}.xml"))
    many = load(tmp_path / "many")
    assert {pair.sha256 for pair in few.validation} == {pair.sha256 for pair in many.validation}


def test_pairs_of_one_document_stay_on_one_side(pages, load, tmp_path):
    found = load(pages(tmp_path / "data", 120))
    assert found.validation
    assert not {pair.tokens for pair in found.train} & {pair.tokens for pair in found.validation}


def test_pictures_that_look_alike_stay_on_one_side():
    def pair(number):
        return Pair(path=None, document=None, sha256=f"{number:064x}", events=(), tokens=(number,))

    many = [pair(number * 977 * 2**22 % 2**32) for number in range(200)]
    small = {one.sha256: np.full(768, at // 2 * 2.0, np.float32) for at, one in enumerate(many)}
    train, judges = pairs.split(many, small)
    looks = [{float(small[one.sha256][0]) for one in part} for part in (train, judges)]
    assert judges
    assert not looks[0] & looks[1]


def test_training_pairs_that_a_validation_folder_has_are_left_out_with_a_note(pages, load, tmp_path):
    found = load(pages(tmp_path / "data", 40), pages(tmp_path / "judges", 5, seed=1))
    assert len(found.validation) == 5
    assert not {pair.tokens for pair in found.train} & {pair.tokens for pair in found.validation}
    assert any("left out of training" in note for note in found.notes)


# ---- a zip -----------------------------------------------------------------------------------


def _zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for member, data in members:
            packed.writestr(member, data)
    return path


def test_a_zip_is_read_like_the_folder_in_it(pages, load, tmp_path):
    folder = pages(tmp_path / "data", 20)
    members = [(f"data/{path.name}", path.read_bytes()) for path in folder.iterdir()]
    inside = archive.folder(_zip(tmp_path / "data.zip", members), tmp_path / "cache")
    assert pairs.digest(load(inside)) == pairs.digest(load(folder))


def _link():
    member = zipfile.ZipInfo("link.png")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


HOSTILE = {
    "slip": ([("../out.xml", b"x")], "leads out"),
    "absolute": ([("/tmp/out.xml", b"x")], "leads out"),
    "backslash": ([("..\\out.xml", b"x")], "leads out"),
    "link": ([(_link(), b"/etc/passwd")], "link"),
    "bomb": ([("a.xml", bytes(3 << 20))], "times its size"),
}


@pytest.mark.parametrize(("members", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_zip_is_refused_and_leaves_nothing(tmp_path, members, reason):
    with pytest.raises(DataError, match=reason):
        archive.folder(_zip(tmp_path / "data.zip", members), tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*")) == [tmp_path / "cache" / "unpacked"]
    assert not (tmp_path / "out.xml").exists()


def test_a_broken_zip_is_one_sentence(tmp_path):
    (tmp_path / "data.zip").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match="no good zip file"):
        archive.folder(tmp_path / "data.zip", tmp_path / "cache")


def test_fields_are_means_of_the_picture_s_parts():
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[20:] = 200
    found = pairs.fields(pixels).reshape(16, 16, 3)
    assert found[0].max() == 0
    assert found[-1].min() == 200
