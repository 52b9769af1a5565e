"""The report of a classifier: everything in one page that loads nothing, and the same figures as JSON."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bundle.image import Preprocess
from training import page, plots, report
from training.result import Alternative, Answers, Photographed, Result, balance, judge, refusal
from training.run import Run

NASTY = "<script>alert(1)</script> & \"'"


@pytest.fixture(scope="module")
def shown(jpeg):
    spec = Preprocess(height=64, width=48, resize="crop", resample="bilinear", color="rgb")
    return Photographed(
        name="validation", names=[f"{NASTY}/{at}.jpg" for at in range(12)], read=lambda at: jpeg, spec=spec
    )


def judged(shown, answers, *, seed=0, right=2.0):
    """Twelve photos of which some are wrong, by the export and, the same but for a rounding, in training."""
    rng, k = np.random.default_rng(seed), len(answers.labels)
    logits = rng.normal(0, 1, (12, k))
    if answers.scores == "softmax":
        truth = np.arange(12) % k
        logits[np.arange(12), truth] += right
        rows = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    else:
        truth = (rng.random((12, k)) < 0.4).astype(np.float32)
        rows = 1 / (1 + np.exp(-logits - right * truth + right / 2))
        truth[0, 0] = np.nan
    return judge(rows, truth, answers, shown, trained=rows + 1e-7), truth


@pytest.fixture(scope="module")
def result(shown):
    """Of three labels, one of which is a program."""
    answers = Answers(labels=("a", "b", NASTY), scores="softmax", top_k=2)
    one, truth = judged(shown, answers)
    return Result(
        name="photos",
        bundle=Path("bundles/photos-0a1b2c3d"),
        command=f"imago train classifier '{NASTY}'",
        labels=answers.labels,
        scores="softmax",
        judged=(one, replace(one, name="test")),
        photos={"train": 40, "validation": 12, "test": 12},
        balance={"train": (20, 12, 8), "validation": balance(truth, answers.labels)},
        alternatives=[
            Alternative(name="linear", note=NASTY, metrics={"accuracy": 0.8}, seconds=0.4, chosen=False),
            Alternative(name="mlp", note="", metrics={"accuracy": 0.9}, seconds=1.25, chosen=True),
        ],
        temperature=1.5,
        uncalibrated=one.evaluation,
        sheet=np.zeros((8, 8, 3), np.uint8),
        skipped=[(f"{NASTY}.jpg", "it is <broken>")],
        notes=[NASTY],
        curve=[{"epoch": 1, "loss": 2.0, "val_loss": 2.1}, {"epoch": 2, "loss": 1.0, "val_loss": 1.2, "rate": 0.1}],
        seconds={"features": 1.25},
    )


@pytest.fixture(scope="module")
def several(shown):
    """Of photos that may have several labels."""
    answers = Answers(labels=("a", "b", "c"), scores="sigmoid", thresholds=(0.5, 0.25, 0.75))
    one, truth = judged(shown, answers)
    return Result(
        name="photos",
        bundle=None,
        labels=answers.labels,
        scores="sigmoid",
        thresholds=answers.thresholds,
        judged=(one,),
        photos={"validation": 12},
        balance={"validation": balance(truth, answers.labels)},
    )


class Seen(HTMLParser):
    """Elements, ids and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.addresses = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.addresses += [value for name, value in attrs if name in ("src", "href")]


def test_report_is_two_files_that_say_the_same(result, tmp_path):
    folder = report.write(result, report.beside(tmp_path, result))
    assert folder == tmp_path / "photos-0a1b2c3d.report"
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "report.json"]
    assert json.loads((folder / "report.json").read_text()) == report.content(result)


def test_page_loads_nothing_and_runs_nothing(result, several):
    for one in (result, several):
        seen = Seen(page.html(one))
        assert not {"script", "link", "iframe", "object"} & set(seen.tags)
        assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in seen.addresses)
        assert "url(" not in page.html(one)


def test_names_of_files_and_labels_stay_text(result):
    assert "<script" not in page.html(result)
    assert "it is &lt;broken&gt;" in page.html(result)


def test_ids_are_unique_and_all_links_lead_somewhere(result):
    seen = Seen(page.html(result))
    assert len(set(seen.ids)) == len(seen.ids)
    assert {address[1:] for address in seen.addresses if address[0] == "#"} == set(seen.ids)


def test_page_has_a_section_for_everything_that_a_run_gives(result):
    assert Seen(page.html(result)).ids == [
        *("figures", "heads", "while-it-trained", "confusion-validation", "confusion-test", "labels"),
        *("precision-and-recall", "calibration", "mistakes-validation", "mistakes-test", "augmentation", "balance"),
        *("left-out", "notes", "seconds"),
    ]


def test_what_there_is_no_figure_for_has_no_section(several):
    wanted = ["figures", "labels", "precision-and-recall", "calibration", "mistakes-validation", "balance"]
    assert Seen(page.html(several)).ids == wanted


