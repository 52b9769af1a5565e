"""What the network is shown: batches of pictures and tokens, made on demand, each of which hangs on the seed and its number alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bundle.xml import geometry
from bundle.xml.automaton import Walk
from bundle.xml.codec import Codec
from training import augment, bands, redraw
from training.bands import Cut
from training.data.cache import Cache
from training.data.pairs import Pair
from training.xml_run import XmlRun

# Of a document's tokens.
NO_BOUND = 1 << 20

# Doublings of the shortest lengths to which batches are filled up.
LARGEST = 10

# The cache holds pictures so many times as large as the input, so that they can be shifted and scaled before they get small.
TIMES = 2


class Batch(NamedTuple):
    pixels: np.ndarray  # uint8 (n, h, w, 3)
    before: np.ndarray  # int32 (n, t): the start token and the document's but the last
    after: np.ndarray  # int32 (n, t): the document's
    weight: np.ndarray  # float32 (n, t): 1 for the document's, 0 for what fills up


def batch(pixels: Sequence[np.ndarray], documents: Sequence[Sequence[int]]) -> Batch:
    longest = max(1, *map(len, documents))
    after = np.zeros((len(documents), longest), np.int32)
    weight = np.zeros((len(documents), longest), np.float32)
    for row, tokens in enumerate(documents):
        after[row, : len(tokens)], weight[row, : len(tokens)] = tokens, 1
    before = np.pad(after[:, :-1], ((0, 0), (1, 0)))
    return Batch(np.stack(pixels), before, after, weight)


def bucketed(made: Batch, most: int) -> Batch:
    """Filled up to one of few lengths, where `most` lets it: for each length JAX compiles a program of its own."""
    longest = made.after.shape[1]
    lengths = (length << at for at in range(LARGEST) for length in (8, 12))
    fill = max(longest, min(most, next((length for length in lengths if length >= longest), longest))) - longest
    before, after, weight = (np.pad(rows, ((0, 0), (0, fill))) for rows in made[1:])
    return Batch(made.pixels, before, after, weight)


@dataclass(frozen=True)
class Samples:
    """Training pairs, varied."""

    run: XmlRun
    codec: Codec
    pairs: tuple[Pair, ...]
    cuts: tuple[Cut, ...]  # empty: nothing is put together
    cache: Cache  # of pictures TIMES as large

    def make(self, step: int) -> Batch:
        rng = np.random.default_rng([self.run.seed, step])
        made = [self._sample(at, rng) for at in self._order(step)]
        return batch([pixels for pixels, _ in made], [tokens for _, tokens in made])

    def _order(self, step: int) -> list[int]:
        """Every pair once before one comes again."""
        size, count = self.run.batch_size, len(self.pairs)
        chosen = []
        for at in range(step * size, step * size + size):
            order = np.random.default_rng([self.run.seed, 1 << 32, at // count]).permutation(count)
            chosen.append(int(order[at % count]))
        return chosen

    def _sample(self, at: int, rng: np.random.Generator) -> tuple[np.ndarray, Sequence[int]]:
        pixels, tokens = self._page(at, rng)
        size = self.run.height, self.run.width
        if self.codec.grammar.vector:
            return augment.photometric(augment.smaller(pixels, size, rng), rng), tokens
        return augment.photometric(augment.fitted(pixels, size, rng), rng), tokens

    def _page(self, at: int, rng: np.random.Generator) -> tuple[np.ndarray, Sequence[int]]:
        if self.codec.grammar.vector:
            return self._moved(at, rng)
        plan = bands.draw(self.cuts, rng) if self.cuts and rng.random() < self.run.recompose else None
        if plan is None:
            return self._read(at), self.pairs[at].tokens
        return plan.picture(self._read), self.codec.tokens(plan.events())

    def _moved(self, at: int, rng: np.random.Generator) -> tuple[np.ndarray, Sequence[int]]:
        """A drawing made anew from its document, or its own picture turned and mirrored."""
        events = self.pairs[at].events
        if rng.random() < self.run.redraw:
            made = redraw.redrawn(self.codec, events, TIMES * self.run.height, rng)
            if made:
                return made[0], self.codec.tokens(made[1])
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        side = redraw.square(self.codec.write(events))
        # The picture is mirrored about its own middle, half a pixel from that of the whole numbers.
        matrix = geometry.matrix(side or 0, turns=turns, mirror=mirror)
        moved = geometry.moved(self.codec, events, matrix) if side else None
        if moved is None:
            return self._read(at), self.pairs[at].tokens
        pixels = self._read(at)
        return np.rot90(pixels[:, ::-1] if mirror else pixels, -turns), self.codec.tokens(moved)

    def _read(self, at: int) -> np.ndarray:
        return self.cache.read(self.pairs[at].photo)


def masks(codec: Codec, documents: Sequence[Sequence[int]]) -> np.ndarray:
    """bool (n, t, tokens): what the schema allows at each place of the documents; everything behind their ends."""
    longest = max(1, *map(len, documents))
    found = np.ones((len(documents), longest, len(codec.automaton.tokens)), bool)
    for row, tokens in enumerate(documents):
        walk = Walk(codec.automaton, NO_BOUND)
        for at, token in enumerate(tokens):
            found[row, at] = walk.mask()
            walk.push(token)
    return found
