"""What a run came to, for people (one HTML page, nothing loaded from elsewhere) and for programs (JSON)."""

import json
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from training import page, plots
from training.result import Judged, Result

# What the command line names, in this order, of what there is.
HEADLINE = {"accuracy": "accuracy", "map": "mAP", "micro_f1": "micro F1", "ece": "ECE"}


def beside(out: Path, result: Result) -> Path:
    """BUNDLE.report/, beside the bundle and never part of it; NAME.report/ where no bundle was written."""
    return out / f"{result.bundle.name if result.bundle else result.name}.report"


def write(result: Result, folder: Path) -> Path:
    """`folder` with index.html and report.json, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("report.json", as_json(result)), ("index.html", page.html(result))):
        temporary = folder / f".{name}"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, folder / name)
    return folder


def as_json(result: Result) -> str:
    return json.dumps(content(result), indent=2, ensure_ascii=False) + "\n"


def content(result: Result) -> dict[str, Any]:
    """All figures; also what `--json` prints. The first set's stand at the top, too."""
    sets = {one.name: _set(one) for one in result.judged}
    first = sets[result.validation.name]
    before = result.uncalibrated
    return _plain(
        {
            "bundle": result.bundle.name if result.bundle else None,
            "name": result.name,
            "refused": result.refused or None,
            "command": result.command,
            "labels": result.labels,
            "scores": result.scores,
            "thresholds": result.thresholds,
            "photos": result.photos,
            "metrics": first["metrics"],
            "classes": first["classes"],
            "confusion": first["confusion"],
            "sets": sets,
            "balance": result.balance,
            "alternatives": [asdict(one) for one in result.alternatives],
            "temperature": result.temperature,
            "unseen": result.unseen,
            "uncalibrated": before and {"ece": before.metrics["ece"], "calibration": before.calibration},
            "skipped": [{"file": file, "reason": reason} for file, reason in result.skipped],
            "notes": result.notes,
            "curve": result.curve,
            "seconds": result.seconds,
        }
    )


def summary(result: Result, folder: Path) -> str:
    """For the terminal: the figures that matter and what to do next."""
    lines = [
        f"\n{result.bundle or result.name}: {headline(one)} on {one.photos} {one.name} photos"
        for one in result.judged[:1]
    ]
    lines += [f"  {one.name:<8} {headline(one)} on {one.photos} photos" for one in result.judged[1:]]
    lines.append(f"  report   {folder / 'index.html'}")
    if result.bundle:
        name = shlex.quote(str(result.bundle))
        lines += [f"  predict  imago predict {name} PICTURES", f"  serve    imago serve --bundle {name}"]
    return "\n".join(lines)


def headline(judged: Judged) -> str:
    figures = judged.evaluation.metrics
    shown = {**HEADLINE, **{name: name.replace("_", " ") for name in figures if name.startswith("top_")}}
    return ", ".join(f"{words} {100 * figures[name]:.1f} %" for name, words in shown.items() if name in figures)


def _set(judged: Judged) -> dict[str, Any]:
    found = judged.evaluation
    return {
        "photos": judged.photos,
        "metrics": found.metrics,
        "interval": found.interval,
        "classes": found.classes,
        "confusion": found.confusion,
        "curves": [[[round(x, 4), round(y, 4)] for x, y in plots.thinned(curve)] for curve in found.curves],
        "calibration": found.calibration,
        "trained": judged.trained and asdict(judged.trained),
        "mistakes": [{name: x for name, x in vars(one).items() if name != "picture"} for one in judged.mistakes],
    }


def _plain(value: Any) -> Any:
    """As JSON has it: what is no number is null."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return _plain(asdict(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
