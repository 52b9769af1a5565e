"""The one path of a picture that becomes XML: the server, `imago predict`, evaluation and golden pictures all go through it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bundle import image, store
from bundle.engine import XmlEngine
from bundle.errors import BundleError, SchemaError
from bundle.manifest import XmlManifest
from bundle.xml import fit as geometry
from bundle.xml import schema
from bundle.xml.codec import Codec
from bundle.xml.decode import Answer, Decoder, Piece

SVG = "http://www.w3.org/2000/svg"
# Of the longer side of the picture that a drawing is fitted to, in pixels.
FINE = 1024


class Picture(NamedTuple):
    """A picture as the model wants it."""

    pixels: np.ndarray  # uint8 (h, w, 3)
    fine: np.ndarray | None = None  # uint8 (h, w, 3), as it was decoded and with more of its pixels; of drawings only


class Headers(NamedTuple):
    """A picture that is not decoded yet, as the model wants it and, of drawings, finer."""

    first: image.Header
    finer: image.Header | None

    @property
    def held(self) -> int:
        """Bytes that decoding takes; one is done before the other begins."""
        return max(self.first.held, self.finer.held if self.finer else 0)


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A document, valid whatever the picture was, and how much it is to be believed."""

    xml: bytes
    valid: bool  # says lxml, which knows nothing of the automaton that made it so
    sure: bool
    score: float  # mean probability of the tokens
    tokens: int
    iou: float | None  # of drawings: the area within their paths against that within the outlines in the picture
    cut: bool  # a bound of tokens or time ended it


@dataclass(frozen=True, kw_only=True)
class XmlModel:
    """A loaded bundle."""

    directory: Path
    manifest: XmlManifest
    codec: Codec
    engine: XmlEngine
    decoder: Decoder
    warnings: tuple[str, ...]  # of the golden check

    @property
    def svg(self) -> bool:
        return self.codec.grammar.namespace == SVG

    @property
    def suffix(self) -> str:
        """Of a file with such a document."""
        return ".svg" if self.svg else ".xml"

    def prepare(self, data: bytes) -> Picture:
        """From a picture's bytes. Raises PictureError."""
        return self.pixels(self.header(data))

    def header(self, data: bytes) -> Headers:
        """What a picture's bytes say before they are decoded. Raises PictureError."""
        spec = self.manifest.preprocess
        first = image.header(data, spec)
        if not self.codec.grammar.vector:
            return Headers(first, None)
        # Decoded again, since a JPEG may have been shrunk to what the pixels need.
        finer = spec.model_copy(update={"height": FINE // 2, "width": FINE // 2})
        return Headers(first, image.header(data, finer))

    def pixels(self, header: Headers) -> Picture:
        """Raises PictureError."""
        pixels = image.preprocess(image.load(header.first), self.manifest.preprocess)
        fine = image.whole(image.load(header.finer), FINE) if header.finer else None
        return Picture(pixels, fine)

    def run(self, batch: np.ndarray) -> list[list[int]]:
        """The tokens of each picture's document, uint8 (n, h, w, 3); as the golden pictures have them."""
        return [self.codec.tokens(self.decoder.decode(pixels).events) for pixels in batch]

    def convert(
        self,
        picture: Picture,
        *,
        beam: int = 1,
        fit: bool = True,
        until: float | None = None,
        gone: Callable[[], bool] | None = None,
    ) -> Converted:
        """After `until` (time.monotonic) it is finished the shortest way. Raises Expired when `gone` says that nobody waits."""
        answer = self.decoder.decode(picture.pixels, beam=beam, until=until, gone=gone)
        return self._converted(answer, picture, fit=fit)

    def stream(
        self,
        picture: Picture,
        *,
        fit: bool = True,
        until: float | None = None,
        gone: Callable[[], bool] | None = None,
    ) -> Iterator[Piece | Converted]:
        """The document's pieces as they are made, greedily; then the whole, whose coordinates may be better."""
        for piece in self.decoder.stream(picture.pixels, until=until, gone=gone):
            yield piece
            if piece.answer:
                yield self._converted(piece.answer, picture, fit=fit)

    def _converted(self, answer: Answer, picture: Picture, *, fit: bool) -> Converted:
        xml, iou, wanted = answer.xml, None, self.manifest.sure
        trusted = not answer.cut and answer.score >= wanted.score and answer.least >= wanted.least
        if self.codec.grammar.vector:
            xml, iou = self._measured(xml, picture, fit=fit, trusted=trusted)
        drawn = wanted.iou is None or (iou is not None and iou >= wanted.iou)
        return Converted(
            xml=xml,
            valid=self.codec.valid(xml),
            sure=trusted and drawn,
            score=answer.score,
            tokens=answer.tokens,
            iou=iou,
            cut=answer.cut,
        )

    def _measured(self, xml: bytes, picture: Picture, *, fit: bool, trusted: bool) -> tuple[bytes, float | None]:
        """A drawing, its coordinates fitted where that is wanted, and how well it covers what the picture shows."""
        seen, resize = picture.fine, self.manifest.preprocess.resize
        if seen is None:
            seen, resize = picture.pixels, "squash"  # what they were made from is not there
        if not fit:
            return xml, geometry.iou(xml, seen, resize=resize)
        found = geometry.fit(xml, seen, self.codec, resize=resize, structure="trusted" if trusted else "doubted")
        return found.xml, found.iou


def load(directory: Path, manifest: XmlManifest, engine: XmlEngine) -> tuple[Codec, Decoder]:
    """The schema's codec, and what decodes with this engine. Raises BundleError where schema and manifest do not fit."""
    path = directory / "schema.rng"
    try:
        codec = Codec(schema.parse(store.read_file(directory, "schema.rng"), str(path)))
    except SchemaError as error:
        raise BundleError(str(error)) from None
    if (found := len(codec.automaton.tokens)) != manifest.vocabulary:
        raise BundleError(
            f"{path}: {found} tokens, {manifest.vocabulary} wanted by manifest.json; write the bundle again"
        )
    return codec, Decoder(engine.encode, engine.step, codec, manifest.most_tokens)
