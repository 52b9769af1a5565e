"""An exported model that makes XML against the bundle: the same documents, and the numbers behind every token."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from bundle import golden, store
from bundle.engine import XmlEngine, load_xml
from bundle.errors import BundleError
from bundle.manifest import ExpectedXml, XmlManifest, parse
from bundle.xml.codec import Codec
from bundle.xml.decode import Decoder
from bundle.xml.model import load as load_decoder
from converter.subject import Subject
from converter.xml_files import NETWORK, SCHEMA, Precision, XmlArtifact

# Of logits, each relative to its size or to 1. fp32: runtimes add in another order. fp16: of 43 sheets LiteRT came to 1.3e-2, Core ML to 1.5e-2.
TOLERANCE: dict[Precision, float] = {"fp32": 1e-4, "fp16": 2.5e-2}

# Share of the tokens after which another one is the likeliest. Documents are counted, too, but one token in 400 makes another document.
SHARE: dict[Precision, float] = {"fp32": 0.002, "fp16": 0.01}

# Logits of a document: pixels uint8 (h, w, 3), the tokens that went in -> float32 (t, tokens).
Truth = Callable[[np.ndarray, list[int]], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Figures:
    documents: int  # golden ones and those of the pictures
    differ: int  # of them, have other tokens than the bundle's
    tokens: int  # whose logits were compared
    others: int  # of them, have another likeliest one after them
    logits: float  # largest difference from the bundle's, relative to max(1, |logit|)


def bound(precision: Precision) -> dict[str, float]:
    """What may be off."""
    return {"logits": TOLERANCE[precision], "others": SHARE[precision]}


@dataclass(frozen=True)
class _Told:
    """What an engine was asked about one picture, and said."""

    pixels: np.ndarray  # uint8 (h, w, 3)
    tokens: list[int] = field(default_factory=list)
    logits: list[np.ndarray] = field(default_factory=list)


def check(subject: Subject, artifact: XmlArtifact, pictures: np.ndarray) -> Figures:
    """`pictures`: uint8 (n, h, w, 3), beside the golden ones; n may be 0. Raises BundleError for an artifact that is not the bundle."""
    manifest = _same(subject, artifact)
    told: list[_Told] = []
    engine, codec = _listening(artifact.engine, told), artifact.codec()
    run = _run(codec, Decoder(engine.encode, engine.step, codec, manifest.most_tokens))
    documents, differ = _golden(subject, artifact, run)
    if len(pictures):
        own = _run(*load_decoder(subject.directory, manifest, load_xml(subject.directory, manifest, "onnx")))
        documents += len(pictures)
        differ += sum(run(one[None]) != own(one[None]) for one in pictures)
    for pixels, tokens in _everything(manifest):
        _follow(engine, pixels, tokens)
    count, others, off = _compared(_truth(subject, manifest), told)
    _within(artifact, "logits differ from the bundle's by {:.3g}", off, TOLERANCE)
    _within(artifact, "the share of other tokens than the bundle's is {:.3g}", others / max(1, count), SHARE)
    return Figures(documents=documents, differ=differ, tokens=count, others=others, logits=off)


def _within(artifact: XmlArtifact, words: str, found: float, most: dict[Precision, float]) -> None:
    """Raises BundleError beyond the bound of the precision, and for what is no number."""
    wanted = most[artifact.network.precision]
    if not found <= wanted:
        raise BundleError(f"{artifact.path}: {words.format(found)}, at most {wanted:g} wanted")


def _same(subject: Subject, artifact: XmlArtifact) -> XmlManifest:
    """What stands beside the programs is the bundle's."""
    manifest, folder = subject.manifest, artifact.path.parent
    if manifest.kind != "xml":
        raise BundleError(f"{subject.directory}: a {manifest.kind}, not a model that makes XML")
    if artifact.schema != store.read_file(subject.directory, SCHEMA):
        raise BundleError(f"{folder / SCHEMA}: not the bundle's schema; export it again")
    for name in ("id", "name", "preprocess", "vocabulary", "most_tokens", "sure"):
        if getattr(artifact.network, name) != getattr(manifest, name):
            raise BundleError(f"{folder / NETWORK}: {name} is not what the bundle says; export it again")
    return manifest


