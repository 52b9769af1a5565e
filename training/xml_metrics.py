"""What a predicted document is worth against the true one, measured on the XML itself, so that no trick of a schema's tokens flatters it.

A document counts as its canonical form's events: the start of an element, each word of an attribute or text, the end of an element.
With p the predicted events and g the true ones:
token error = (places i < min(|p|, |g|) with p_i != g_i, + ||p| - |g||) / |g|, as pix2code counts;
edit error = Levenshtein(p, g) / |g|; exact: the canonical bytes are the same; BLEU-4 = BP exp(1/4 sum log precision_n), over all pictures;
tree = 1 - tree edit distance / nodes of the larger tree; IoU = area(p and g) / area(p or g) and SSIM of the filled paths at 256 pixels;
command ratio = commands of p / commands of g. Wherever a share is given for many pictures it is the mean over pictures.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lxml import etree

from bundle.errors import DocumentError, MissingExtra
from bundle.xml.codec import Codec
from training import drawn

SIDE = 256
# Under this a drawing is wrong; elsewhere whatever is not exact is.
LEAST_IOU = 0.9


@dataclass(frozen=True, kw_only=True)
class Score:
    """One picture's. The last three are None where nothing is drawn."""

    exact: bool
    valid: bool
    token_error: float
    edit_error: float
    tree: float
    iou: float | None
    ssim: float | None
    command_ratio: float | None

    @property
    def wrong(self) -> bool:
        return not self.exact if self.iou is None else self.iou < LEAST_IOU


def score(codec: Codec, said: bytes, true: bytes) -> Score:
    """Raises DocumentError where the true document breaks the schema, MissingExtra."""
    p, g = canonical(codec, said), codec.canonical(true)
    one, other = events(p), events(g)
    vector = codec.grammar.vector
    return Score(
        exact=p == g,
        valid=codec.valid(said),
        token_error=token_error(one, other),
        edit_error=edit_error(one, other),
        tree=1.0 if p == g else tree(p, g),
        iou=iou(p, g) if vector else None,
        ssim=ssim(drawn.filled(p, SIDE), drawn.filled(g, SIDE)) if vector else None,
        command_ratio=commands(p) / max(1, commands(g)) if vector else None,
    )


def canonical(codec: Codec, document: bytes) -> bytes:
    """What is not valid stays as it is."""
    try:
        return codec.canonical(document)
    except DocumentError:
        return document


def summary(scores: Sequence[Score], saids: Sequence[bytes], trues: Sequence[bytes]) -> dict[str, float]:
    """Over all pictures, canonical documents in the scores' order; `distinct` tells a model that says the same to every picture."""
    shares = ("exact", "valid", "token_error", "edit_error", "tree", "iou", "ssim", "command_ratio")
    found = {name: [getattr(one, name) for one in scores] for name in shares}
    means = {name: float(np.mean(values)) for name, values in found.items() if values and values[0] is not None}
    if "command_ratio" in means:
        means["command_ratio_worst"] = max(found["command_ratio"])
    means["bleu"] = bleu([events(said) for said in saids], [events(true) for true in trues])
    return {**means, "distinct": len(set(saids)) / len(saids), "distinct_true": len(set(trues)) / len(trues)}


# ---- events --------------------------------------------------------------------------------


def events(document: bytes) -> list[str]:
    """<tag, name=word for each word of an attribute, =word for each of the text, > for the end; () for no XML."""
    try:
        return list(_events(etree.fromstring(document)))
    except etree.XMLSyntaxError:
        return []


def _events(element: etree._Element) -> Iterator[str]:
    yield f"<{element.tag}"
    for name, value in element.attrib.items():
        yield from (f"{name}={word}" for word in str(value).split())
    yield from (f"={word}" for word in (element.text or "").split())
    for child in element:
        yield from _events(child)
    yield ">"


def token_error(said: Sequence[str], true: Sequence[str]) -> float:
    differ = sum(p != g for p, g in zip(said, true, strict=False))
    return (differ + abs(len(said) - len(true))) / len(true)


