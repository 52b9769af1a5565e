"""A picture from another server by its URL: listed hosts only, connected to the very address that was checked, in bounded time and size."""

import functools
import http.client
import io
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from server import allow
from server.allow import Entry, Target
from server.errors import FetchFailed, FetchTooSlow, UrlNotAllowed

DEADLINE_S = 5.0
REDIRECTS = 3
MAX_ADDRESSES = 4
# Status line and header fields, beside the body.
MAX_HEAD = 64 << 10
TYPES = ("image/", "application/octet-stream", "binary/octet-stream")

Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """What may be fetched; `resolve` gives the addresses of a name."""

    listed: tuple[Entry, ...]
    max_bytes: int
    resolve: Resolve
    deadline_s: float = DEADLINE_S

    def get(self, url: str) -> bytes:
        """Raises BadRequest, UrlNotAllowed, FetchFailed, FetchTooSlow."""
        clock = Clock(time.monotonic() + self.deadline_s)
        target = allow.url(url)
        try:
            for _ in range(REDIRECTS + 1):
                found = self._ask(target, clock)
                if isinstance(found, bytes):
                    return found
                target = found
        except TimeoutError:
            raise FetchTooSlow(f"{target.host} did not give the picture within {self.deadline_s:g} s") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise FetchFailed(f"{target.host} gave no picture ({type(error).__name__})") from None
        raise FetchFailed(f"{target.host} redirects more than {REDIRECTS} times")

    def _ask(self, target: Target, clock: "Clock") -> bytes | Target:
        """The picture, or where it is said to be instead."""
        with _connect(target, self._addresses(target, clock), clock) as sock:
            line = _Line(sock, clock, self.max_bytes + MAX_HEAD)
            answer = _exchange(line, target)
            if answer.status in (301, 302, 303, 307, 308):
                return allow.url(urljoin(_text(target), answer.getheader("Location", "")))
            _check(answer, target)
            return _body(answer, self.max_bytes)

    def _addresses(self, target: Target, clock: "Clock") -> list[str]:
        """All of the host's, each of them checked: what is connected to is one of these and nothing looked up later."""
        entry = next((entry for entry in self.listed if entry.place == target.place), None)
        if not entry:
            raise UrlNotAllowed(f"{target.scheme}://{target.host}:{target.port} is not on this server's list of hosts")
        found = [target.host] if allow.literal(target.host) else _in_time(self.resolve, target, clock)
        if not found:
            raise FetchFailed(f"{target.host} has no address")
        if not all(allow.reachable(address, entry) for address in found):
            raise UrlNotAllowed(f"{target.host} leads to an address that is not public")
        return found[:MAX_ADDRESSES]


def addresses(host: str, port: int) -> list[str]:
    """As the system resolves them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in found))


@dataclass(frozen=True)
class Clock:
    until: float  # of time.monotonic()

    def left(self) -> float:
        """Seconds. Raises TimeoutError when there are none."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Reader(io.RawIOBase):
    """Every wait ends at the deadline, and no more than `limit` bytes come through."""

    def __init__(self, sock: socket.socket, clock: Clock, limit: int) -> None:
        self._sock, self._clock, self._left = sock, clock, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._clock.left())
        count = self._sock.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise FetchFailed("the picture is larger than a request may be; send a smaller one")
        return count


@dataclass(frozen=True)
class _Line:
    """What http.client needs of a socket; its owner closes it."""

    sock: socket.socket
    clock: Clock
    limit: int

    def sendall(self, data: bytes) -> None:
        self.sock.settimeout(self.clock.left())
        self.sock.sendall(data)

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self.sock, self.clock, self.limit))

    def close(self) -> None:
        pass


def _connect(target: Target, found: list[str], clock: Clock) -> socket.socket:
    """The first address that answers; the certificate must be that of the name."""
    for at, address in enumerate(found, start=1):
        try:
            sock = socket.create_connection((address, target.port), timeout=clock.left())
        except TimeoutError:
            raise
        except OSError:
            if at == len(found):
                raise
            continue
        break
    if target.scheme == "http":
        return sock
    try:
        sock.settimeout(clock.left())
        return _trust().wrap_socket(sock, server_hostname=target.host)
    except BaseException:
        sock.close()
        raise


@functools.cache
def _trust() -> ssl.SSLContext:
    """The system's certificates; reading them takes longer than a fetch."""
    return ssl.create_default_context()


def _exchange(line: _Line, target: Target) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = line  # connected already, to an address that was checked
    connection.auto_open = 0
    connection.putrequest("GET", target.path, skip_host=True, skip_accept_encoding=True)
    host = f"[{target.host}]" if ":" in target.host else target.host
    connection.putheader("Host", host if target.port == allow.PORTS[target.scheme] else f"{host}:{target.port}")
    connection.putheader("Accept", "image/*")
    connection.putheader("Accept-Encoding", "identity")
    connection.putheader("Connection", "close")
    connection.endheaders()
    return connection.getresponse()


def _check(answer: http.client.HTTPResponse, target: Target) -> None:
    """Before the body is read."""
    kind = answer.getheader("Content-Type", TYPES[1]).lower()
    if answer.status != 200:
        raise FetchFailed(f"{target.host} answered {answer.status}, 200 wanted")
    if answer.getheader("Content-Encoding", "identity").lower() != "identity":
        raise FetchFailed(f"{target.host} sent a compressed body, which is not read here")
    if not kind.startswith(TYPES):
        raise FetchFailed(f"{target.host} sent no picture but {kind[:60]!r}")


def _body(answer: http.client.HTTPResponse, max_bytes: int) -> bytes:
    body = answer.read() if (answer.length or 0) <= max_bytes else None
    if body is None or len(body) > max_bytes:
        raise FetchFailed(f"the picture is larger than {max_bytes >> 20} MB; send a smaller one")
    return body


def _in_time(resolve: Resolve, target: Target, clock: Clock) -> list[str]:
    """In a thread of its own, since a resolver takes its time and cannot be told to stop."""
    done: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            done.put(resolve(target.host, target.port))
        except (OSError, UnicodeError) as error:
            done.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        found = done.get(timeout=clock.left())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(found, Exception):
        raise FetchFailed(f"{target.host} has no address")
    return found


def _text(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{target.scheme}://{host}:{target.port}{target.path}"
