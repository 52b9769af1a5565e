"""Lists of pictures and their labels; a wrong line is named by its number."""

import json

import pytest

from bundle.errors import DataError
from training.data import photos as sets
from training.data.photos import Reading


@pytest.fixture
def listed(tmp_path):
    """(name, text) -> a list beside 12 files a.jpg to l.jpg."""
    for letter in "abcdefghijkl":
        (tmp_path / f"{letter}.jpg").write_bytes(letter.encode())

    def run(name, text):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return run


def labels_of(photos):
    """File name -> the labels it has and, where there are some, the unknown ones."""
    return {
        photo.path.name: " ".join(
            [*(photos.labels[at] for at in photo.labels), *(f"?{photos.labels[at]}" for at in photo.unknown)]
        )
        for photo in photos.everything
    }


@pytest.mark.parametrize("form", ["{}", "{}.000000"])
def test_lst_of_im2rec_has_a_class_a_line(listed, form):
    text = "".join(f"{at}\t{form.format(at % 2)}\t{letter}.jpg\n" for at, letter in enumerate("abcdefgh"))
    found = sets.load(listed("train.lst", text))
    assert (found.labels, found.scores) == (("0", "1"), "softmax")
    assert labels_of(found) == {f"{letter}.jpg": str(at % 2) for at, letter in enumerate("abcdefgh")}


def test_labels_txt_beside_a_list_names_its_numbers(listed):
    listed("labels.txt", "cat\ndog\n")
    found = sets.load(listed("a.lst", "0\t1\ta.jpg\n1\t0\tb.jpg\n2\t1\tc.jpg\n3\t0\td.jpg\n"))
    assert labels_of(found) == {"a.jpg": "dog", "b.jpg": "cat", "c.jpg": "dog", "d.jpg": "cat"}


def test_lst_with_a_column_a_label_has_many_labels(listed):
    found = sets.load(
        listed("a.lst", "0\t1\t0\t1\ta.jpg\n1\t0\t1\t-1\tb.jpg\n2\t0\t0\t0\tc.jpg\n3\t1\t1\tnan\td.jpg\n")
    )
    assert found.scores == "sigmoid"
    # Whether 2 is trained on hangs on who judges: it is on one photo alone.
    assert labels_of(found) == {"a.jpg": "0 2", "b.jpg": "1 ?2", "c.jpg": "", "d.jpg": "0 1 ?2"}


def test_csv_has_labels_apart_by_blanks_or_other_marks(listed):
    blanks = sets.load(listed("a.csv", "filename,labels\na.jpg,king queen\nb.jpg,king\nc.jpg,\nd.jpg,queen\n"))
    marks = sets.load(listed("b.csv", "filename,labels\na.jpg,t shirt|hat\nb.jpg,hat\nc.jpg,t shirt\n"))
    assert labels_of(blanks) == {"a.jpg": "king queen", "b.jpg": "king", "c.jpg": "", "d.jpg": "queen"}
    assert labels_of(marks) == {"a.jpg": "hat t shirt", "b.jpg": "hat", "c.jpg": "t shirt"}


def test_csv_of_single_labels_keeps_their_blanks_where_one_is_asked_for(listed):
    path = listed("a.csv", "filename,label\na.jpg,t shirt\nb.jpg,hat\nc.jpg,t shirt\nd.jpg,hat\n")
    assert sets.load(path, how=Reading(multi_label=False)).labels == ("hat", "t shirt")
    listed("labels.txt", "t shirt\nhat\n")
    found = sets.load(path)
    assert (found.labels, found.scores) == (("t shirt", "hat"), "softmax")


def test_csv_names_unknown_labels_in_a_column_of_their_own(listed):
    path = listed("a.csv", "filename,labels,unknown\na.jpg,cat,\nb.jpg,dog,cat\nc.jpg,cat dog,\nd.jpg,,dog\n")
    assert labels_of(sets.load(path)) == {"a.jpg": "cat", "b.jpg": "dog ?cat", "c.jpg": "cat dog", "d.jpg": "?dog"}


