"""Where the figures go: printed, and added to bench/RESULTS.md with the day and the machine."""

import os
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "RESULTS.md"
Row = tuple[str, str, str]  # what, figure, goal


def publish(title: str, rows: Sequence[Row]) -> None:
    """A section with a table; a pipe in a figure would end its cell."""
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    head = f"## {date.today()}: {title} ({machine})"
    section = "\n".join([head, "", "| what | figure | goal |", "|---|---|---|", *lines])
    print(section)
    RESULTS.write_text(f"{RESULTS.read_text().rstrip()}\n\n{section}\n")