def edit_error(said: Sequence[str], true: Sequence[str]) -> float:
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError:
        raise _missing("rapidfuzz") from None
    return float(Levenshtein.distance(said, true)) / len(true)


def bleu(saids: Sequence[Sequence[str]], trues: Sequence[Sequence[str]]) -> float:
    """0 to 1, over all documents together."""
    try:
        import sacrebleu
    except ImportError:
        raise _missing("sacrebleu") from None
    hypotheses, references = ([" ".join(one) for one in many] for many in (saids, trues))
    found = sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True)
    return float(found.score) / 100


# ---- trees ---------------------------------------------------------------------------------


class Node:
    """As apted wants it."""

    def __init__(self, name: str, children: list["Node"]) -> None:
        self.name, self.children = name, children

    def __len__(self) -> int:
        return 1 + sum(map(len, self.children))


def tree(said: bytes, true: bytes) -> float:
    """0 to 1. A node for each element, each attribute and each text."""
    try:
        from apted import APTED
    except ImportError:
        raise _missing("apted") from None
    try:
        one, other = (_node(etree.fromstring(document)) for document in (said, true))
    except etree.XMLSyntaxError:
        return 0.0
    return max(0.0, 1 - APTED(one, other).compute_edit_distance() / max(len(one), len(other)))


def _node(element: etree._Element) -> Node:
    values = [Node(f"{name}={value}", []) for name, value in element.attrib.items()]
    if text := (element.text or "").strip():
        values.append(Node(f"={text}", []))
    return Node(f"<{element.tag}", values + [_node(child) for child in element])


# ---- drawings ------------------------------------------------------------------------------


def iou(said: bytes, true: bytes) -> float:
    """Of the areas that the paths enclose; two documents without an area agree."""
    one, other = (drawn.filled(document, SIDE) < 128 for document in (said, true))
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 1.0


def commands(document: bytes) -> int:
    """M, L, C and Z in all paths."""
    return sum(letter.isalpha() for d in drawn.commands(document) for letter in d)


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Of two uint8 (h, w): Wang et al. 2004, windows of 11 with a Gaussian of 1.5, K 0.01 and 0.03, mean over the windows that fit."""
    x, y = one.astype(float), other.astype(float)
    mean_x, mean_y = _smooth(x), _smooth(y)
    var_x, var_y = _smooth(x * x) - mean_x**2, _smooth(y * y) - mean_y**2
    both = _smooth(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    return float((above / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def _smooth(values: np.ndarray) -> np.ndarray:
    kernel = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    kernel /= kernel.sum()
    rows = np.lib.stride_tricks.sliding_window_view(values, 11, axis=0) @ kernel
    smooth: np.ndarray = np.lib.stride_tricks.sliding_window_view(rows, 11, axis=1) @ kernel
    return smooth


# ---- how sure ------------------------------------------------------------------------------


def interval(wrong: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; (0, 1) where nothing was counted."""
    if not count:
        return 0.0, 1.0
    z2 = 1.96**2
    share = wrong / count
    middle = share + z2 / (2 * count)
    reach = 1.96 * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    low, high = ((middle + sign * reach) / (1 + z2 / count) for sign in (-1, 1))
    return max(0.0, low) if wrong else 0.0, min(1.0, high)


def sureness(sure: Sequence[bool], wrong: Sequence[bool]) -> dict[str, Any]:
    """sure: share of the pictures; sure_wrong: share of the sure ones that are wrong, and the 95 % interval's upper end."""
    count = sum(sure)
    bad = sum(both for both in map(lambda a, b: a and b, sure, wrong))
    return {
        "sure": count / len(sure),
        "sure_wrong": bad / count if count else 0.0,
        "sure_wrong_at_most": interval(bad, count)[1],
    }


def _missing(library: str) -> MissingExtra:
    return MissingExtra(f"measuring needs {library}; install it with: pip install 'imago[train]'")
