"""Pairs of a picture and its document: which there are, which cannot be used and why, and who is kept for validation."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bundle.engine import cores
from bundle.errors import DataError, DocumentError
from bundle.store import sha256
from bundle.xml import codec as codecs
from bundle.xml.codec import Codec
from bundle.xml.grammar import Event
from bundle.xml.table import same_language
from training.data import alike
from training.data.cache import Cache
from training.data.items import Photo

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".heic", ".heif"}
DOCUMENTS = {".xml", ".svg"}
SCHEMAS = Path(__file__).parents[1] / "schemas"

# Of the pairs, where no validation folder is given. A page's worth of training matters more than a page's worth of judging.
VALIDATION_SHARE = 0.1

# With fewer training or validation pairs there is a note.
FEW, FEW_JUDGES = 50, 20

# Pictures that differ by less, on average over 16 x 16 fields of red, green and blue, are taken for the same.
SMALL, NEAR = 16, 0.5


@dataclass(frozen=True, kw_only=True)
class Pair:
    path: Path  # of the picture
    document: Path
    sha256: str  # of the picture
    events: tuple[Event, ...]  # of the canonical document
    tokens: tuple[int, ...]

    @property
    def photo(self) -> Photo:
        return Photo(path=self.path, labels=(0,), sha256=self.sha256)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    codec: Codec
    train: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    skipped: tuple[tuple[Path, str], ...]  # what was left out, and why
    notes: tuple[str, ...]


def schema(folder: Path, given: Path | None) -> Codec:
    """The one .rng of the folder, or the given one; a ready-made one that says the same, since it has notes. Raises DataError, SchemaError."""
    found = [given] if given else sorted(folder.glob("*.rng"))
    if len(found) != 1:
        count = "no schema" if not found else f"{len(found)} schemas"
        raise DataError(f"{folder}: {count}; wanted one .rng beside the pairs, or name one with --schema")
    codec = codecs.load(found[0])
    if b"urn:imago:xml" in codec.grammar.data:
        return codec
    for path in sorted(SCHEMAS.glob("*.rng")):
        ready = codecs.load(path)
        if same_language(ready.grammar, codec.grammar):
            return ready
    return codec


def scan(folder: Path, codec: Codec) -> tuple[list[Pair], list[tuple[Path, str]]]:
    """The folder's pairs in an order that hangs on the pictures' content alone, and what cannot be used with its reason."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; wanted one with NAME.png and NAME.xml")
    halves: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in PICTURES | DOCUMENTS and path.is_file() and not hidden:
            halves[path.with_suffix("")].append(path)
    with ThreadPoolExecutor(cores()) as pool:
        read = list(pool.map(lambda paths: _pair(paths, codec), halves.values()))
    pairs = [pair for pair in read if isinstance(pair, Pair)]
    return sorted(pairs, key=lambda pair: pair.sha256), [one for one in read if not isinstance(one, Pair)]


def _pair(paths: list[Path], codec: Codec) -> Pair | tuple[Path, str]:
    pictures = [path for path in paths if path.suffix.lower() in PICTURES]
    documents = [path for path in paths if path.suffix.lower() in DOCUMENTS]
    if len(pictures) != 1 or len(documents) != 1:
        counts = f"{len(pictures)} pictures and {len(documents)} documents of this name"
        return paths[0], f"{counts}, one of each wanted"
    try:
        events = codec.events(documents[0].read_bytes(), documents[0].name)
        tokens = codec.tokens(events)
        return Pair(
            path=pictures[0],
            document=documents[0],
            sha256=sha256(pictures[0]),
            events=tuple(events),
            tokens=tuple(tokens),
        )
    except DocumentError as error:
        return documents[0], str(error)
    except OSError as error:
        return paths[0], f"cannot be read: {error.strerror}"


# ---- who judges ------------------------------------------------------------------------------


