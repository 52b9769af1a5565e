"""Conversions as the engine threads run them: one picture to one document, a job of its own; pieces are told while it runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bundle.errors import Expired
from bundle.xml.decode import Piece
from bundle.xml.model import Converted, Picture, XmlModel
from server.pool import Gone


@dataclass(frozen=True, kw_only=True)
class How:
    """What a request may say about it."""

    beam: int = 1
    fit: bool = True


@dataclass(frozen=True, kw_only=True)
class Conversion:
    picture: Picture
    how: How
    until: float  # of time.monotonic()
    gone: Gone | None
    say: Callable[[Piece], object] | None = None  # told each piece, in the engine's thread


@dataclass(frozen=True)
class Writer:
    """A model as the pool runs it."""

    model: XmlModel

    @property
    def device(self) -> str:
        """Conversions are run one by one, whatever the engine runs on."""
        return "cpu"

    def run(self, conversions: list[Conversion]) -> list[Converted]:
        return [self._one(conversion) for conversion in conversions]

    def _one(self, conversion: Conversion) -> Converted:
        """Raises Expired where the deadline cut it short: whoever waits for it is told so at the same moment."""
        found = self._told(conversion) if conversion.say else self._whole(conversion)
        if found.cut and time.monotonic() >= conversion.until:
            raise Expired("the document was not whole at its deadline; send it again later")
        return found

    def _whole(self, conversion: Conversion) -> Converted:
        how, gone = conversion.how, _gone(conversion)
        return self.model.convert(conversion.picture, beam=how.beam, fit=how.fit, until=conversion.until, gone=gone)

    def _told(self, conversion: Conversion) -> Converted:
        fit, gone = conversion.how.fit, _gone(conversion)
        for found in self.model.stream(conversion.picture, fit=fit, until=conversion.until, gone=gone):
            if isinstance(found, Converted):
                return found
            if conversion.say:
                conversion.say(found)
        raise AssertionError("a stream ends with its answer")


def _gone(conversion: Conversion) -> Callable[[], bool] | None:
    gone = conversion.gone
    return (lambda: gone.is_set) if gone else None
