"""Whether an exported classifier says what the bundle says: its labels, and the scores of pictures, within bounds that hang on its precision."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bundle import engine, golden
from bundle.engine import keras_any
from bundle.errors import BundleError
from bundle.manifest import ClassifierManifest
from converter.about import facts, in_pieces, refusing
from converter.artifact import Artifact, Quantize
from converter.subject import Subject


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What may be off. Scores lie between 0 and 1."""

    most: float  # the largest difference of a score
    mean: float  # of the differences
    answers: float | None  # share of the pictures whose answer is another; None: scores alone are judged


# fp32: only the order of sums differs, which a network in good order takes to 3e-6, and two labels may be as likely to the last digit.
# fp16 has 11 bits, int8 has 8.
BOUNDS: Mapping[Quantize | None, Bound] = {
    None: Bound(most=2e-5, mean=2e-6, answers=None),
    "fp16": Bound(most=0.05, mean=0.002, answers=0.005),
    "int8": Bound(most=0.75, mean=0.03, answers=0.03),
}
# Drawn pictures lie outside of what int8 was calibrated on.
_NOT_JUDGED = {"int8": ("drawn",)}
# fp32 again: a network that makes more of the order of sums has another bound, so many times what its own two engines differ by.
NOISE = 3
# Pictures at once.
BLOCK = 16
# One answer may tip over, however few the pictures are, where weights were rounded.
_ONE = 1


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one set of pictures."""

    pictures: int
    difference: float  # the largest
    mean: float
    differ: int  # pictures whose answer is another: the best label, or the set of those that are present


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What the bundle says of the pictures that all its exports are compared on."""

    subject: Subject
    pictures: Mapping[str, np.ndarray]  # by the name of the set, uint8 (n, h, w, 3)

    @cached_property
    def engine(self) -> engine.Engine:
        """Keras, and of a bundle without layers what it is served by."""
        manifest = self._manifest
        if manifest.source != "keras":
            return engine.load(self.subject.directory, manifest, "onnx")
        where = str(self.subject.directory / "model.keras")
        return keras_any.from_model(self.subject.network, manifest.preprocess, manifest.labels, where)

    @cached_property
    def scores(self) -> dict[str, np.ndarray]:
        """By the name of the set, float32 (n, k). Raises BundleError where the golden pictures have changed."""
        golden.replay(self.subject.directory, self._manifest, self.engine.run)
        return {name: rows(self.engine.run, some) for name, some in self.pictures.items()}

    def allowed(self, quantize: Quantize | None) -> Bound:
        return BOUNDS[quantize] if quantize else self.bound

    @cached_property
    def bound(self) -> Bound:
        """Of fp32 exports: how far Keras and the ONNX file that the bundle is served by are apart on the same pictures says what is rounding alone."""
        least = BOUNDS[None]
        if self._manifest.source != "keras":
            return least
        served = engine.load(self.subject.directory, self._manifest, "onnx")
        off = np.concatenate(
            [np.abs(rows(served.run, some) - self.scores[name]) for name, some in self.pictures.items()]
        )
        most = min(max(least.most, NOISE * float(off.max())), self._manifest.tolerance)
        return replace(least, most=most, mean=max(least.mean, NOISE * float(off.mean())))

    @property
    def _manifest(self) -> ClassifierManifest:
        assert isinstance(self.subject.manifest, ClassifierManifest)
        return self.subject.manifest

    def answers(self, scores: np.ndarray) -> np.ndarray:
        """(n, k) of bool: the best label, or those that are present."""
        if self._manifest.scores == "sigmoid":
            return np.asarray(scores >= np.asarray(self._manifest.thresholds))
        return np.asarray(scores.argmax(axis=1)[:, None] == np.arange(scores.shape[1]))


def rows(run: Callable[[np.ndarray], np.ndarray], some: np.ndarray) -> np.ndarray:
    """float32 (n, k), a block at a time."""
    return in_pieces(run, BLOCK)(some)


def check(truth: Truth, artifact: Artifact, quantize: Quantize | None) -> dict[str, Figures]:
    """By the name of the set. Raises BundleError where labels, scores or what the file says about itself are not the bundle's."""
    _labels(truth.subject.labels, artifact)
    _told(facts(truth.subject), artifact)
    found = {name: _figures(truth, name, artifact) for name in truth.pictures}
    judged = [figures for name, figures in found.items() if name not in _NOT_JUDGED.get(quantize or "", ())]
    _judge(judged, truth.allowed(quantize), artifact)
    return found


def _labels(wanted: Sequence[str], artifact: Artifact) -> None:
    if artifact.labels is None or artifact.labels == tuple(wanted):
        return
    if len(artifact.labels) != len(wanted):
        raise _wrong(artifact, f"holds {len(artifact.labels)} labels, the bundle {len(wanted)}")
    at = next(at for at, (one, two) in enumerate(zip(artifact.labels, wanted, strict=True)) if one != two)
    raise _wrong(artifact, f"label {at + 1} is {artifact.labels[at]!r}, {wanted[at]!r} in the bundle")


def _told(wanted: Mapping[str, str], artifact: Artifact) -> None:
    if artifact.told is None:
        return
    for key, value in wanted.items():
        if (found := artifact.told.get(key)) != value:
            raise _wrong(artifact, f"says {key} is {found!r}, {value!r} in the bundle")


def _figures(truth: Truth, name: str, artifact: Artifact) -> Figures:
    wanted = truth.scores[name]
    with refusing(artifact.path, "run"):
        found = rows(artifact.run, truth.pictures[name])
    if found.shape != wanted.shape:
        raise _wrong(artifact, f"gives scores of shape {found.shape[1:]}, {wanted.shape[1:]} wanted")
    # A score that is no number is as far off as can be.
    off = np.nan_to_num(np.abs(found - wanted), nan=1.0, posinf=1.0)
    other = (truth.answers(found) != truth.answers(wanted)).any(axis=1)
    return Figures(pictures=len(off), difference=float(off.max()), mean=float(off.mean()), differ=int(other.sum()))


def _judge(judged: Sequence[Figures], bound: Bound, artifact: Artifact) -> None:
    count = sum(figures.pictures for figures in judged)
    most = max(figures.difference for figures in judged)
    mean = sum(figures.mean * figures.pictures for figures in judged) / count
    differ = sum(figures.differ for figures in judged)
    if most > bound.most or mean > bound.mean:
        raise _wrong(
            artifact,
            f"scores differ from the bundle's by {most:.2g} at most and {mean:.2g} on average, at most {bound.most:.2g} and {bound.mean:.2g} wanted",
        )
    if bound.answers is not None and differ > (allowed := max(_ONE, int(bound.answers * count))):
        raise _wrong(artifact, f"{differ} of {count} pictures get another answer, at most {allowed} wanted")


def _wrong(artifact: Artifact, what: str) -> BundleError:
    return BundleError(f"{artifact.path.name}: {what}, says {artifact.runtime}; it is not what the bundle is")
