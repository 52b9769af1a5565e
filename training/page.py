"""The report's HTML: a Result in sections, its pictures inside, no scripts; what has no figures has no section."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from training import album, charts, markup, plots
from training.markup import cells, percent, section, text
from training.result import Judged, Result

STYLE = (
    plots.STYLE
    + """
.sub { color: var(--soft) } .refused { border-left: 4px solid var(--bad); padding-left: .8rem }
.tiles { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.2rem 0; padding: 0 } .tiles div { min-width: 5rem }
.tiles dt { color: var(--soft) } code span { display: inline-block; max-width: 100% } .tiles div:first-child dd { font-size: 2.6rem } .tiles div { display: flex; flex-direction: column; justify-content: flex-end }
.tiles dd { margin: 0; font-size: 1.5rem; font-weight: 600; line-height: 1.2; font-variant-numeric: tabular-nums }
nav { font-size: .9rem; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin-top: 1.5rem } a { color: var(--one) }
figure { margin: 0; min-width: 0 } figcaption { color: var(--soft); font-size: .85rem }
.key { margin-right: 1rem } .key::before { content: ''; display: inline-block; width: 1.2rem; border-top: 2px solid; vertical-align: middle; margin-right: .4rem }
.key.one::before { border-color: var(--one) } .key.two::before { border-color: var(--two); border-top-style: dashed }
.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.5rem, 1fr)); gap: 1rem }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1.25rem 1rem; align-items: start }
.sheet img { width: 100%; display: block; border-radius: 3px; margin-bottom: .35rem } .augmented { max-width: 100%; height: auto }
.sheet figcaption, .small figcaption { overflow-wrap: anywhere; line-height: 1.35 } .sheet b { color: var(--text); font-weight: 600 } .not { color: var(--bad) }
.heatmap { max-width: none } .bar { display: flex; height: .8rem; min-width: 9rem; margin-top: .3rem } .bar span { display: block; background: var(--one) }
.swatch { display: inline-block; width: .7rem; height: .7rem; margin-right: .35rem }
.bars td:last-child { width: 100%; padding-right: 0 } .train { background: var(--one) } .validation { background: var(--two) } .test { background: var(--soft) }
details summary { cursor: pointer; color: var(--soft); margin-top: 1rem }
@media print { details:not([open]) { display: none } .sheet { grid-template-columns: repeat(6, 1fr) } .heatmap { max-width: 100% } }
"""
)

# What the figures are called, and in which order they stand.
NAMES = {
    "accuracy": "accuracy",
    "map": "mAP",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "exact": "all labels right",
    "label_accuracy": "label accuracy",
    "ece": "calibration error (ECE)",
    "loss": "loss",
}


def html(result: Result) -> str:
    """The whole page."""
    name = text(result.bundle.name if result.bundle else result.name)
    sections = [
        _figures(result),
        _alternatives(result),
        charts.curves(result),
        *charts.confusion(result),
        _classes(result),
        charts.precision_recall(result.validation),
        charts.calibration(result),
        *(album.mistakes(one) for one in result.judged),
        section("Augmentation", album.picture(result.sheet, "photos as augmentation changes them", "augmented")),
        _balance(result),
        markup.table("Left out", ("file", "reason"), result.skipped, words=2),
        section("Notes", "".join(f"<p>{text(sentence)}</p>" for sentence in result.notes)),
        markup.table("Seconds", ("stage", "s"), [(stage, f"{s:.1f}") for stage, s in result.seconds.items()]),
    ]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        "<meta name=color-scheme content='light dark'>",
        f"<title>{name}</title><style>{markup.STYLE}{STYLE}</style>",
        f"<main><h1>{name}</h1>{_top(result)}",
        _contents([part for part in sections if part]),
        *sections,
        "</main>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _top(result: Result) -> str:
    """The figure that matters, how sure it is, and how it came about."""
    refused = f"<p class=refused>{text(result.refused)}</p>" if result.refused else ""
    tiles = "".join(
        f"<div><dt>{text(words)}</dt><dd>{text(value)}</dd></div>" for words, value in _tiles(result.judged)
    )
    sets = ", ".join(f"{count} {name}" for name, count in result.photos.items())
    # Word by word, so that lines do not break within an option's name.
    words = " ".join(f"<span>{text(word)}</span>" for word in result.command.split(" "))
    command = f"<p><code>{words}</code></p>" if result.command else ""
    return (
        f"{refused}<dl class=tiles>{tiles}</dl><p class=sub>{text(sets)} photos, {len(result.labels)} labels; "
        f"judged through the exported model and the engine that serves it.</p>{command}"
    )


def _tiles(judged: Sequence[Judged]) -> list[tuple[str, str]]:
    tiles = []
    for one in judged:
        figures = one.evaluation.metrics
        main = "accuracy" if "accuracy" in figures else "map"
        tiles.append((f"{NAMES[main]}, {one.name}", percent(figures[main])))
        if main == "accuracy":
            low, high = one.evaluation.interval
            tiles.append(("95 % interval", f"{100 * low:.1f} – {100 * high:.1f}"))
    return tiles


def _contents(sections: Sequence[str]) -> str:
    """Links to the sections that are there."""
    found = [part.split("<section id='", 1)[1].split("'", 1)[0] for part in sections]
    titles = [part.split("<h2>", 1)[1].split("</h2>", 1)[0] for part in sections]
    links = "".join(f"<a href='#{slug}'>{title}</a>" for slug, title in zip(found, titles, strict=True))
    return f"<nav aria-label='On this page'>{links}</nav>"


# ---- figures -------------------------------------------------------------------------------


def figure(name: str, value: float | None) -> str:
    """As people read it: shares in percent, a loss as it is."""
    if name != "loss":
        return percent(value)
    return "–" if value is None or isnan(value) else f"{value:.4f}"


def _figures(result: Result) -> str:
    """Each set as served, and beside it the same figures as training itself has them."""
    columns: list[tuple[str, Mapping[str, float]]] = []
    for one in result.judged:
        columns.append((f"{one.name}, served", one.evaluation.metrics))
        if one.trained:
            columns.append((f"{one.name}, in training", one.trained.metrics))
    names = ordered(result.validation.evaluation.metrics)
    rows: list[tuple[Any, ...]] = [
        (NAMES.get(name, name.replace("_", " ")), *(figure(name, figures.get(name)) for _, figures in columns))
        for name in names
    ]
    sentences = "".join(
        f"<p>{text(one.name.capitalize())}: <b>{one.trained.differing}</b> of {one.photos} predictions differ between training and "
        f"the exported model; {_furthest(one.trained.furthest)}.</p>"
        for one in result.judged
        if one.trained
    )
    return section("Figures", cells(("figure", *(head for head, _ in columns)), rows) + sentences)


def _furthest(difference: float) -> str:
    return f"no score by more than {difference:.1g}" if difference else "all scores are the same"


def ordered(figures: Mapping[str, float]) -> list[str]:
    """Known ones first, but a top-k right after the accuracy."""
    order = [*NAMES]
    return sorted(figures, key=lambda name: order.index(name) if name in order else 0.5)


def _alternatives(result: Result) -> str:
    """Every head that was trained, by its figures on validation."""
    names = ordered({name: 0.0 for one in result.alternatives for name in one.metrics})
    rows = [
        (
            f"{one.name}{' (chosen)' if one.chosen else ''}",
            one.note,
            *(figure(name, one.metrics.get(name)) for name in names),
            f"{one.seconds:.1f}",
        )
        for one in result.alternatives
    ]
    head = ("head", "how", *(NAMES.get(name, name.replace("_", " ")) for name in names), "s")
    return markup.table("Heads", head, rows, words=2)


def _classes(result: Result) -> str:
    """A row a label, of validation; the threshold where there is one."""
    classes = result.validation.evaluation.classes
    rows: list[tuple[Any, ...]] = [
        (c["label"], c["photos"], *(percent(c.get(name)) for name in ("precision", "recall", "f1", "ap")))
        for c in classes
    ]
    head: tuple[str, ...] = ("label", "photos", "precision", "recall", "F1", "AP")
    if result.thresholds:
        head = (*head, "present from")
        rows = [(*row, f"{limit:.3f}") for row, limit in zip(rows, result.thresholds, strict=True)]
    return markup.table("Labels", head, rows)


# ---- data ----------------------------------------------------------------------------------


def _balance(result: Result) -> str:
    """How many photos of each label each set has, as numbers and as bars."""
    sets = list(result.balance)
    if not sets:
        return ""
    most = max(1, *(sum(counts) for counts in zip(*result.balance.values(), strict=True)))
    rows = []
    for at, label in enumerate(result.labels):
        counts = [result.balance[name][at] for name in sets]
        spans = "".join(
            f"<span class={markup.slug(name)} style='width:{100 * count / most:.2f}%'></span>"
            for name, count in zip(sets, counts, strict=True)
        )
        numbers = "".join(f"<td>{count}" for count in counts)
        rows.append(f"<tr><td class=text>{text(label)}{numbers}<td><div class=bar>{spans}</div>")
    head = "".join(f"<th><span class='swatch {markup.slug(name)}'></span>{text(name)}" for name in sets)
    return section(
        "Balance",
        f"<div class=wide><table class=bars><thead><tr><th class=text>label{head}<th></thead>{''.join(rows)}</table></div>",
    )