def test_csv_with_a_column_a_label_leaves_blanks_unknown(listed):
    path = listed("a.csv", "\ufefffilename,dog,cat\na.jpg,1,0\nb.jpg,0,\nc.jpg,1,1\nd.jpg,0,1\ne.jpg,,\n")
    found = sets.load(path)
    assert found.labels == ("dog", "cat")
    assert labels_of(found) == {"a.jpg": "dog", "b.jpg": "?cat", "c.jpg": "dog cat", "d.jpg": "cat"}
    assert [reason for _, reason in found.skipped] == [f"{path}: line 6: all its labels are unknown"]


def test_columns_that_a_validation_list_lacks_are_unknown_there(listed):
    train = listed("a.csv", "filename,dog,cat\na.jpg,1,0\nb.jpg,0,1\nc.jpg,1,1\n")
    found = sets.load(train, listed("b.csv", "filename,cat\nd.jpg,1\ne.jpg,0\n"))
    assert labels_of(found) | {"d.jpg": "cat ?dog", "e.jpg": "?dog"} == labels_of(found)


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_manifest_of_sagemaker_has_numbers_and_their_names(listed):
    cat, dog = ({"class-name": name, "type": "groundtruth/image-classification"} for name in ("cat", "dog"))
    path = listed(
        "a.manifest",
        lines(
            {"source-ref": "a.jpg", "class": 0, "class-metadata": cat},
            {"source-ref": "b.jpg", "class": "1", "class-metadata": dog},
            {"source-ref": "c.jpg", "class": 1},
            {"source-ref": "d.jpg", "class": 0},
            {"source-ref": "e.jpg", "class": None},
        ),
    )
    found = sets.load(path)
    assert labels_of(found) == {"a.jpg": "cat", "b.jpg": "dog", "c.jpg": "dog", "d.jpg": "cat"}
    assert found.skipped == (("e.jpg", f"{path}: line 5: its label is unknown"),)


def test_manifest_of_ground_truth_lists_numbers_of_its_class_map(listed):
    names = {"class-map": {"0": "dog", "2": "cat"}}
    rows = [("a.jpg", [0, 2]), ("b.jpg", [2]), ("c.jpg", []), ("d.jpg", [0])]
    text = lines(*({"source-ref": name, "pets": value, "pets-metadata": names} for name, value in rows))
    found = sets.load(listed("a.jsonl", text))
    assert found.labels == ("dog", "cat")
    assert labels_of(found) == {"a.jpg": "dog cat", "b.jpg": "cat", "c.jpg": "", "d.jpg": "dog"}


def test_manifest_with_a_mark_a_label_masks_nulls(listed):
    rows = [("a.jpg", [1, 0, 1]), ("b.jpg", [0, 1, None]), ("c.jpg", [1, 0, 1]), ("d.jpg", [1, 1, 0])]
    found = sets.load(listed("a.jsonl", lines(*({"source-ref": name, "class": value} for name, value in rows))))
    assert labels_of(found) == {"a.jpg": "0 2", "b.jpg": "1 ?2", "c.jpg": "0 2", "d.jpg": "0 1"}


def test_manifest_may_mark_labels_by_name(listed):
    rows = [
        ("a.jpg", {"cat": 1, "dog": None}),
        ("b.jpg", {"dog": 1}),
        ("c.jpg", {"cat": 1, "dog": 0}),
        ("d.jpg", {"cat": 0, "dog": 1}),
    ]
    found = sets.load(listed("a.jsonl", lines(*({"source-ref": name, "pets": value} for name, value in rows))))
    assert labels_of(found)["a.jpg"] == "cat ?dog"
    assert labels_of(found)["c.jpg"] == "cat"


def test_picture_that_is_listed_twice_alike_counts_once(listed):
    path = listed("a.csv", "filename,labels\na.jpg,cat dog\nb.jpg,cat\na.jpg,dog cat\nc.jpg,dog\n")
    assert len(sets.load(path).everything) == 3


