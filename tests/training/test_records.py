"""RecordIO: what im2rec wrote is read to the byte, and what is damaged is named by its byte."""

import hashlib
import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.errors import DataError
from training.data import photos as sets
from training.data import records

MAGIC = struct.pack("<I", records.MAGIC)


def framed(payload):
    """As im2rec writes it: split where the magic lies at a multiple of four."""
    cuts = [at for at in range(0, len(payload) // 4 * 4, 4) if payload[at : at + 4] == MAGIC]
    starts, ends = [0, *(at + 4 for at in cuts)], [*cuts, len(payload)]
    out = b""
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        kind = 0 if not cuts else 1 if number == 0 else 3 if number == len(cuts) else 2
        part = payload[start:end]
        out += MAGIC + struct.pack("<I", kind << 29 | len(part)) + part + bytes(-len(part) % 4)
    return out


def packed(picture, *labels, number=0):
    if len(labels) == 1:
        return framed(struct.pack("<IfQQ", 0, labels[0], number, 0) + picture)
    return framed(struct.pack(f"<IfQQ{len(labels)}f", len(labels), 0, number, 0, *labels) + picture)


@pytest.fixture
def write(tmp_path):
    """(records, name=) -> the .rec."""

    def run(frames, name="train.rec"):
        (tmp_path / name).write_bytes(b"".join(frames))
        return tmp_path / name

    return run


payloads = st.lists(st.sampled_from([MAGIC, b"x", b"\x0a\x23", b"1234", b""]), max_size=20).map(b"".join)


@given(st.lists(payloads, max_size=5))
def test_payloads_with_the_magic_come_back(tmp_path_factory, pictures):
    path = tmp_path_factory.mktemp("rec") / "a.rec"
    path.write_bytes(b"".join(packed(picture, at) for at, picture in enumerate(pictures)))
    read = list(records.read(path))
    assert [(record.payload, record.labels) for record in read] == [(p, (at,)) for at, p in enumerate(pictures)]
    assert [records.read_at(path, record.offset) for record in read] == read


def test_image_record_has_its_id_and_labels(write):
    path = write([packed(b"one", 3.0, number=7), packed(b"two", 1.0, 0.0, -1.0, number=2**40)])
    assert [(r.offset, r.id, r.labels, r.payload) for r in records.read(path)] == [
        (0, 7, (3.0,), b"one"),
        (36, 2**40, (1.0, 0.0, -1.0), b"two"),
    ]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: data[:-1], "byte 40: the file ends within a record"),
        (lambda data: data[:44], "byte 40: the file ends within a record"),
        (lambda data: data[:40] + b"\0" + data[41:], "byte 40: no RecordIO record begins here"),
        (lambda data: data + b"abc", "byte 80: no RecordIO record begins here"),
        (lambda data: data + MAGIC + struct.pack("<I", 3 << 29), "byte 80: part of a record without its start"),
        (lambda data: data + MAGIC + struct.pack("<I", 1 << 29), "byte 88: no RecordIO record begins here"),
        (lambda data: data + MAGIC + struct.pack("<I", 2**29 - 1), "byte 80: the file ends within a record"),
        (lambda data: data + framed(b"short"), "byte 80: 5 bytes, too few for a picture and its labels"),
        (lambda data: data + framed(struct.pack("<IfQQ", 9, 0, 0, 0)), "byte 80: 24 bytes, too few"),
    ],
)
def test_damage_is_named_by_its_byte(write, damage, sentence):
    path = write([damage(packed(b"pictures", 0) + packed(b"pictures", 1))])
    with pytest.raises(DataError, match=f"train.rec: {sentence}"):
        list(records.read(path))


def test_record_is_asked_for_where_none_begins(write):
    with pytest.raises(DataError, match="byte 4: no RecordIO record"):
        records.read_at(write([packed(b"picture", 0)]), 4)


# ---- as training data ----------------------------------------------------------------------


def test_classes_of_a_rec_are_numbers_or_have_names(write, tmp_path):
    path = write([packed(b"a%d" % at, at % 2 * 5.0) for at in range(30)])
    assert sets.load(path).labels == ("0", "5")
    (tmp_path / "labels.txt").write_text("ant\nbee\ncat\ndog\neel\nfox\n")
    found = sets.load(path)
    assert (found.labels, found.empty) == (("ant", "fox"), ("bee", "cat", "dog", "eel"))


def test_photos_of_a_rec_are_read_from_their_place(write):
    path = write([packed(b"a%d" % at, at % 2) for at in range(30)])
    photos = sets.load(path).everything
    assert {photo.read() for photo in photos} == {b"a%d" % at for at in range(30)}
    assert all(photo.sha256 == hashlib.sha256(photo.read()).hexdigest() for photo in photos)
    assert photos[0].name == f"{path} at {photos[0].offset}"


