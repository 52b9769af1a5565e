"""Frozen features: what a backbone sees in each photo, through the engine that will serve it, computed once."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from bundle import canonical, store
from bundle.engine import Engine, cores, has_gpu, keras_any, onnx_cpu
from bundle.errors import DataError
from bundle.image import Preprocess
from training import backbones
from training.data import cache as caches
from training.data.cache import Cache
from training.data.photos import Photo
from training.data.rows import Rows
from training.progress import Progress
from training.run import Run

# Pictures that a GPU gets at once.
BATCH = 64
# Pictures that a thread takes at once: few, so that no core is left waiting at the end; more than one, so that handing
# them over costs nothing beside the smallest network.
SHARE = 4

Item = TypeVar("Item")
Found = TypeVar("Found")


class Policy(Protocol):
    """An augmentation; training/distort.py has them."""

    @property
    def key(self) -> str: ...
    @property
    def fitted(self) -> Preprocess: ...  # of the larger picture that copies are cut from
    def apply(self, pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray: ...


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """A backbone with its weights, exported."""

    run: Run
    digest: str  # of the weights
    width: int  # of a row
    exported: bytes = field(repr=False)  # ONNX: uint8 pixels -> features
    output: str = "features"  # of `exported`; or scores, of a whole network
    as_exported: bool = False  # ONNX Runtime runs it, whatever else could
    kept: Path | None = None  # where `exported` was found

    @cached_property
    def model(self) -> Any:
        """The Keras model, built when it is first asked for. Raises DataError where its weights are others by now."""
        model = backbones.features(self.run)
        if backbones.weights_digest(model) != self.digest:
            if self.kept:
                self.kept.unlink(missing_ok=True)
            raise DataError(f"--weights {self.run.weights}: other weights than when they were exported; run it again")
        return model

    @cached_property
    def engine(self) -> Engine:
        """Keras on a GPU; else ONNX Runtime, where a photo's features depend on nothing but the photo."""
        spec = self.run.preprocess
        if self._by_keras:
            return keras_any.from_model(self.model, spec, self.width, self.run.backbone)
        return onnx_cpu.load(self.exported, spec, self.width, output=self.output)

    @property
    def _by_keras(self) -> bool:
        return not self.as_exported and has_gpu()

    @cached_property
    def key(self) -> str:
        """The same where the same pixels give the same features, to the bit."""
        engine = "keras" if self._by_keras else "onnxruntime"
        return digest_of(
            [self.digest, hashlib.sha256(self.exported).hexdigest(), engine, version(engine), version("pillow")]
        )


def backbone(run: Run) -> Extractor:
    """Built and exported by Keras, or as it was exported before, without Keras. Raises DataError."""
    path = _export_path(run)
    if path and (found := _exported(run, path)):
        return found
    model = backbones.features(run)
    made = Extractor(
        run=run,
        digest=backbones.weights_digest(model),
        width=model.output_shape[1],
        exported=canonical.onnx_from_keras(model, "features"),
    )
    made.__dict__["model"] = model  # built already
    if path:
        caches.keep_sealed(
            path, json.dumps({"weights": made.digest, "width": made.width}).encode() + b"\n" + made.exported
        )
    return made


def bank(
    sees: Extractor, photos: Sequence[Photo], *, policy: Policy | None = None, copies: int = 0, progress: Progress
) -> np.ndarray:
    """float32 ((1 + copies) * n, d): a row for each photo in order, then one for each one's first copy, and so on.

    What was ever seen is read, the rest is computed and kept. Raises PictureError, OSError for a photo that cannot be read.
    """
    parts = _parts(sees, photos, policy, copies)
    found = np.empty((sum(len(part.views) for part in parts), sees.width), np.float32)
    start = 0
    for part in parts:
        _fill(sees, part, found[start : start + len(part.views)], progress)
        start += len(part.views)
    return found


def exported(run: Run, onnx: bytes, width: int, output: str) -> Extractor:
    """A network as it was exported and will be served; `output` is features or scores, (n, width)."""
    digest = hashlib.sha256(onnx).hexdigest()
    return Extractor(run=run, digest=digest, width=width, exported=onnx, output=output, as_exported=True)


def missing(sees: Extractor, photos: Sequence[Photo], *, policy: Policy | None = None, copies: int = 0) -> list[Photo]:
    """The photos that `bank` would have to look at."""
    lacking = {
        part.views[at][0].sha256 for part in _parts(sees, photos, policy, copies) for at in part.kept.lacks(part.keys)
    }
    return [photo for photo in photos if photo.sha256 in lacking]