def split(pairs: Iterable[Pair], small: dict[str, np.ndarray]) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Training and validation by the pictures' content. Pairs of one document, or of nearly one picture, stay together:
    `small` has each picture's fields by sha256. What joins a group later never moves a pair but those like it."""
    train, judges = [], []
    for group in _groups(list(pairs), small):
        first = min(pair.sha256 for pair in group)
        # Its last digits: by the first ones somebody may have set pairs aside already.
        (judges if int(first[-8:], 16) / 2**32 < VALIDATION_SHARE else train).extend(group)
    if not judges and len(train) > 1:
        last = max(train, key=lambda pair: pair.sha256)
        judges = [pair for group in _groups(train, small) if last in group for pair in group]
        train = [pair for pair in train if pair not in judges]
    return _sorted(train), _sorted(judges)


def _sorted(pairs: list[Pair]) -> tuple[Pair, ...]:
    return tuple(sorted(pairs, key=lambda pair: (pair.sha256, str(pair.path))))


def _groups(pairs: list[Pair], small: dict[str, np.ndarray]) -> list[list[Pair]]:
    """Pairs that share a document or look alike."""
    first: dict[tuple[int, ...], int] = {}
    same = [(at, first.setdefault(pair.tokens, at)) for at, pair in enumerate(pairs)]
    seen = np.array([small[pair.sha256] for pair in pairs])
    groups = alike.joined(len(pairs), [*same, *alike.near(seen, NEAR)])
    return [[pairs[at] for at in group] for group in groups]


# ---- a whole set -----------------------------------------------------------------------------


def load(
    found: list[Pair], judges: list[Pair], codec: Codec, cache: Cache, *, skipped: list[tuple[Path, str]]
) -> Pairs:
    """Of the pairs that were found in the data, and in a validation folder (none: some of the data judge); the pictures of those that
    `skipped` names are left out. Raises DataError where nobody is left."""
    bad = {path for path, _ in skipped}
    found, judges = ([pair for pair in pairs if pair.path not in bad] for pairs in (found, judges))
    if not found or (not judges and len(found) < 2):
        first = f"; the first: {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise DataError(f"{len(found)} usable pairs of a picture and a document; wanted at least two{first}")
    small = {pair.sha256: fields(cache.read(pair.photo)) for pair in found + judges}
    notes = []
    if judges:
        apart = _apart(found, judges, small)
        if len(apart) < len(found):
            notes.append(
                f"{len(found) - len(apart)} training pairs have the document or the picture of a validation pair, and are left out of training"
            )
        train, kept = tuple(apart), tuple(judges)
    else:
        train, kept = split(found, small)
    if not train or not kept:
        raise DataError("all pairs show the same; wanted pairs with different documents, to train and to judge")
    if len(train) < FEW:
        notes.append(f"only {len(train)} training pairs; a hundred or more are usual")
    if len(kept) < FEW_JUDGES:
        notes.append(f"only {len(kept)} validation pairs: the figures, and what counts as sure, hang on few pictures")
    return Pairs(codec=codec, train=train, validation=kept, skipped=tuple(skipped), notes=tuple(notes))


def fields(pixels: np.ndarray) -> np.ndarray:
    """uint8 (h, w, 3) -> float32 (16 * 16 * 3,): what can be told apart from afar."""
    rows, columns = (np.linspace(0, side, SMALL, endpoint=False).astype(int) for side in pixels.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(np.float32), rows, axis=0), columns, axis=1)
    areas = np.outer(np.diff([*rows, pixels.shape[0]]), np.diff([*columns, pixels.shape[1]]))
    return np.asarray(sums / areas[..., None], np.float32).ravel()


def _apart(found: list[Pair], judges: list[Pair], small: dict[str, np.ndarray]) -> list[Pair]:
    """Those that share neither document nor picture with a judge."""
    documents = {pair.tokens for pair in judges}
    pictures = np.array([small[pair.sha256] for pair in judges])
    return [
        pair
        for pair in found
        if pair.tokens not in documents and np.abs(pictures - small[pair.sha256]).mean(axis=1).min() >= NEAR
    ]


def digest(pairs: Pairs) -> str:
    """sha256 over schema, pictures and documents, whatever the files are called."""
    sets = (("train", pairs.train), ("validation", pairs.validation))
    lines = [f"{name} {pair.sha256} {pair.tokens}" for name, part in sets for pair in part]
    return hashlib.sha256(pairs.codec.grammar.data + "\n".join(lines).encode()).hexdigest()
