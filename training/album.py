"""The report's photos: mistakes with their pictures, each in the page itself."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from training.markup import cells, percent, section, text
from training.result import Judged, Mistake

JPEG_QUALITY = 82


def mistakes(judged: Judged) -> str:
    """The surest with their pictures, the rest as a table."""
    if not judged.mistakes:
        return section(f"Mistakes, {judged.name}", "<p>None.</p>")
    shown = [one for one in judged.mistakes if one.picture is not None]
    rest = [one for one in judged.mistakes if one.picture is None]
    drawn = "".join(map(_mistake, shown))
    rows = [
        (one.file, ", ".join(one.truth), ", ".join(one.answer), one.label, percent(one.probability)) for one in rest
    ]
    more = cells(("file", "is", "answered", "wrong is", "with"), rows, words=4)
    return section(
        f"Mistakes, {judged.name}",
        f"<p class=sub>{len(judged.mistakes)} of {judged.photos} photos, the surest mistakes first, as the model sees them.</p>"
        f"<div class=sheet>{drawn}</div>" + (more and f"<details><summary>{len(rest)} more</summary>{more}</details>"),
    )


def _mistake(one: Mistake) -> str:
    """Truth, answer with its probability, file; of several labels the one that is furthest off."""
    missed = one.label in one.truth
    if len(one.truth) == 1 and len(one.answer) == 1 and not missed:
        words = (
            f"<b>{text(one.truth[0])}</b><br><span class=not>{text(one.answer[0])}</span> {percent(one.probability)}"
        )
    else:
        words = (
            f"<b>{text(', '.join(one.truth) or 'nothing')}</b><br>answered {text(', '.join(one.answer) or 'nothing')}"
            f"<br><span class=not>{'missed' if missed else 'wrong'}: {text(one.label)}</span> {percent(one.probability)}"
        )
    words += f"<br>{text(Path(one.file).name)}"
    return f"<figure>{picture(one.picture, f'a photo of {one.truth}')}<figcaption>{words}</figcaption></figure>"


def picture(pixels: np.ndarray | None, alt: str, kind: str = "photo") -> str:
    """uint8 (h, w, 3) as an <img> that holds its own bytes."""
    if pixels is None:
        return ""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=JPEG_QUALITY)
    data = base64.b64encode(out.getvalue()).decode()
    return f"<img class={kind} width={pixels.shape[1]} height={pixels.shape[0]} alt='{text(alt)}' src='data:image/jpeg;base64,{data}'>"
