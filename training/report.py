"""What a run came to, for people (one HTML page, nothing loaded from elsewhere) and for programs (JSON)."""

import json
import os
from pathlib import Path
from typing import Any

from training import markup
from training.classifier import Result
from training.progress import Progress
from training.run import Run


def write(run: Run, result: Result, progress: Progress) -> Path:
    """BUNDLE.report/ with index.html and report.json, beside the bundle and never part of it."""
    folder = result.bundle.with_name(f"{result.bundle.name}.report")
    folder.mkdir(exist_ok=True)
    for name, text in (("report.json", as_json(run, result, progress)), ("index.html", as_html(run, result, progress))):
        temporary = folder / f".{name}"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, folder / name)
    return folder


def content(run: Run, result: Result, progress: Progress) -> dict[str, Any]:
    """All figures of a run; also what `--json` prints."""
    return {
        "bundle": result.bundle.name,
        "name": run.name,
        "command": run.command,
        "photos": result.photos,
        "metrics": result.metrics,
        "classes": result.classes,
        "confusion": result.confusion.tolist(),
        "skipped": [{"file": str(path), "reason": reason} for path, reason in result.skipped],
        "notes": progress.notes,
        "curve": progress.curve,
        "seconds": progress.seconds,
    }


def as_json(run: Run, result: Result, progress: Progress) -> str:
    return json.dumps(content(run, result, progress), indent=2, ensure_ascii=False) + "\n"


def as_html(run: Run, result: Result, progress: Progress) -> str:
    mistakes = [(path.name, truth, answer, markup.percent(sure)) for path, truth, answer, sure in result.mistakes[:50]]
    classes = [
        (c["label"], c["photos"], markup.percent(c["recall"]), markup.percent(c["precision"])) for c in result.classes
    ]
    figures = ", ".join(f"{name.replace('_', ' ')} {markup.percent(value)}" for name, value in result.metrics.items())
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{markup.text(result.bundle.name)}</title><style>{markup.STYLE}</style>",
        f"<h1>{markup.text(result.bundle.name)}</h1><p class=big>{figures}</p>",
        f"<p>{result.photos['train']} training and {result.photos['validation']} validation pictures, "
        "judged through the exported model and the engine that serves it.</p>",
        f"<p><code>{markup.text(run.command)}</code></p>",
        markup.table("Classes", ("class", "pictures", "found", "right when answered"), classes),
        _confusion(result),
        markup.table("Surest mistakes", ("file", "is", "answered", "with"), mistakes, words=3),
        markup.table("Left out", ("file", "reason"), [(str(path), why) for path, why in result.skipped], words=2),
        markup.table("Notes", ("note",), [(sentence,) for sentence in progress.notes], words=1),
        markup.table("Seconds", ("stage", "s"), [(name, f"{value:.1f}") for name, value in progress.seconds.items()]),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _confusion(result: Result) -> str:
    """Rows are the truth, columns the answer; the shade is the share of the row."""
    if len(result.labels) > 40:
        return ""  # nobody reads a table that wide; report.json has it
    head = "".join(f"<th>{markup.text(label)}" for label in result.labels)
    rows = []
    for label, counts in zip(result.labels, result.confusion, strict=True):
        cells = "".join(
            f"<td style='background: rgb(46 125 180 / {n / max(1, counts.sum()):.2f})'>{n or ''}" for n in counts
        )
        rows.append(f"<tr><th>{markup.text(label)}{cells}")
    return (
        f"<h2>Confusion: truth by row, answer by column</h2><table><thead><tr><th>{head}</thead>{''.join(rows)}</table>"
    )