def test_names_begin_where_images_says(listed, tmp_path):
    (tmp_path / "lists").mkdir()
    path = tmp_path / "lists" / "a.lst"
    path.write_text("0\t0\ta.jpg\n1\t1\tb.jpg\n2\t0\tc.jpg\n3\t1\td.jpg\n")
    assert len(sets.load(path, how=Reading(images=tmp_path)).everything) == 4
    with pytest.raises(
        DataError,
        match=r"no picture that can be read; the first of 4 left out: .*a\.jpg: .*line 1: cannot be read: No such file",
    ):
        sets.load(path)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.lst", "0\t0\ta.jpg\n1 1 b.jpg\n", r"a.lst: line 2: '1 1 b.jpg', wanted INDEX<TAB>LABEL<TAB>PATH"),
        ("a.lst", "0\t0\ta.jpg\n\n1\tb.jpg\n", r"line 3: .* wanted INDEX<TAB>LABEL<TAB>PATH"),
        ("a.lst", "x\t0\ta.jpg\n", "line 1: index 'x', wanted a whole number"),
        ("a.lst", "-3\t0\ta.jpg\n", "line 1: index '-3', wanted a whole number"),
        ("a.lst", "0\tcat\ta.jpg\n", "line 1: labels 'cat', wanted numbers"),
        ("a.lst", "0\t0.5\ta.jpg\n", "line 1: label 0.5, wanted a whole number"),
        ("a.lst", "0\t1\t0\ta.jpg\n1\t1\tb.jpg\n", "line 2: 1 labels, the lines before have 2"),
        ("a.lst", "0\t1\t7\ta.jpg\n", "line 1: label '1' is 7; wanted 1, 0, or -1 for unknown"),
        ("a.lst", "0\t1\ta.jpg\n1\t0\ta.jpg\n", r"line 2: a.jpg has other labels than at .*line 1; keep one line"),
        ("a.lst", "0\t0\ta.jpg\n", "only the class '0'; wanted at least two classes"),
        ("a.lst", "", "no pictures; wanted at least two classes"),
        ("a.csv", "", "line 1: '', wanted filename,labels"),
        ("a.csv", "a.jpg,cat\n", "line 1: 'a.jpg,cat', wanted filename,labels"),
        ("a.csv", "filename,labels\na.jpg,cat,dog\n", "line 2: 3 cells, wanted a filename and 1 more"),
        ("a.csv", "filename,labels\n,cat\n", "line 2: 2 cells, wanted a filename"),
        ("a.csv", 'filename,labels\na.jpg,"cat\n', "line 2: unexpected end of data"),
        ("a.csv", "filename,cat,dog\na.jpg,yes,0\n", "line 2: 'yes,0', wanted 1, 0 or nothing"),
        ("a.csv", "filename,cat,dog\na.jpg,2,0\n", "line 2: label 'cat' is 2; wanted 1, 0"),
        ("a.csv", "filename,cat,cat\na.jpg,1,0\n", "line 1: 'cat,cat', wanted a name of its own for each column"),
        ("a.csv", "filename,label\na.jpg,Cat\nb.jpg,cat\n", "class 'cat' is there in several spellings"),
        ("a.jsonl", "{\n", "line 1: no JSON"),
        ("a.jsonl", "[]\n", r"line 1: '\[\]', wanted an object with source-ref"),
        ("a.jsonl", lines({"source-ref": "a.jpg"}), "line 1: attributes source-ref; wanted source-ref and one label"),
        ("a.jsonl", lines({"source-ref": "a.jpg", "x": 1, "y": 1}), "attributes source-ref, x, y; wanted"),
        ("a.jsonl", lines({"source-ref": "a.jpg", "x": 1.5}), "line 1: label 1.5, wanted a whole number"),
        ("a.jsonl", lines({"source-ref": "a.jpg", "x": True}), "line 1: label true, wanted a number, a name"),
        ("a.jsonl", lines({"source-ref": "a.jpg", "x": {"cat": "yes"}}), r"line 1: .*wanted 1, 0 or null"),
        ("a.jsonl", lines({"source-ref": "a.jpg", "x": 0, "x-metadata": {"class-map": [1]}}), "line 1: class-map"),
        ("a.txt", "a.jpg 1\n", "a file of no kind that is read here; wanted a folder per class"),
    ],
)  # fmt: skip
def test_wrong_line_is_named_with_what_was_wanted(listed, name, text, sentence):
    with pytest.raises(DataError, match=sentence):
        sets.load(listed(name, text))


