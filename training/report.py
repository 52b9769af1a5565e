"""What a run came to, for people (one HTML page, nothing loaded from elsewhere) and for programs (JSON)."""

import html
import json
import os
from pathlib import Path
from typing import Any

from training.classifier import Result
from training.progress import Progress
from training.run import Run

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2327 }
h1 { font-weight: 600 } h2 { margin-top: 2.5rem; font-weight: 600; font-size: 1.15rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #dfe3e6; text-align: right; font-weight: 400 }
th:first-child, td.text, th.text { text-align: left } thead th { color: #5b666e }
.big { font-size: 2.6rem; font-weight: 600; margin: 0 } code { background: #f2f4f5; padding: .1rem .3rem }
@media (prefers-color-scheme: dark) { body { background: #15191c; color: #e6eaed } code { background: #23292d }
  th, td { border-color: #333b41 } thead th { color: #9aa6ae } }
"""


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
    mistakes = [(path.name, truth, answer, _percent(sure)) for path, truth, answer, sure in result.mistakes[:50]]
    classes = [(c["label"], c["photos"], _percent(c["recall"]), _percent(c["precision"])) for c in result.classes]
    figures = ", ".join(f"{name.replace('_', ' ')} {_percent(value)}" for name, value in result.metrics.items())
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{_text(result.bundle.name)}</title><style>{STYLE}</style>",
        f"<h1>{_text(result.bundle.name)}</h1><p class=big>{figures}</p>",
        f"<p>{result.photos['train']} training and {result.photos['validation']} validation pictures, "
        "judged through the exported model and the engine that serves it.</p>",
        f"<p><code>{_text(run.command)}</code></p>",
        _table("Classes", ("class", "pictures", "found", "right when answered"), classes),
        _confusion(result),
        _table("Surest mistakes", ("file", "is", "answered", "with"), mistakes, words=3),
        _table("Left out", ("file", "reason"), [(str(path), why) for path, why in result.skipped], words=2),
        _table("Notes", ("note",), [(sentence,) for sentence in progress.notes], words=1),
        _table("Seconds", ("stage", "s"), [(name, f"{value:.1f}") for name, value in progress.seconds.items()]),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _confusion(result: Result) -> str:
    """Rows are the truth, columns the answer; the shade is the share of the row."""
    if len(result.labels) > 40:
        return ""  # nobody reads a table that wide; report.json has it
    head = "".join(f"<th>{_text(label)}" for label in result.labels)
    rows = []
    for label, counts in zip(result.labels, result.confusion, strict=True):
        cells = "".join(
            f"<td style='background: rgb(46 125 180 / {n / max(1, counts.sum()):.2f})'>{n or ''}" for n in counts
        )
        rows.append(f"<tr><th>{_text(label)}{cells}")
    return (
        f"<h2>Confusion: truth by row, answer by column</h2><table><thead><tr><th>{head}</thead>{''.join(rows)}</table>"
    )


def _table(title: str, head: tuple[str, ...], rows: list[tuple[Any, ...]], words: int = 1) -> str:
    """A section, or nothing where there are no rows; the first `words` columns are text."""
    if not rows:
        return ""
    kinds = ["text" if at < words else "number" for at in range(len(head))]
    top = "".join(f"<th class={kind}>{_text(cell)}" for kind, cell in zip(kinds, head, strict=True))
    lines = ("".join(f"<td class={kind}>{_text(cell)}" for kind, cell in zip(kinds, row, strict=True)) for row in rows)
    body = "".join(f"<tr>{line}" for line in lines)
    return f"<h2>{_text(title)}</h2><table><thead><tr>{top}</thead>{body}</table>"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _text(value: Any) -> str:
    return html.escape(str(value))