def test_differences_between_training_and_export_are_counted(shown):
    answers = Answers(labels=("a", "b"), scores="softmax")
    rows = np.array([[0.9, 0.1], [0.4, 0.6]])
    one = judge(rows, np.array([0, 0]), answers, shown, trained=np.array([[0.9, 0.1], [0.6, 0.4]]))
    assert (one.trained.differing, round(one.trained.furthest, 6)) == (1, 0.2)
    assert (one.evaluation.metrics["accuracy"], one.trained.metrics["accuracy"]) == (0.5, 1.0)


def test_surest_mistakes_come_first_with_their_pictures(result):
    mistakes = result.validation.mistakes
    assert [one.probability for one in mistakes] == sorted((one.probability for one in mistakes), reverse=True)
    assert all(one.label == one.answer[0] != one.truth[0] for one in mistakes)
    assert mistakes[0].picture.shape == (176, 132, 3)  # of the input's shape, larger


def test_of_several_labels_the_one_that_is_furthest_off_is_named(shown):
    answers = Answers(labels=("a", "b"), scores="sigmoid", thresholds=(0.5, 0.5))
    truth = np.array([[1, 0], [1, 0], [np.nan, 0]], np.float32)
    mistakes = judge(np.array([[0.1, 0.8], [0.9, 0.1], [0.9, 0.1]]), truth, answers, shown).mistakes
    assert [(one.truth, one.answer, one.label, one.probability) for one in mistakes] == [(("a",), ("b",), "a", 0.1)]


def test_a_picture_that_is_gone_is_listed_without_one(shown):
    def gone(at):
        raise FileNotFoundError

    one, _ = judged(replace(shown, read=gone), Answers(labels=("a", "b", "c"), scores="softmax"))
    assert one.mistakes
    assert {mistake.picture for mistake in one.mistakes} == {None}


@pytest.mark.parametrize(("labels", "heatmaps"), [(2, 1), (60, 1), (61, 0)])
def test_confusion_is_drawn_up_to_sixty_labels(shown, result, labels, heatmaps):
    answers = Answers(labels=tuple(f"label {at}" for at in range(labels)), scores="softmax")
    one, _ = judged(shown, answers, right=1.0)
    text = page.html(replace(result, labels=answers.labels, judged=(one,), balance={}))
    assert text.count("<svg class=heatmap") == heatmaps
    assert "Most often confused" in text


def test_figures_that_do_not_exist_are_null_in_json(result):
    assert report._plain({"x": float("nan"), "y": np.float32(1), "z": (np.int64(2),)}) == {"x": None, "y": 1, "z": [2]}
    assert not re.search(r"NaN|Infinity", report.as_json(result))


def test_headline_is_for_people(result, several):
    head, test, *_ = report.summary(result, Path("there")).strip().splitlines()
    assert re.fullmatch(r"bundles/photos-0a1b2c3d: accuracy .* %, ECE .* %, top 2 .* % on 12 validation photos", head)
    assert test.startswith("  test     accuracy ")
    assert report.summary(several, Path("there")).splitlines()[1].startswith("photos: mAP ")


@pytest.mark.parametrize(("wanted", "refused"), [(None, False), (0.0, False), (1.0, True)])
def test_what_is_not_good_enough_is_refused_in_one_sentence(result, several, wanted, refused):
    run = Run(data=Path(), name="x", out=Path(), cache=Path(), cache_bytes=0, assert_accuracy_at_least=wanted)
    for one, figure in ((result, "accuracy 0."), (several, "mAP 0.")):
        sentence = refusal(run, one.validation)
        assert sentence.startswith(figure) == refused
        assert "at least 1 wanted by --assert-accuracy-at-least; no bundle was written" in sentence or not refused


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (1, 12, [2, 4, 6, 8, 10, 12]), (0, 0.0009, None), (5, 5, [5])],
)
def test_ticks_are_few_and_round(low, high, wanted):
    found = plots.ticks(low, high)
    assert found == (wanted or found)
    assert 1 <= len(found) <= 9


def test_a_curve_keeps_its_ends_when_it_is_thinned():
    found = plots.thinned([(at, at) for at in range(1000)], 10)
    assert (found[0], found[-1], len(found)) == ((0, 0), (999, 999), 10)


@pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium here; as root: make browser")
def test_page_fits_every_window_in_both_themes_and_asks_for_nothing(result, tmp_path):
    from playwright.sync_api import sync_playwright

    address = (report.write(result, tmp_path / "r") / "index.html").as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"], timeout=120_000
        )
        for theme, width in (("light", 380), ("dark", 820), ("light", 1400)):
            opened, asked = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=theme), []
            opened.on("request", lambda request, asked=asked: asked.append(request.url))
            opened.goto(address)
            assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
            assert [url for url in asked if not url.startswith("data:")] == [address]
            shades = opened.evaluate(
                "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
            )
            assert shades == (
                ["rgb(255, 255, 255)", "rgb(29, 35, 39)"]
                if theme == "light"
                else ["rgb(21, 25, 28)", "rgb(230, 234, 237)"]
            )
            opened.close()
        browser.close()