def test_class_that_is_called_two_things_is_refused(listed):
    rows = [{"source-ref": "a.jpg", "x": 0, "x-metadata": {"class-name": name}} for name in ("cat", "dog")]
    with pytest.raises(DataError, match="line 2: class 0 is 'dog' here and 'cat' before"):
        sets.load(listed("a.jsonl", lines(*rows)))


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "filename,labels\na.jpg,cat\nb.jpg,wolf\n", "line 3: label 'wolf' is not among the 2 given ones"),
        ("a.csv", "filename,cat,wolf\na.jpg,1,0\n", "line 1: label 'wolf' is not among"),
        ("a.lst", "0\t1\ta.jpg\n1\t2\tb.jpg\n", "line 2: label 2, but the labels go from 0 to 1"),
        ("a.lst", "0\t1\t0\t0\ta.jpg\n", "line 1: values for 3 labels, wanted 2"),
        ("a.jsonl", lines({"source-ref": "a.jpg", "x": "wolf"}), "line 1: label 'wolf' is not among"),
        ("a.jsonl", lines({"source-ref": "a.jpg", "x": {"wolf": 1}}), "line 1: label 'wolf' is not among"),
    ],
)
def test_label_that_the_labels_file_does_not_know_is_named(listed, name, text, sentence):
    listed("labels.txt", "cat\ndog\n")
    with pytest.raises(DataError, match=sentence):
        sets.load(listed(name, text))


def test_label_that_training_lacks_is_named_by_its_line(listed):
    train = listed("a.csv", "filename,labels\na.jpg,cat\nb.jpg,dog\nc.jpg,cat\n")
    with pytest.raises(DataError, match=r"b.csv: line 2: classes wolf are not in .*a.csv"):
        sets.load(train, listed("b.csv", "filename,labels\nd.jpg,wolf\n"))


def test_several_labels_where_one_is_asked_for_are_named_by_their_line(listed):
    path = listed("a.jsonl", lines({"source-ref": "a.jpg", "x": [0, 1]}, {"source-ref": "b.jpg", "x": [1]}))
    with pytest.raises(
        DataError, match=r"line 1: 2 labels \(0, 1\), wanted one; pictures with several need --multi-label"
    ):
        sets.load(path, how=Reading(multi_label=False))


def test_list_in_another_encoding_is_named_by_its_line(tmp_path):
    (tmp_path / "a.csv").write_bytes("filename,labels\na.jpg,Hütte\n".encode("latin-1"))
    with pytest.raises(DataError, match="line 2: not UTF-8"):
        sets.load(tmp_path / "a.csv")


@pytest.mark.parametrize("text", ["cat\ncat\n", "\n"])
def test_labels_file_with_a_name_twice_or_none_is_refused(listed, text):
    listed("labels.txt", text)
    with pytest.raises(DataError, match=r"labels.txt: .*wanted the labels' names, one a line"):
        sets.load(listed("a.lst", "0\t1\ta.jpg\n"))


def test_photos_of_cards_have_their_labels(data_dir):
    found = sets.load(data_dir / "cards-multilabel" / "labels.csv")
    assert (found.labels, found.scores) == (("ace", "jack", "king", "nine", "queen", "ten"), "sigmoid")
    truth = found.truth(found.everything)
    assert dict(zip(found.labels, truth.sum(axis=0).tolist(), strict=True)) == {
        "ace": 102, "jack": 94, "king": 104, "nine": 98, "queen": 92, "ten": 91
    }  # fmt: skip


@pytest.mark.parametrize(("case", "count"), [("db_default", 80), ("one_pack", 20), ("list_default", 80)])
def test_lists_of_im2rec_are_read(data_dir, case, count):
    golden = data_dir / "recordio-golden"
    path = next((golden / "lists" / case).glob("*.lst"))
    found = sets.load(path, how=Reading(images=golden / "photos"))
    folders = sorted(path.name for path in (golden / "photos").iterdir())
    assert len(found.everything) == count
    assert all(folders[int(found.labels[photo.label])] == photo.path.parent.name for photo in found.everything)
