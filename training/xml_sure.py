"""From where on an answer is sure: thresholds over validation pictures as they are and disturbed, and over pictures that are none of ours."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bundle.manifest import Sure
from bundle.xml import fit as geometry
from bundle.xml.decode import Decoder
from training import augment
from training.data.pairs import Pair
from training.xml_run import XmlRun

# Share of the sure answers that may be wrong.
WRONG = 0.01
# A drawing is right whose area within the lines is the picture's to this share, an IoU.
DRAWN = 0.9
# Every validation picture so many times, each time disturbed otherwise.
COPIES = 3
NEGATIVES = 160
# Values of each measure that are tried as thresholds.
GRID = 60


@dataclass(frozen=True)
class Judged:
    """An answer and whether it is right; nothing is right about a picture that is none of ours."""

    xml: bytes
    exact: bool
    right: bool
    score: float
    least: float
    iou: float | None  # of drawings, after the fit


def judge(decoder: Decoder, large: np.ndarray, small: np.ndarray, pair: Pair | None) -> Judged:
    """`small` is what the network takes, `large` the same picture with more pixels; uint8 (h, w, 3)."""
    answer = decoder.decode(small)
    exact = pair is not None and tuple(decoder.codec.tokens(answer.events)) == pair.tokens
    if not decoder.codec.grammar.vector:
        return Judged(answer.xml, exact, exact, answer.score, answer.least, None)
    fitted = geometry.fit(answer.xml, large, decoder.codec, resize="squash")  # it lies in its frame already
    drawn = pair is not None and (geometry.iou(fitted.xml, large, resize="squash") or 0) >= DRAWN
    return Judged(fitted.xml, exact, exact or drawn, answer.score, answer.least, fitted.iou or 0.0)


def others(run: XmlRun, decoder: Decoder, pictures: Sequence[tuple[np.ndarray, Pair]]) -> list[Judged]:
    """Answers to disturbed validation pictures, given as `large` ones, and to pictures that are none of ours."""
    rng = np.random.default_rng([run.seed, 1 << 33])
    size = run.height, run.width
    found = []
    for large, pair in pictures * COPIES:
        disturbed = augment.photometric(large, rng)
        found.append(judge(decoder, disturbed, augment.smaller(disturbed, size, rng), pair))
    for large in negatives([large for large, _ in pictures], rng):
        found.append(judge(decoder, large, augment.smaller(large, size, rng), None))
    return found


def negatives(pictures: Sequence[np.ndarray], rng: np.random.Generator) -> Iterator[np.ndarray]:
    """uint8 (h, w, 3): noise, soft colours like a photograph's, one colour, and validation pictures with their parts in disorder."""
    shape = pictures[0].shape
    for at in range(NEGATIVES):
        if at % 4 == 0:
            yield rng.integers(0, 256, shape, np.uint8)
        elif at % 4 == 1:
            yield augment.soft(shape, rng)
        elif at % 16 == 2:
            yield np.full(shape, rng.integers(0, 256, 3), np.uint8)
        else:
            yield _disordered(pictures[int(rng.integers(len(pictures)))], rng)


def _disordered(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A picture's 8 x 8 parts somewhere else."""
    height, width = (side // 8 for side in pixels.shape[:2])
    whole = pixels[: 8 * height, : 8 * width]
    parts = whole.reshape(8, height, 8, width, 3).swapaxes(1, 2).reshape(64, height, width, 3)
    mixed = parts[rng.permutation(64)].reshape(8, 8, height, width, 3).swapaxes(1, 2).reshape(whole.shape)
    out = pixels.copy()
    out[: 8 * height, : 8 * width] = mixed
    return out


# ---- thresholds ------------------------------------------------------------------------------


def calibrate(judged: Sequence[Judged], *, drawings: bool) -> Sure:
    """The thresholds that let most right answers be sure while at most WRONG of the sure ones are wrong. Where no threshold does
    that, none is sure: the score can reach 1 only by rounding."""
    right = np.array([one.right for one in judged])
    columns = [[one.score for one in judged], [one.least for one in judged]]
    if drawings:
        columns.append([one.iou or 0.0 for one in judged])
    values = np.array(columns)  # (measures, n)
    best, kept = (0, (1.0,) * len(values)), np.zeros(len(right), bool)
    for thresholds in _grid(values, right):
        sure = (values >= np.array(thresholds)[:, None]).all(axis=0)
        wrong = int((sure & ~right).sum())
        if sure.any() and wrong <= WRONG * sure.sum() and int((sure & right).sum()) > best[0]:
            best, kept = (int((sure & right).sum()), thresholds), sure
    wrong = int((kept & ~right).sum())
    thresholds = [*best[1], None][:3] if drawings else [*best[1], None]
    return Sure(
        score=thresholds[0],
        least=thresholds[1],
        iou=thresholds[2],
        wrong=wrong / max(1, int(kept.sum())),
        interval=wilson(wrong, int(kept.sum())),
        pictures=len(judged),
    )


def _grid(values: np.ndarray, right: np.ndarray) -> Iterator[tuple[float, ...]]:
    """From the strictest to the mildest, so that of two that are as good the stricter one stays."""
    spots = [np.unique(np.quantile(row[right], np.linspace(0, 1, GRID)))[::-1] if right.any() else [] for row in values]
    for score in spots[0]:
        for least in spots[1]:
            if len(values) == 2:
                yield float(score), float(least)
            else:
                yield from ((float(score), float(least), float(iou)) for iou in spots[2][:: GRID // 10])


def wilson(wrong: int, of: int) -> tuple[float, float]:
    """The interval of 95 % around a share (Wilson 1927)."""
    if not of:
        return 0.0, 1.0
    z, share = 1.96, wrong / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)
