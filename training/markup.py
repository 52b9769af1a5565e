"""What the reports' HTML is made of: one style for screens and paper, sections, tables, numbers as people read them."""

import html
import re
from collections.abc import Sequence
from math import isnan
from typing import Any

_LIGHT = (
    "--text: #1d2327; --soft: #5b666e; --line: #dfe3e6; --back: #fff; --quiet: #f2f4f5; "
    "--one: #2e7db4; --two: #b4560f; --bad: #c2403a"
)
_DARK = (
    "--text: #e6eaed; --soft: #9aa6ae; --line: #333b41; --back: #15191c; --quiet: #23292d; "
    "--one: #5aa9dd; --two: #e8975a; --bad: #ea7b73"
)
STYLE = (
    f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
@media print {{ :root {{ color-scheme: light; {_LIGHT} }} * {{ print-color-adjust: exact; -webkit-print-color-adjust: exact }} }}
"""
    + """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: var(--text); background: var(--back) }
h1 { font-weight: 600; overflow-wrap: anywhere; margin-bottom: .5rem } h2 { margin: 0 0 .75rem; font-weight: 600; font-size: 1.15rem }
section { margin-top: 2.75rem; scroll-margin-top: 1rem } p { max-width: 46rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } .wide { overflow-x: auto }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; font-weight: 400; vertical-align: top; white-space: nowrap }
th:first-child, td.text, th.text { text-align: left; padding-left: 0 } td.text { white-space: normal; overflow-wrap: anywhere; min-width: 7rem }
td.text + td.text, th.text + th.text { padding-left: .7rem } thead th { color: var(--soft); vertical-align: bottom }
.big { font-size: 2.6rem; font-weight: 600; margin: 0; line-height: 1.2 }
code { background: var(--quiet); padding: .1rem .3rem; overflow-wrap: anywhere }
@media print { body { margin: 0; max-width: none; font-size: 11px } section { margin-top: 1.5rem } figure, tr { break-inside: avoid } h2 { break-after: avoid } nav { display: none } }
"""
)


def section(title: str, inside: str) -> str:
    """A part of the page, with an id that comes from its title; nothing where there is nothing inside."""
    return f"<section id='{slug(title)}'><h2>{text(title)}</h2>{inside}</section>" if inside else ""


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]], words: int = 1) -> str:
    """A section, or nothing where there are no rows; the first `words` columns are text."""
    return section(title, cells(head, rows, words))


def cells(head: Sequence[str], rows: Sequence[Sequence[Any]], words: int = 1) -> str:
    """The table itself, which scrolls by itself where the window is narrow."""
    if not rows:
        return ""
    kinds = ["text" if at < words else "number" for at in range(len(head))]
    top = "".join(f"<th class={kind}>{text(cell)}" for kind, cell in zip(kinds, head, strict=True))
    lines = ("".join(f"<td class={kind}>{text(cell)}" for kind, cell in zip(kinds, row, strict=True)) for row in rows)
    body = "".join(f"<tr>{line}" for line in lines)
    return f"<div class=wide><table><thead><tr>{top}</thead>{body}</table></div>"


def slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def percent(share: float | None) -> str:
    """NaN is a figure that does not exist, such as the recall of a class without photos."""
    return "–" if share is None or isnan(share) else f"{100 * share:.1f} %"


def text(value: Any) -> str:
    return html.escape(str(value))
