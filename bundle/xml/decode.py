"""A picture becomes a document: tokens one after another, each one of those that the schema allows there, so the document is valid.

What a network says is asked through `encode` and `step`; which engine answers is not known here.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bundle.errors import Expired
from bundle.xml.automaton import Walk
from bundle.xml.chunks import Chunks
from bundle.xml.codec import Codec
from bundle.xml.grammar import Event

MOST_BEAMS = 16

# uint8 (n, h, w, 3) -> keys (layers, n, heads, head_size, m), values (layers, n, heads, m, head_size)
Encode = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
# int64 (n,), the caches' keys and values (layers, n, heads, t, head_size), the picture's -> logits (n, tokens), both caches with t + 1
Step = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True, kw_only=True)
class Answer:
    xml: bytes  # canonical
    events: tuple[Event, ...]
    tokens: int
    score: float  # mean probability of the tokens among those that were allowed
    least: float  # the smallest of them
    cut: bool  # a bound of tokens or time ended it: valid, but not what the network would have said


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What a stream says after a token: the text to append, and with the last one the whole answer."""

    tokens: int
    text: str
    answer: Answer | None


@dataclass(frozen=True)
class Beam:
    """A document that grows."""

    walk: Walk
    token: int  # the last
    row: int  # of the caches
    chances: tuple[float, ...]
    total: float  # their logarithms, summed
    cut: bool

    @property
    def mean(self) -> float:
        return self.total / max(1, len(self.chances))


@dataclass(frozen=True)
class Limits:
    until: float | None
    gone: Callable[[], bool] | None

    def passed(self) -> bool:
        """Whether the time is over. Raises Expired where nobody waits any more."""
        if self.gone and self.gone():
            raise Expired("nobody waits for the answer any more")
        return self.until is not None and time.monotonic() >= self.until


class Decoder:
    """From any thread; keeps nothing between pictures."""

    def __init__(self, encode: Encode, step: Step, codec: Codec, most_tokens: int) -> None:
        self.encode, self.step, self.codec, self.most_tokens = encode, step, codec, most_tokens

    def decode(
        self,
        pixels: np.ndarray,
        *,
        beam: int = 1,
        until: float | None = None,
        gone: Callable[[], bool] | None = None,
    ) -> Answer:
        """Of uint8 (h, w, 3). After `until` (time.monotonic) it is finished the shortest way. Raises Expired when `gone` says so."""
        last = deque(self._search(pixels, min(beam, MOST_BEAMS), Limits(until, gone)), maxlen=1)
        return self._answer(last[0])

    def stream(
        self, pixels: np.ndarray, *, until: float | None = None, gone: Callable[[], bool] | None = None
    ) -> Iterator[Piece]:
        """A piece a token; their texts one after another are the answer's xml. Limits as in decode."""
        chunks = Chunks(self.codec)
        for beam in self._search(pixels, 1, Limits(until, gone)):
            if not beam.walk.done:
                yield Piece(tokens=len(beam.chances), text=chunks.grow(beam.walk.events), answer=None)
        answer = self._answer(beam)
        yield Piece(tokens=answer.tokens, text=chunks.finish(answer.xml), answer=answer)

    def _search(self, pixels: np.ndarray, width: int, limits: Limits) -> Iterator[Beam]:
        """The best document so far, after every token; the last one is done."""
        live = [Beam(Walk(self.codec.automaton, self.most_tokens), 0, 0, (), 0.0, False)]
        if live[0].walk.done:
            yield live[0]
            return
        memory = self.encode(pixels[None])
        caches = _empty(memory[1])
        done: list[Beam] = []
        while live and len(done) < width:
            if limits.passed():
                done.append(_finished(live[0]) if not done else done[0])
                break
            rows = [beam.row for beam in live]
            if rows != list(range(caches[0].shape[1])):
                caches = (caches[0][:, rows], caches[1][:, rows])
            logits, *caches_ = self.step(np.array([beam.token for beam in live], np.int64), *caches, *memory)
            caches = (caches_[0], caches_[1])
            grown = _grown(live, logits, width)
            done += [beam for beam in grown if beam.walk.done]
            live = [beam for beam in grown if not beam.walk.done]
            if live:
                yield live[0]
        yield max(done, key=lambda beam: beam.mean)

    def _answer(self, beam: Beam) -> Answer:
        chances = beam.chances or (1.0,)  # a schema of one document only
        return Answer(
            xml=self.codec.write(beam.walk.events),
            events=tuple(beam.walk.events),
            tokens=len(beam.chances),
            score=math.fsum(chances) / len(chances),
            least=min(chances),
            cut=beam.cut,
        )


def _empty(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Caches of no token, in the shape of the picture's values."""
    layers, _, heads, _, size = values.shape
    nothing = np.zeros((layers, 1, heads, 0, size), np.float32)
    return nothing, nothing


def _grown(live: list[Beam], logits: np.ndarray, width: int) -> list[Beam]:
    """The `width` likeliest ways to go on, best first. All have as many tokens, so their sums compare."""
    ways = []
    for row, beam in enumerate(live):
        for token, chance in _likeliest(logits[row], beam.walk.mask(), width):
            ways.append((beam.total + _log(chance), row, token, chance))
    ways.sort(key=lambda way: -way[0])
    return [_next(live[row], row, token, chance) for _, row, token, chance in ways[:width]]


def _next(beam: Beam, row: int, token: int, chance: float) -> Beam:
    allowed, whole = beam.walk.mask(), beam.walk.state.mask
    cut = beam.cut or (allowed is not whole and bool((allowed != whole).any()))
    walk = beam.walk.copy()
    walk.push(token)
    return Beam(walk, token, row, (*beam.chances, chance), beam.total + _log(chance), cut)


def _likeliest(row: np.ndarray, allowed: np.ndarray, count: int) -> list[tuple[int, float]]:
    """Tokens with their probabilities among the allowed ones. Where the network says no numbers: any, at probability 0."""
    tokens = np.flatnonzero(allowed)
    row = row[tokens]
    if not np.isfinite(row).all():
        return [(int(token), 0.0) for token in tokens[:count]]
    order = [int(row.argmax())] if count == 1 else np.argsort(-row, kind="stable")[:count].tolist()
    weights = np.exp(row - row[order[0]])
    total = float(weights.sum())
    return [(int(tokens[at]), float(weights[at]) / total) for at in order]


def _log(chance: float) -> float:
    return math.log(max(chance, 1e-30))


def _finished(beam: Beam) -> Beam:
    """To the nearest end."""
    walk, chances = beam.walk.copy(), beam.chances
    while not walk.done:
        walk.left = int(walk.state.need)
        walk.push(int(np.argmax(walk.mask())))
        chances = (*chances, 0.0)
    return Beam(walk, 0, 0, chances, beam.total, True)
