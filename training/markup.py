"""What the reports' HTML is made of: one style, tables, numbers as people read them."""

import html
from typing import Any

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


def table(title: str, head: tuple[str, ...], rows: list[tuple[Any, ...]], words: int = 1) -> str:
    """A section, or nothing where there are no rows; the first `words` columns are text."""
    if not rows:
        return ""
    kinds = ["text" if at < words else "number" for at in range(len(head))]
    top = "".join(f"<th class={kind}>{text(cell)}" for kind, cell in zip(kinds, head, strict=True))
    lines = ("".join(f"<td class={kind}>{text(cell)}" for kind, cell in zip(kinds, row, strict=True)) for row in rows)
    body = "".join(f"<tr>{line}" for line in lines)
    return f"<h2>{text(title)}</h2><table><thead><tr>{top}</thead>{body}</table>"


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def text(value: Any) -> str:
    return html.escape(str(value))