def test_rows_of_marks_are_many_labels_and_some_are_unknown(write):
    rows = [(1, 0, 1), (0, 1, -1), (math.nan, 1, 0), (0, 0, 1), (1, 1, 0)] * 3
    path = write([packed(b"a%d" % at, *row) for at, row in enumerate(rows)])
    found = sets.load(path)
    known = {photo.read(): (photo.labels, photo.unknown) for photo in found.everything}
    assert found.scores == "sigmoid"
    assert [known[b"a%d" % at] for at in range(4)] == [((0, 2), ()), ((1,), (2,)), ((1,), (0,)), ((2,), ())]


def test_numbers_of_a_validation_rec_are_the_classes_of_the_folder(write, tmp_path):
    for at in range(10):
        (tmp_path / "data" / f"class-{at % 2}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / f"class-{at % 2}" / f"{at}.jpg").write_bytes(b"%d" % at)
    found = sets.load(tmp_path / "data", write([packed(b"a", 1), packed(b"b", 0)]))
    assert {photo.read(): found.labels[photo.label] for photo in found.validation} == {b"a": "class-1", b"b": "class-0"}
    with pytest.raises(DataError, match="byte 0: label 2, but the labels go from 0 to 1"):
        sets.load(tmp_path / "data", write([packed(b"a", 2)]))


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([(0.5,), (1,)], "byte 0: label 0.5, wanted a whole number"),
        ([(-1,), (1,)], "byte 0: label -1, wanted"),
        ([(math.inf,), (1,)], "byte 0: label inf, wanted"),
        ([(1, 0), (1, 0, 0)], "byte 44: 3 labels, the records before have 2"),
        ([(5, 0), (1, 0)], "byte 0: label '0' is 5; wanted 1, 0, or -1"),
        ([], "no pictures; wanted at least two classes"),
        ([(math.nan,)] * 3, "no pictures; wanted at least two classes"),
    ],
)
def test_labels_that_mean_nothing_are_named(write, rows, sentence):
    with pytest.raises(DataError, match=sentence):
        sets.load(write([packed(b"a%d" % at, *row) for at, row in enumerate(rows)]))


def test_rec_cut_between_two_records_is_found_by_its_idx(write, tmp_path):
    frames = [packed(b"a%d" % at, at % 2) for at in range(10)]
    starts = [sum(map(len, frames[:at])) for at in range(10)]
    (tmp_path / "train.idx").write_text("".join(f"{at}\t{start}\n" for at, start in enumerate(starts)))
    assert len(sets.load(write(frames)).everything) == 10
    with pytest.raises(DataError, match=r"train.rec: 9 records, but train.idx lists 10"):
        sets.load(write(frames[:-1]))
    (tmp_path / "train.idx").write_text("0\t0\n1 40\n")
    with pytest.raises(DataError, match=r"train.idx: line 2: '1 40', wanted KEY<TAB>BYTE"):
        sets.load(write(frames))


# ---- what im2rec itself wrote --------------------------------------------------------------


@pytest.fixture
def golden(data_dir):
    return data_dir / "recordio-golden"


def test_frames_of_im2rec_are_read(golden):
    wanted = [bytes.fromhex(text) for text in json.loads((golden / "edge" / "payloads.json").read_text())]
    path = golden / "edge" / "edge.rec"
    assert list(payloads_of(path)) == wanted
    assert len(records.offsets(path.with_suffix(".idx"))) == len(wanted)


def test_headers_of_im2rec_are_read(golden):
    path = golden / "edge" / "hdr.rec"
    read = list(records.read(path))
    assert [record.offset for record in read] == records.offsets(path.with_suffix(".idx"))
    assert [len(record.labels) for record in read][:3] == [1, 1, 3]


def payloads_of(path):
    with path.open("rb") as file:
        while file.tell() < path.stat().st_size:
            yield records._payload(path, file)


@pytest.mark.parametrize("name", ["trunc", "badmagic"])
def test_damaged_files_of_the_golden_set_are_refused(golden, name):
    with pytest.raises(DataError, match=f"{name}.rec: byte"):
        list(payloads_of(golden / "edge" / f"{name}.rec"))


def test_records_as_im2rec_packs_photos_are_read(golden, write):
    """The .rec is made again from the photos: its sha256 says that it is im2rec's to the byte."""
    case = json.loads((golden / "index.json").read_text())["ml_pass"]
    listed = [line.split("\t") for line in (golden / "lists" / "ml_pass" / "train.lst").read_text().splitlines()]
    pictures = [(golden / "photos" / cells[-1]).read_bytes() for cells in listed]
    path = write(
        packed(picture, *map(float, cells[1:-1]), number=int(cells[0]))
        for cells, picture in zip(listed, pictures, strict=True)
    )
    assert hashlib.sha256(path.read_bytes()).hexdigest() == case["rec_sha"]
    read = list(records.read(path))
    assert [(r.offset, r.id, list(r.labels)) for r in read] == [
        (row["offset"], row["id"], row["labels"]) for row in case["records"]
    ]
    assert [hashlib.sha256(r.payload).hexdigest() for r in read] == [row["img_sha"] for row in case["records"]]
