"""One HTTP request as its bytes come in, under limits; knows no socket and no clock.

gunicorn's parser reads the head, so what it refuses (two lengths, length and chunks, folded lines, odd methods) is refused here.
"""

import re
from collections.abc import Generator, Iterator
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.http.parser import RequestParser

from server.errors import BadRequest, BodyTooLarge, HeadTooLarge, UnsupportedContent

# Request line and all header fields together.
MAX_HEAD = 32 << 10
# A chunk's size line with its extensions, and the trailer fields behind the last chunk.
MAX_LINE, MAX_TRAILERS = 256, 4 << 10

_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")


class Incoming:
    """Feed it bytes until it is `whole`; what came behind the request is then in `rest`."""

    def __init__(self, cfg: Any, peer: Any, max_body: int) -> None:
        self.head: Any = None  # gunicorn's Request, once it is whole
        self.body = bytearray()
        self.whole = False
        self._cfg, self._peer, self._max_body = cfg, peer, max_body
        self._buffer = bytearray()
        self._reading = self._read()

    def feed(self, data: bytes) -> None:
        """Raises BadRequest, HeadTooLarge, BodyTooLarge, UnsupportedContent; nothing more can be read then."""
        self._buffer += data
        self.whole = next(self._reading, True)

    @property
    def began(self) -> bool:
        return bool(self.head or self._buffer)

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return len(self._buffer) + len(self.body)

    @property
    def rest(self) -> bytes:
        return bytes(self._buffer)

    def _read(self) -> Iterator[bool]:
        """Stops when the request is whole; yields False whenever it needs more bytes."""
        yield from self._read_head()
        lengths = {name: value for name, value in self.head.headers if name in ("CONTENT-LENGTH", "TRANSFER-ENCODING")}
        if self._header("CONTENT-ENCODING").lower() not in ("", "identity"):
            raise UnsupportedContent("a compressed body is not read here; send it as it is, without Content-Encoding")
        if "TRANSFER-ENCODING" in lengths:
            yield from self._read_chunks()
            return
        length = int(lengths.get("CONTENT-LENGTH", "0"))
        self._check(length)
        while len(self._buffer) < length:
            yield False
        self.body, self._buffer = self._buffer[:length], self._buffer[length:]

    def _read_head(self) -> Iterator[bool]:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD:
                break
            if b"\n\n" in self._buffer or b"\n\r\n" in self._buffer.replace(b"\r\n\r\n", b""):
                raise BadRequest("lines must end with CR LF")
            yield False
        if not 0 <= end <= MAX_HEAD:
            raise HeadTooLarge(f"the header fields have more than {MAX_HEAD >> 10} KB; send fewer or shorter ones")
        head, self._buffer = bytes(self._buffer[: end + 4]), self._buffer[end + 4 :]
        try:
            self.head = next(RequestParser(self._cfg, iter([head]), self._peer))
        except (LimitRequestLine, LimitRequestHeaders):
            raise HeadTooLarge("the request line or a header field is too long; send shorter or fewer ones") from None
        except ParseException as error:
            raise BadRequest(f"this is no good HTTP ({type(error).__name__})") from None

    def _read_chunks(self) -> Iterator[bool]:
        """RFC 9112, 7.1; trailer fields are dropped."""
        while size := (yield from self._read_size()):
            self._check(len(self.body) + size)
            while len(self._buffer) < size + 2:
                yield False
            if self._buffer[size : size + 2] != b"\r\n":
                raise BadRequest("a chunk is longer than it says")
            self.body += self._buffer[:size]
            del self._buffer[: size + 2]
        while not self._buffer.startswith(b"\r\n"):
            end = self._buffer.find(b"\r\n\r\n")
            if end >= 0:
                del self._buffer[: end + 2]
            elif len(self._buffer) > MAX_TRAILERS:
                raise HeadTooLarge(
                    f"the trailer fields have more than {MAX_TRAILERS >> 10} KB; send fewer or shorter ones"
                )
            else:
                yield False
        del self._buffer[:2]

    def _read_size(self) -> Generator[bool, None, int]:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_LINE:
                raise BadRequest("a chunk's size line has no end")
            yield False
        size = bytes(self._buffer[:end]).partition(b";")[0].strip(b" \t")
        if end > MAX_LINE or not _SIZE.fullmatch(size):
            raise BadRequest("a chunk's size is no hexadecimal number")
        del self._buffer[: end + 2]
        return int(size, 16)

    def _check(self, length: int) -> None:
        if length > self._max_body:
            raise BodyTooLarge(
                f"the body is too large; at most {self._max_body >> 20} MB wanted, send fewer or smaller pictures"
            )

    def _header(self, name: str) -> str:
        return next((value for key, value in self.head.headers if key == name), "")
