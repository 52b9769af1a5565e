"""The report's plots in their sections, from a Result's figures."""

from collections.abc import Mapping, Sequence
from math import isnan

import numpy as np

from training import plots
from training.markup import cells, percent, section, text
from training.result import Judged, Result

# Labels that a heatmap can show; of more only the pairs that are confused most often.
MOST_LABELS = 60
MOST_CONFUSED = 10


def curves(result: Result) -> str:
    """A plot for each figure of an epoch, training and validation over one another."""
    if len(result.curve) < 2:
        return ""
    across = next(iter(result.curve[0]))
    names = dict.fromkeys(name.removeprefix("validation_") for row in result.curve for name in row if name != across)
    drawn = (plots.lines(_both(result.curve, across, name), x=across, y=name.replace("_", " ")) for name in names)
    return section("While it trained", f"<div class=plots>{''.join(drawn)}</div>")


def _both(curve: Sequence[Mapping[str, float]], across: str, name: str) -> dict[str, plots.Points]:
    found = {
        words: [(row[across], row[key]) for row in curve if row.get(key) is not None and not isnan(row[key])]
        for words, key in (("training", name), ("validation", f"validation_{name}"))
    }
    known = {words: points for words, points in found.items() if points}
    return known if len(known) == 2 else {"": next(iter(known.values()))}


def confusion(result: Result) -> list[str]:
    """Of validation and test: which label was taken for which."""
    return [
        section(
            f"Confusion, {one.name}",
            f"<p class=sub>Truth by row, answer by column; the shade is the share of the row.</p>{_heatmap(result.labels, one)}",
        )
        for one in result.judged
        if one.evaluation.confusion is not None
    ]


def _heatmap(labels: tuple[str, ...], judged: Judged) -> str:
    counts = np.asarray(judged.evaluation.confusion)
    if len(labels) <= MOST_LABELS:
        drawn = f"<div class=wide>{plots.heatmap(labels, counts)}</div>"
    else:
        drawn = f"<p>{len(labels)} labels are more than a picture shows; report.json has all counts.</p>"
    wrong = counts * (1 - np.eye(len(labels), dtype=counts.dtype))
    most = [at for at in np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSED] if wrong.flat[at]]
    rows = [(labels[at // len(labels)], labels[at % len(labels)], wrong.flat[at]) for at in most]
    return drawn + (
        f"<details><summary>Most often confused</summary>{cells(('is', 'answered', 'photos'), rows, words=2)}</details>"
        if rows
        else ""
    )


def precision_recall(judged: Judged) -> str:
    """A small curve for each label: recall to the right, precision upwards."""
    drawn = "".join(
        f"<figure>{plots.area(curve)}<figcaption><b>{text(c['label'])}</b><br>AP {percent(c.get('ap'))}</figcaption></figure>"
        for c, curve in zip(judged.evaluation.classes, judged.evaluation.curves, strict=False)
    )
    return section(
        "Precision and recall",
        drawn
        and f"<p class=sub>Of {text(judged.name)}: recall to the right, precision upwards, both from 0 to 1.</p><div class=small>{drawn}</div>",
    )


def calibration(result: Result) -> str:
    """How often answers of one probability are right, before and after the temperature."""
    after, before = result.validation.evaluation, result.uncalibrated
    if not any(count for _, _, count in after.calibration):
        return ""
    plane = plots.Plane((0, 1), (0, 1), width=380, height=340)
    inside, kinds = plane.path([(0, 0), (1, 1)], "even"), {}
    for evaluation, kind, words in ((before, "two", "before"), (after, "one", "after" if before else "")):
        if evaluation:
            inside += _bins(plane, evaluation.calibration, kind)
            kinds[words and f"{words}: ECE {percent(evaluation.metrics.get('ece'))}"] = kind
    drawn = plane.svg(inside, "probability", "share that is right", "how often answers are right, by their probability")
    note = (
        f"<p class=sub>On validation. The logits are divided by a temperature of {result.temperature:.3f}.</p>"
        if result.temperature
        else ""
    )
    if not before:
        note += f"<p class=sub>ECE {percent(after.metrics.get('ece'))}.</p>"
    return section("Calibration", f"{note}<figure>{drawn}{plots.legend(kinds)}</figure>")


def _bins(plane: plots.Plane, bins: Sequence[tuple[float, float, int]], kind: str) -> str:
    """A line through the bins, and dots whose area is the number of photos."""
    known = [(confidence, right, count) for confidence, right, count in bins if count]
    most = max(count for *_, count in known)
    points = [(confidence, right) for confidence, right, _ in known]
    words = [f"{count} at {100 * confidence:.1f} %: {100 * right:.1f} % right" for confidence, right, count in known]
    sizes = [2 + 9 * (count / most) ** 0.5 for *_, count in known]
    return plane.path(points, kind) + plane.dots(points, kind, sizes, words)