def _golden(subject: Subject, artifact: XmlArtifact, run: golden.Run) -> tuple[int, int]:
    """How many golden pictures there are, and how many have other tokens now. Raises BundleError in fp32, where none may."""
    directory, name = subject.directory, "golden/expected.json"
    wanted = parse(ExpectedXml, store.read_file(directory, name), str(directory / name)).pictures
    found = golden.record_xml(
        {picture: store.read_file(directory, f"golden/{picture}") for picture in wanted}, subject.spec, run
    ).pictures
    differ = [picture for picture in wanted if found[picture].output != wanted[picture].output]
    if differ and artifact.network.precision == "fp32":
        raise BundleError(f"{artifact.path}: golden/{differ[0]} gives tokens that are not the recorded ones")
    return len(wanted), len(differ)


def _run(codec: Codec, decoder: Decoder) -> golden.Run:
    return lambda batch: [codec.tokens(decoder.decode(pixels).events) for pixels in batch]


def _listening(engine: XmlEngine, told: list[_Told]) -> XmlEngine:
    """Writes down in `told` what it says of one document at a time."""

    def encode(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        told.append(_Told(pixels[0]))
        return engine.encode(pixels)

    def step(token: np.ndarray, *held: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = engine.step(token, *held)
        told[-1].tokens.append(int(token[0]))
        told[-1].logits.append(found[0][0])
        return found

    return replace(engine, encode=encode, step=step)


def _everything(manifest: XmlManifest) -> Iterator[tuple[np.ndarray, list[int]]]:
    """Noise, with every token and every position: what golden documents do not say may be wrong too."""
    rng, spec, most = np.random.default_rng(0), manifest.preprocess, manifest.most_tokens
    tokens = rng.permutation(manifest.vocabulary)
    for start in range(0, len(tokens), most):
        piece = np.take(tokens[start : start + most], np.arange(most), mode="wrap").tolist()
        yield rng.integers(0, 256, (spec.height, spec.width, 3), np.uint8), piece


def _follow(engine: XmlEngine, pixels: np.ndarray, tokens: list[int]) -> np.ndarray:
    """The logits after each of the tokens, whatever the engine would have said: float32 (t, tokens)."""
    memory = engine.encode(pixels[None])
    layers, _, heads, _, size = memory[1].shape
    keys = values = np.zeros((layers, 1, heads, 0, size), np.float32)
    logits = []
    for token in tokens:
        row, keys, values = engine.step(np.array([token], np.int64), keys, values, *memory)
        logits.append(row[0])
    return np.stack(logits)


def _truth(subject: Subject, manifest: XmlManifest) -> Truth:
    """Keras; of a bundle that has no layers its own ONNX files."""
    if manifest.source == "onnx":
        engine = load_xml(subject.directory, manifest, "onnx")
        return lambda pixels, tokens: _follow(engine, pixels, tokens)
    network = subject.network
    return lambda pixels, tokens: np.asarray(network([pixels[None], np.array([tokens], np.int32)], training=False))[0]


def _compared(truth: Truth, told: list[_Told]) -> tuple[int, int, float]:
    """How many tokens, how many with another likeliest one after them, and the largest difference of a logit."""
    count, others, off = 0, 0, [0.0]
    for one in told:
        if one.tokens:
            found, wanted = np.stack(one.logits), truth(one.pixels, one.tokens)
            count += len(found)
            others += int((found.argmax(axis=1) != wanted.argmax(axis=1)).sum())
            off.append(float(np.max(np.abs(found - wanted) / np.maximum(1, np.abs(wanted)))))
    return count, others, float(np.max(off))  # NaN where one is
