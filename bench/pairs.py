"""Folders of pairs for bench/xml.py: pages held out by program, outlines that FreeSewing drafted held out by size and by design."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from lxml import etree

from bundle.xml import codec as codecs
from bundle.xml.codec import Codec
from training import drawn, pieces

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = ROOT / "training" / "schemas" / "pattern.rng"
HELD_OUT = 125  # distinct pages
SMALL = 200
LOW, HIGH = 8, 247  # of the 256 units, where the longer side of an outline ends
SIDE, STROKE = 512, 3  # of its picture, pixels
# Of 19 designs and 16 sizes; which, their names' hashes decide.
UNSEEN = 3


class Outline(NamedTuple):
    name: str
    design: str
    size: str
    svg: bytes  # canonical


def pages(source: Path, folder: Path) -> tuple[Path, Path, Path]:
    """Links to the pages: all that train, the first 200 of them, and those held out, the first 125 distinct programs
    by the sha256 of their pictures. No program that is held out trains."""
    codec = codecs.load(next(source.glob("*.rng")))
    found = sorted(source.glob("*.png"), key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    programs = {path: codec.canonical(path.with_suffix(".xml").read_bytes()) for path in found}
    first: dict[bytes, Path] = {}
    for path in found:
        first.setdefault(programs[path], path)
    held = dict(list(first.items())[:HELD_OUT])
    train = [path for path in found if programs[path] not in held]
    sets = {"pages": train, "small": train[:SMALL], "held": list(held.values())}
    return tuple(_linked(folder / name, paths, source) for name, paths in sets.items())  # type: ignore[return-value]


def _linked(folder: Path, pictures: Sequence[Path], source: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in [*pictures, *(path.with_suffix(".xml") for path in pictures), *source.glob("*.rng")]:
        (folder / path.name).symlink_to(path.resolve())
    return folder


def patterns(source: Path, folder: Path, more: int) -> tuple[Path, Path, Path]:
    """Pairs that train (with `more` pieces that Imago draws itself), pairs of sizes and of designs that none of them has."""
    codec = codecs.load(PATTERNS)
    found = outlines(source, codec)
    designs, sizes = (_chosen({getattr(one, key) for one in found}) for key in ("design", "size"))
    train = [one for one in found if one.design not in designs and one.size not in sizes]
    by_size = [one for one in found if one.design not in designs and one.size in sizes]
    by_design = [one for one in found if one.design in designs]
    sets = {"patterns": [*train, *_own(codec, more)], "sizes": by_size, "designs": by_design}
    return tuple(_drawn(folder / name, chosen) for name, chosen in sets.items())  # type: ignore[return-value]


def outlines(source: Path, codec: Codec) -> list[Outline]:
    """Of train.jsonl, on the grid."""
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    return [
        Outline(f"{at:04}-{row['part']}-{row['size']}", row["design"], row["size"], fitted(row["d"], codec))
        for at, row in enumerate(rows)
    ]


def fitted(d: str, codec: Codec) -> bytes:
    """The canonical document of one path: its points' longer side from 8 to 247, the other in the middle, whole numbers."""
    points = np.array([float(word) for word in re.findall(r"-?[\d.]+", d)]).reshape(-1, 2)
    low, span = points.min(0), np.ptp(points, 0)
    scale = (HIGH - LOW) / span.max()
    start = LOW + (HIGH - LOW - span * scale) / 2
    numbers = iter(np.rint((points - low) * scale + start).astype(int).ravel().tolist())
    words = [word if word.isalpha() else str(next(numbers)) for word in d.split()]
    head = '<svg xmlns="http://www.w3.org/2000/svg" version="1.1" viewBox="0 0 256 256">'
    return codec.canonical(f'{head}<path class="cut" d="{" ".join(words)}"/></svg>'.encode())


def _own(codec: Codec, count: int) -> Iterable[Outline]:
    """The outlines alone of pieces that training/pieces draws, spread over its labels."""
    for at in range(count):
        label = pieces.LABELS[at % len(pieces.LABELS)]
        d = etree.fromstring(pieces.svg(label, pieces.generator(0, label, at)).encode())[0].get("d", "")
        if d.endswith("Z"):
            yield Outline(f"own-{at:05}", "own", "own", fitted(d, codec))


def _chosen(names: set[str]) -> set[str]:
    return set(sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:UNSEEN])


def _drawn(folder: Path, chosen: Iterable[Outline]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(PATTERNS, folder)
    for one in chosen:
        (folder / f"{one.name}.svg").write_bytes(one.svg)
        (folder / f"{one.name}.png").write_bytes(pieces.png(drawn.lines(one.svg, SIDE, STROKE)))
    return folder
