"""How well a bundle names garment pieces that Imago did not draw: FreeSewing's outlines, as a clean drawing and as a worn one.

IMAGO_DATA=... python -m bench.pieces BUNDLE [--json|--report]
"""

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from bundle import model
from bundle.errors import ImagoError
from training import pieces
from training.pieces import drawing

SIZE = 256

CLASSES = {
    "bodice-back": "aaron.back bella.back breanna.back carlton.back hugo.back simon.back teagan.back yuri.back",
    "bodice-front": "aaron.front bella.frontSideDart breanna.front carlton.front hugo.front simon.frontLeft "
    "simon.frontRight teagan.front yuri.front",
    "collar": "carlton.collar carlton.collarStand jaeger.collar jaeger.collarStand jaeger.underCollar simon.collar "
    "simon.collarStand",
    "cuff": "carlton.cuffFacing simon.cuff",
    "hood": "library.hoodSide",
    "pocket": "carlton.pocket carlton.pocketFlap carlton.pocketLining charlie.backPocketBag charlie.frontPocketBag "
    "jaeger.chestPocketBag jaeger.pocket jaeger.pocketLining paco.frontPocketBag waralee.pocket",
    "skirt": "sandy.skirt",
    "sleeve": "bella.sleeve breanna.sleeve carlton.topsleeve carlton.undersleeve hugo.sleeve jaeger.topsleeve "
    "jaeger.undersleeve library.sleeve library.topsleeve library.undersleeve sven.sleeve teagan.sleeve yuri.sleeve",
    "trousers": "charlie.back charlie.front paco.back paco.front titan.back titan.front",
    "yoke": "simon.yoke",
}
LEFT_OUT = {
    "carlton.belt": "a belt is no waistband",
    "carlton.innerPocketTab": "a tab",
    "charlie.backPocketFacing": "a facing",
    "charlie.backPocketWelt": "a welt: a plain strip",
    "charlie.flyExtension": "a fly",
    "charlie.flyFacing": "a facing",
    "charlie.frontPocketFacing": "a facing",
    "hugo.pocketFacing": "a facing",
    "jaeger.chestPocketWelt": "a welt: a plain strip",
    "jaeger.front": "only a dart of it is in the data",
    "jaeger.side": "a side panel is neither front nor back",
    "simon.sleevePlacketOverlap": "a placket",
    "simon.sleevePlacketUnderlap": "a placket: a plain strip",
    "waralee.cutout": "what is cut away, not a piece",
    "waralee.mini": "a model of wrap trousers on a small scale",
    "yuri.gusset": "a gusset",
}
LABEL = {part: label for label, parts in CLASSES.items() for part in parts.split()}


class Outline(NamedTuple):
    design: str
    part: str
    svg: str


class Answer(NamedTuple):
    outline: Outline
    label: str
    said: str

    @property
    def right(self) -> bool:
        return self.label == self.said


