"""What a run that learnt XML came to: one HTML page with nothing loaded from elsewhere, and the same figures as JSON."""

import base64
import difflib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from lxml import etree
from PIL import Image

from bundle import image, store
from bundle.errors import PictureError
from bundle.manifest import Sure, XmlManifest
from training import drawn, markup, plots
from training.evaluate import Answer
from training.progress import Progress

MOST_WORST = 12
MOST_SAMPLES = 40
SIDE = 256  # of a picture in the report

STYLE = """
.case { display: grid; grid-template-columns: 1fr 1fr 1fr; gap: 1rem; margin: 0 0 2rem; align-items: start }
.case img, .case svg, .sheet { max-width: 100%; height: auto; background: #fff } .case p { grid-column: 1 / -1; margin: 0 }
pre { font-size: 11px; line-height: 1.35; margin: 0; overflow-x: auto } .gone { background: #f7c9c9 } .new { background: #ffe39b }
@media (prefers-color-scheme: dark) { .gone { background: #6b2a2a } .new { background: #66500f } }
"""


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that is shown. The run fills it."""

    bundle: Path
    command: str
    pairs: dict[str, int]  # set -> pairs
    parameters: int
    metrics: dict[str, float]  # of the validation pictures, as training.evaluate.metrics gives them
    answers: Sequence[Answer]  # to the validation pictures
    samples: Sequence[np.ndarray]  # training pictures as the network got them, augmented; uint8 (h, w, 3)
    sure: Sure
    negatives: int  # pictures that are nothing of the kind, among those that `sure` was set by
    encoders: dict[str, dict[str, float]]  # encoder -> metrics of a run with it; empty where one only was trained
    skipped: Sequence[tuple[Path, str]]


def write(report: Report, progress: Progress) -> Path:
    """BUNDLE.report/ with index.html and report.json, beside the bundle and never part of it."""
    folder = report.bundle.with_name(f"{report.bundle.name}.report")
    folder.mkdir(exist_ok=True)
    texts = {"report.json": json.dumps(content(report, progress), indent=2, ensure_ascii=False) + "\n"}
    texts["index.html"] = as_html(report, progress)
    for name, text in texts.items():
        temporary = folder / f".{name}"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, folder / name)
    return folder


def encoders(out: Path, data: str, encoder: str, metrics: dict[str, float]) -> dict[str, dict[str, float]]:
    """The figures of this run beside those of bundles in `out` that another encoder learned from the same data (its sha256)."""
    found = {encoder: metrics}
    for bundle in store.find(out):
        manifest = store.read_manifest(bundle)
        kept = bundle.with_name(f"{bundle.name}.report") / "report.json"
        if isinstance(manifest, XmlManifest) and manifest.training and manifest.training.data_sha256 == data:
            figures = json.loads(kept.read_text())["metrics"] if kept.is_file() else manifest.metrics
            found.setdefault(manifest.training.encoder, figures)
    return found if len(found) > 1 else {}


def content(report: Report, progress: Progress) -> dict[str, Any]:
    """All figures; also what `--json` prints."""
    return {
        "bundle": report.bundle.name,
        "command": report.command,
        "pairs": report.pairs,
        "parameters": report.parameters,
        "metrics": report.metrics,
        "wrong": [one.file.name for one in report.answers if one.score.wrong],
        "sure": report.sure.model_dump(mode="json"),
        "negatives": report.negatives,
        "encoders": report.encoders,
        "skipped": [{"file": str(path), "reason": reason} for path, reason in report.skipped],
        "notes": progress.notes,
        "curve": progress.curve,
        "seconds": progress.seconds,
    }


def as_html(report: Report, progress: Progress) -> str:
    name, pairs = markup.text(report.bundle.name), report.pairs
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{name}</title><style>{markup.STYLE}{plots.STYLE}{STYLE}</style>",
        f"<h1>{name}</h1><p class=big>{_headline(report.metrics)}</p>",
        f"<p>{pairs.get('train', 0)} training and {pairs.get('validation', 0)} validation pairs, {report.parameters:,} parameters; "
        "judged through the exported model and the engine that serves it.</p>",
        f"<p><code>{markup.text(report.command)}</code></p>",
        markup.table("Figures", ("figure", "value"), [(key, _figure(x)) for key, x in report.metrics.items()]),
        _sure(report),
        _encoders(report),
        _curves(progress.curve),
        _sheet(report.samples),
        _worst(report.answers),
        markup.table("Left out", ("file", "reason"), [(str(path), why) for path, why in report.skipped], words=2),
        markup.table("Notes", ("note",), [(sentence,) for sentence in progress.notes], words=1),
        markup.table("Seconds", ("stage", "s"), [(name, f"{value:.1f}") for name, value in progress.seconds.items()]),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _headline(metrics: dict[str, float]) -> str:
    shown = {"exact": "exact", "iou": "IoU"}
    return ", ".join(f"{word} {markup.percent(metrics[key])}" for key, word in shown.items() if key in metrics)


def _figure(value: float) -> str:
    return f"{value:.4g}"


def _sure(report: Report) -> str:
    sure = report.sure
    wanted = f"score at least {sure.score:.4f}, no token under {sure.least:.4f}"
    if sure.iou is not None:
        wanted += f", IoU with the picture at least {sure.iou:.3f}"
    low, high = (100 * end for end in sure.interval)
    return (
        f"<h2>When an answer is sure</h2><p>{wanted}. Of the sure answers to {sure.pictures} pictures, {report.negatives} of them "
        f"nothing of the kind, {markup.percent(sure.wrong)} were wrong (95 % interval {low:.2f} to {high:.2f} %).</p>"
    )


def _encoders(report: Report) -> str:
    names = sorted({key for metrics in report.encoders.values() for key in metrics})
    rows = [(name, *(_figure(metrics.get(key, np.nan)) for key in names)) for name, metrics in report.encoders.items()]
    return markup.table("Encoders", ("encoder", *names), rows)


# ---- pictures ------------------------------------------------------------------------------


def _curves(curve: Sequence[dict[str, float]]) -> str:
    """A small plot for each figure but the first, which counts epochs or steps."""
    if len(curve) < 2:
        return ""
    across = next(iter(curve[0]))
    names = [name for name in {name: None for row in curve for name in row} if name != across]
    drawn = (
        plots.lines({"": [(row[across], row[name]) for row in curve if name in row]}, x=across, y=name)
        for name in names
    )
    return f"<h2>While it trained</h2><div class=plots>{''.join(drawn)}</div>"


def _sheet(samples: Sequence[np.ndarray]) -> str:
    """Some of the training pictures, as the network sees them."""
    chosen = list(samples[:MOST_SAMPLES])
    if not chosen:
        return ""
    across = min(8, len(chosen))
    chosen += [np.full_like(chosen[0], 255)] * (-len(chosen) % across)
    rows = [np.concatenate(chosen[at : at + across], axis=1) for at in range(0, len(chosen), across)]
    return f"<h2>Training pictures, augmented</h2>{_img(Image.fromarray(np.concatenate(rows)), 'sheet')}"


def _img(picture: Image.Image, kind: str) -> str:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return f"<img class={kind} alt='' src='data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}'>"


# ---- the worst -----------------------------------------------------------------------------


def _worst(answers: Sequence[Answer]) -> str:
    """Those furthest off, the sure ones first; drawings by their IoU."""
    wrong = [one for one in answers if not one.score.exact]
    wrong.sort(key=lambda one: (-(one.sure and one.score.wrong), one.score.iou or 0, -one.score.edit_error))
    if not wrong:
        return "<h2>The worst</h2><p>Every answer was exact.</p>" if answers else ""
    return f"<h2>The worst: picture, truth, answer</h2>{''.join(map(_case, wrong[:MOST_WORST]))}"


def _case(one: Answer) -> str:
    score = one.score
    drawing = "" if score.iou is None else f", IoU {score.iou:.3f}, {score.command_ratio:.2f} times the commands"
    words = f"{one.file.name}: edit error {score.edit_error:.1%}{drawing}, {'sure' if one.sure else 'not sure'}"
    sides = [_drawing(one.true), _drawing(one.said)] if score.iou is not None else ["", ""]
    texts = _marked(_lines(one.true), _lines(one.said))
    columns = "".join(f"<div>{side}<pre>{text}</pre></div>" for side, text in zip(sides, texts, strict=True))
    return f"<div class=case><p>{markup.text(words)}</p><div>{_picture(one.file)}</div>{columns}</div>"


def _picture(path: Path) -> str:
    spec = image.Preprocess(height=SIDE, width=SIDE, resize="pad", resample="bilinear", color="rgb")
    try:
        return _img(Image.fromarray(image.preprocess(image.decode(path.read_bytes(), spec), spec)), "picture")
    except (PictureError, OSError):
        return "no longer there"


def _drawing(document: bytes) -> str:
    box = markup.text(etree.fromstring(document).get("viewBox", "0 0 256 256"))
    look = "fill='#2e7db4' fill-opacity='.2' stroke='#2e7db4'"
    paths = "".join(f"<path d='{markup.text(d)}' {look}/>" for d in drawn.commands(document))
    return f"<svg viewBox='{box}' width={SIDE} height={SIDE}>{paths}</svg>"


def _lines(document: bytes) -> list[str]:
    """As people read it, a path's commands one a line."""
    root = etree.fromstring(document)
    etree.indent(root)
    text = etree.tostring(root, encoding="unicode")
    for letter in "MLCZ":
        text = text.replace(f" {letter} ", f"\n      {letter} ").replace(f' {letter}"', f'\n      {letter}"')
    return text.splitlines()


def _marked(true: list[str], said: list[str]) -> tuple[str, str]:
    """Both as HTML, with what only one of them has marked."""
    left, right = [], []
    for same, a, b, c, d in difflib.SequenceMatcher(None, true, said, autojunk=False).get_opcodes():
        left += [_line(line, "gone", same == "equal") for line in true[a:b]]
        right += [_line(line, "new", same == "equal") for line in said[c:d]]
    return "\n".join(left), "\n".join(right)


def _line(line: str, kind: str, same: bool) -> str:
    return markup.text(line) if same else f"<span class={kind}>{markup.text(line)}</span>"
