"""One HTTP request as its bytes come in, under limits; knows no socket and no clock.

gunicorn's parser reads the head, so what it refuses (two lengths, length and chunks, folded lines, odd methods) is refused here.
However the bytes are cut on their way, the request is the same.
"""

import re
from collections.abc import Generator, Iterator
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, NoMoreData, ParseException
from gunicorn.http.parser import RequestParser

from server.errors import BadRequest, BodyTooLarge, HeadTooLarge, UnsupportedContent

# Request line and all header fields together.
MAX_HEAD = 32 << 10
# A chunk's size line with its extensions, and the trailer fields behind the last chunk.
MAX_LINE, MAX_TRAILERS = 256, 4 << 10
# A body in chunks of one byte would keep the loop busy for a minute.
MAX_CHUNKS = 64 << 10

_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(;[^\r\n]*)?")
_BARE = re.compile(rb"(?<!\r)\n")
# No path of ours has one, and a line end in a path is made to forge a log.
_CONTROL = re.compile(r"%(0[0-9a-f]|1[0-9a-f]|7f)", re.IGNORECASE)


class Incoming:
    """Feed it bytes until it is `whole`; what came behind the request is then in `rest`."""

    def __init__(self, cfg: Any, peer: Any, max_body: int) -> None:
        self.head: Any = None  # gunicorn's Request, once it is whole
        self.body = b""
        self.whole = False
        self._cfg, self._peer, self._max_body = cfg, peer, max_body
        self._buffer = bytearray()
        self._chunked = 0  # bytes of a body that comes in chunks
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
        return len(self._buffer) + len(self.body) + self._chunked

    @property
    def rest(self) -> bytes:
        return bytes(self._buffer)

    def take(self) -> bytes:
        """The body, which is then held no longer."""
        body, self.body = self.body, b""
        return body

    def drop(self) -> None:
        """Forgets what came, of a request that was refused."""
        self.body, self._buffer, self._chunked, self._reading = b"", bytearray(), 0, iter(())

    def _read(self) -> Iterator[bool]:
        """Stops when the request is whole; yields False whenever it needs more bytes."""
        yield from self._read_head()
        if {value.lower() for value in self._values("CONTENT-ENCODING")} - {"", "identity"}:
            raise UnsupportedContent("a compressed body is not read here; send it as it is, without Content-Encoding")
        codings = [value.lower() for value in self._values("TRANSFER-ENCODING")]
        if codings not in ([], ["chunked"]):
            raise BadRequest("the only transfer coding that is read here is chunked")
        if codings:
            yield from self._read_chunks()
            return
        length = int(next(self._values("CONTENT-LENGTH"), "0"))
        self._check(length)
        while len(self._buffer) < length:
            yield False
        with memoryview(self._buffer) as buffer:
            self.body = bytes(buffer[:length])
        del self._buffer[:length]

    def _read_head(self) -> Iterator[bool]:
        seen = 0
        while (end := self._buffer.find(b"\r\n\r\n", max(0, seen - 3))) < 0:
            if len(self._buffer) >= MAX_HEAD + 4:
                break
            if _BARE.search(self._buffer, max(0, seen - 1)):
                raise BadRequest("lines must end with CR LF")
            seen = len(self._buffer)
            yield False
        if not 0 <= end <= MAX_HEAD:
            raise HeadTooLarge(f"the header fields have more than {MAX_HEAD >> 10} KB; send fewer or shorter ones")
        head = bytes(self._buffer[: end + 4])
        del self._buffer[: end + 4]
        self.head = self._parse(head)

    def _parse(self, head: bytes) -> Any:
        try:
            parsed = next(RequestParser(self._cfg, iter([head]), self._peer), None)
        except (LimitRequestLine, LimitRequestHeaders):
            raise HeadTooLarge("the request line or a header field is too long; send shorter or fewer ones") from None
        except (ParseException, NoMoreData) as error:
            raise BadRequest(f"this is no good HTTP ({type(error).__name__})") from None
        if parsed is None:
            raise BadRequest("this is no good HTTP (nothing before the empty line)")
        if _CONTROL.search(parsed.path):
            raise BadRequest("the path has control characters")
        # A proxy on this machine could set SCRIPT_NAME through one of these, and its clients through the proxy.
        parsed.headers = [(name, value) for name, value in parsed.headers if "_" not in name]
        return parsed

    def _read_chunks(self) -> Iterator[bool]:
        """RFC 9112, 7.1; trailer fields are dropped."""
        body, count = bytearray(), 0
        while size := (yield from self._read_size()):
            count += 1
            if count > MAX_CHUNKS:
                raise BadRequest(f"the body comes in more than {MAX_CHUNKS} chunks; send larger ones")
            self._check(len(body) + size)
            while len(self._buffer) < size + 2:
                self._chunked = len(body)
                yield False
            if self._buffer[size : size + 2] != b"\r\n":
                raise BadRequest("a chunk is longer than it says")
            with memoryview(self._buffer) as buffer:
                body += buffer[:size]
            del self._buffer[: size + 2]
            self._chunked = len(body)
        yield from self._read_trailers()
        self.body, self._chunked = bytes(body), 0

    def _read_trailers(self) -> Iterator[bool]:
        while not self._buffer.startswith(b"\r\n"):
            end = self._buffer.find(b"\r\n\r\n")
            if end > MAX_TRAILERS or (end < 0 and len(self._buffer) >= MAX_TRAILERS + 4):
                raise HeadTooLarge(
                    f"the trailer fields have more than {MAX_TRAILERS >> 10} KB; send fewer or shorter ones"
                )
            if _BARE.search(self._buffer, 0, end if end >= 0 else len(self._buffer)):
                raise BadRequest("lines must end with CR LF")
            if end < 0:
                yield False
            else:
                del self._buffer[: end + 2]
        del self._buffer[:2]

    def _read_size(self) -> Generator[bool, None, int]:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > MAX_LINE + 1:
                raise BadRequest("a chunk's size line has no end")
            yield False
        found = _SIZE.fullmatch(bytes(self._buffer[:end]))
        if end > MAX_LINE or not found:
            raise BadRequest("a chunk's size is no hexadecimal number")
        del self._buffer[: end + 2]
        return int(found[1], 16)

    def _check(self, length: int) -> None:
        if length > self._max_body:
            raise BodyTooLarge(
                f"the body is too large; at most {self._max_body >> 20} MB wanted, send fewer or smaller pictures"
            )

    def _values(self, name: str) -> Iterator[str]:
        return (value for key, value in self.head.headers if key == name)