def rng(seed: int, photo: Photo, copy: int) -> np.random.Generator:
    """The chance of one copy, the same in whatever order and company it is made."""
    return np.random.default_rng(int(digest_of([seed, photo.sha256, copy]), 16))


View = tuple[Photo, int]  # a photo as it is (0), or its so-and-so-many-th augmented copy


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Views that are kept in one file."""

    kept: Rows
    views: list[View]
    pixels: Callable[[View], np.ndarray]

    @cached_property
    def keys(self) -> list[bytes]:
        return [bytes.fromhex(photo.sha256) + copy.to_bytes(4, "little") for photo, copy in self.views]


def _parts(sees: Extractor, photos: Sequence[Photo], policy: Policy | None, copies: int) -> list[_Part]:
    run = sees.run
    middle = Cache(directory=run.cache, spec=run.preprocess)
    plain = _Part(
        kept=_kept(sees, []), views=[(photo, 0) for photo in photos], pixels=lambda view: middle.read(view[0])
    )
    if policy is None or copies == 0:
        return [plain]
    larger = Cache(directory=run.cache, spec=policy.fitted)

    def cut(view: View) -> np.ndarray:
        return policy.apply(larger.read(view[0]), rng(run.seed, *view))

    views = [(photo, copy) for copy in range(1, copies + 1) for photo in photos]
    return [plain, _Part(kept=_kept(sees, [policy.key, policy.fitted.model_dump(), run.seed]), views=views, pixels=cut)]


def _kept(sees: Extractor, changes: list[Any]) -> Rows:
    name = digest_of([sees.key, sees.run.preprocess.model_dump(), changes])[:32]
    return Rows(path=sees.run.cache / "features" / f"{name}.rows", width=sees.width)


def _fill(sees: Extractor, part: _Part, found: np.ndarray, progress: Progress) -> None:
    """Reads what is kept into `found`, then computes what is not, each view once, however often it is there."""
    places: dict[bytes, list[int]] = {}
    for at in part.kept.read(part.keys, found):
        places.setdefault(part.keys[at], []).append(at)
    views = [part.views[where[0]] for where in places.values()]
    if not views:
        return
    stage = "features" if sees.output == "features" else "judging"
    seen = progress.track(stage, _seen(sees.engine, part.pixels, views), len(views))
    with part.kept.appending() as keep:
        for (key, where), row in zip(places.items(), seen, strict=True):
            found[where] = row
            keep(key, row)


def _seen(runs: Engine, pixels: Callable[[Item], np.ndarray], items: Sequence[Item]) -> Iterator[np.ndarray]:
    """On a CPU every picture by itself, as many at once as there are cores; pictures are read while others are seen."""
    if runs.device == "gpu":
        stacks = _ahead(lambda some: np.stack([pixels(item) for item in some]), items, BATCH)
        return (row for stack in stacks for row in runs.run(stack))
    found = _ahead(lambda some: [runs.run(pixels(item)[None])[0] for item in some], items, SHARE)
    return (row for some in found for row in some)


def _ahead(work: Callable[[Sequence[Item]], Found], items: Sequence[Item], share: int) -> Iterator[Found]:
    """work(share of the items) in order, on all cores, two shares a core under way: memory stays bounded, no core waits."""
    under_way: deque[Future[Found]] = deque()
    pool = ThreadPoolExecutor(cores())
    try:
        for start in range(0, len(items), share):
            under_way.append(pool.submit(work, items[start : start + share]))
            if len(under_way) > 2 * cores():
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


# ---- the exported backbone ---------------------------------------------------------------------


def _export_path(run: Run) -> Path | None:
    """Where the export of these weights by these libraries is kept; None: the weights are random, or not there."""
    file = Path(run.weights)
    if run.weights == "none" or run.weights != "imagenet" and not file.is_file():
        return None
    source = run.weights if run.weights == "imagenet" else store.sha256(file)
    libraries = [version(name) for name in ("imago", "keras", "onnx", "tf2onnx")]
    return run.cache / "exports" / f"{digest_of([source, run.backbone, run.alpha, run.size, libraries])[:32]}.onnx"


def _exported(run: Run, path: Path) -> Extractor | None:
    """What was kept, if it is there and whole."""
    content = caches.read_sealed(path)
    if content is None:
        return None
    head, _, exported = content.partition(b"\n")
    said = json.loads(head)
    return Extractor(run=run, digest=said["weights"], width=said["width"], exported=exported, kept=path)


def digest_of(content: list[Any]) -> str:
    """sha256 of what JSON can say, as hexadecimal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