def load(path: Path, labels: set[str]) -> list[Outline]:
    """The outlines whose class is among the labels."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    unknown = {row["part"] for row in rows} - LABEL.keys() - LEFT_OUT.keys()
    if unknown:
        sys.exit(f"{path}: parts in neither table of bench/pieces.py: {', '.join(sorted(unknown))}; add them")
    return [Outline(row["design"], row["part"], svg(row["d"])) for row in rows if LABEL.get(row["part"]) in labels]


def svg(d: str) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg"><path class="cut" d="{d}"/></svg>'


def clean(outlines: list[Outline]) -> list[bytes]:
    return [pieces.png(drawing.clean(outline.svg, SIZE)) for outline in outlines]


def worn(outlines: list[Outline]) -> list[bytes]:
    drawn = [drawing.draw(outline.svg, np.random.default_rng([0, i]), SIZE) for i, outline in enumerate(outlines)]
    return [pieces.png(image) for image in drawn]


def score(answers: list[Answer]) -> dict[str, Any]:
    """Shares that are right; sizes of one part are near-duplicates, so `pairs` counts each part of a design once."""
    by_class = group(answers, lambda answer: answer.label)
    by_pair = group(answers, lambda answer: answer.outline.part)
    by_design = group(answers, lambda answer: answer.outline.design)
    return {
        "outlines": len(answers),
        "accuracy": share(answers),
        "class_mean": float(np.mean([share(rows) for rows in by_class.values()])),
        "pairs": float(np.mean([share(rows) for rows in by_pair.values()])),
        "classes": {label: detail(rows) for label, rows in by_class.items()},
        "parts": {part: detail(rows) for part, rows in by_pair.items()},
        "designs": {design: detail(rows) for design, rows in by_design.items()},
    }


def group(answers: list[Answer], key: Callable[[Answer], str]) -> dict[str, list[Answer]]:
    groups: dict[str, list[Answer]] = defaultdict(list)
    for answer in sorted(answers, key=key):
        groups[key(answer)].append(answer)
    return dict(groups)


def share(answers: list[Answer]) -> float:
    return sum(answer.right for answer in answers) / len(answers)


def detail(answers: list[Answer]) -> dict[str, Any]:
    wrong = Counter(answer.said for answer in answers if not answer.right)
    parts = group(answers, lambda answer: answer.outline.part).values()
    return {
        "n": len(answers),
        "accuracy": share(answers),
        "pairs": float(np.mean([share(rows) for rows in parts])),
        "wrong_as": dict(wrong.most_common()),
    }


def show(console: Console, name: str, result: dict[str, Any]) -> None:
    console.print(
        f"\n{name}: {result['accuracy']:.1%} of {result['outlines']} outlines, {result['class_mean']:.1%} mean over "
        f"classes, {result['pairs']:.1%} of (design, part) pairs"
    )
    for kind in ("classes", "parts", "designs"):
        table = Table(kind, "n", "right", "pairs", "wrong as")
        for key, row in result[kind].items():
            wrong = ", ".join(f"{label} {n}" for label, n in row["wrong_as"].items())
            if kind != "parts" or wrong:
                table.add_row(key, str(row["n"]), f"{row['accuracy']:.1%}", f"{row['pairs']:.1%}", wrong)
        console.print(table)


def measure(predict: Callable[[list[bytes]], list[str]], outlines: list[Outline]) -> dict[str, Any]:
    """Both conditions' scores."""
    results = {}
    for name, render in (("clean", clean), ("worn", worn)):
        said = predict(render(outlines))
        results[name] = score([Answer(o, LABEL[o.part], label) for o, label in zip(outlines, said, strict=True)])
    return results


@click.command(help=__doc__)
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--report", is_flag=True, help="Write outlines.html and outlines.json into BUNDLE.report, beside the bundle."
)
def main(bundle: Path, as_json: bool, report: bool) -> None:
    source = Path(os.environ.get("IMAGO_DATA", "")) / "freesewing" / "train.jsonl"
    if "IMAGO_DATA" not in os.environ or not source.is_file():
        sys.exit("set IMAGO_DATA to the folder that holds freesewing/train.jsonl")
    try:
        opened = model.open(bundle)
    except ImagoError as error:
        sys.exit(str(error))

    def predict(pictures: list[bytes]) -> list[str]:
        rows = [opened.run(opened.prepare(data)[None])[0] for data in pictures]
        return [opened.labels[int(row.argmax())] for row in rows]

    results = measure(predict, load(source, set(opened.labels)))
    if as_json:
        click.echo(json.dumps(results, indent=2))
        return
    console = Console(record=report, width=120 if report else None)
    for name, result in results.items():
        show(console, name, result)
    if report:
        folder = bundle.with_name(f"{bundle.name}.report")
        folder.mkdir(exist_ok=True)
        (folder / "outlines.json").write_text(json.dumps(results, indent=2) + "\n")
        console.save_html(str(folder / "outlines.html"))


if __name__ == "__main__":
    main()
