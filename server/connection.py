"""One client's socket and what is known of it, and how the bytes of an answer are made; knows no loop."""

import io
import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from gunicorn.http import wsgi

from server.pool import Gone
from server.wire import Incoming

log = logging.getLogger("imago.server")

# As a number: or-ing the flags of the module makes an object of an enumeration each time.
DONTWAIT, PEEK = int(socket.MSG_DONTWAIT), int(socket.MSG_PEEK)

# Of an answer that is made piece by piece, what may wait for its client before another piece is made.
MOST_WAITING = 1 << 20


class Connection:
    """`reading` a request (or idle before one), `running` it in a thread, `writing` what its client was too slow to
    take, or `lingering` after a refusal."""

    def __init__(self, sock: socket.socket, peer: Any, local: Any) -> None:
        self.sock, self.peer, self.local = sock, peer, local
        self.state = "reading"
        self.since, self.until = 0.0, 0.0  # in this state, of time.monotonic()
        self.incoming: Incoming
        self.gone = Gone()
        self.dropped = 0
        self.counted = 0  # bytes in memory, as the loop has added them up
        self.quick = False
        self.events = 0  # that the loop waits for, of selectors.EVENT_*
        self.keep = False  # open for another request
        self.out = memoryview(b"")  # of an answer, what the socket has not taken yet
        self.pieces: deque[bytes] = deque()  # behind it, of an answer that is made piece by piece
        self.pour: Callable[[], None] = _nobody  # tells the loop of a piece
        self.cut = False  # its client reads so slowly that it gets no more of it

    def enter(self, state: str, patience_s: float) -> None:
        self.state, self.since = state, time.monotonic()
        self.until = self.since + patience_s

    @property
    def idle(self) -> bool:
        return self.state == "reading" and not self.incoming.began

    def receive(self, most: int, flags: int = 0) -> bytes | None:
        """None where nothing has come, empty where the client has gone."""
        try:
            return self.sock.recv(most, flags | DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    @property
    def waiting(self) -> int:
        """Bytes of an answer that the client has not taken yet."""
        return len(self.out) + sum(map(len, tuple(self.pieces)))

    def flush(self) -> bool:
        """Whether the socket took all that waits. Raises OSError."""
        while self.out or self.pieces:
            if not self.send(self.out or self.pieces.popleft()):
                return False
        return True

    def send(self, data: bytes | memoryview) -> bool:
        """Whether the socket took all of it at once; what it did not take is then in `out`. Raises OSError."""
        try:
            sent = self.sock.send(data, DONTWAIT)
        except BlockingIOError:
            sent = 0
        self.out = memoryview(data)[sent:]
        return not self.out


def _nobody() -> None:
    pass


class Sheet:
    """What gunicorn's Response takes for a socket."""

    def __init__(self) -> None:
        self.written = bytearray()

    def sendall(self, data: bytes) -> None:
        self.written += data

    def take(self) -> bytes:
        """What was written since the last time."""
        data, self.written = bytes(self.written), bytearray()
        return data


def serve(app: Any, connection: Connection, cfg: Any, *, closing: bool, start: float) -> None:
    """Answers a whole request, in a thread; what its client is too slow to read is left in `out`.

    Of an answer that is made piece by piece the thread sends nothing: it says `pour` for each.
    """
    connection.keep = connection.cut = False
    if closing:
        connection.incoming.head.force_close()
    try:
        if not connection.gone.is_set:
            connection.keep = _answer(app, connection, cfg, start)
    except OSError:
        pass  # the client has gone
    except Exception:
        log.exception("error while answering")


def _answer(app: Any, connection: Connection, cfg: Any, start: float) -> bool:
    """Whether the connection stays open. Raises OSError for a client that has gone."""
    head, body, sheet = connection.incoming.head, connection.incoming.take(), Sheet()
    head._expected_100_continue = False  # the loop has said it
    response, given = wsgi.create(head, sheet, connection.peer, connection.local, cfg)
    given |= {
        "wsgi.input": io.BytesIO(body),
        "imago.body": body,
        "wsgi.multithread": True,
        "CONTENT_LENGTH": str(len(body)),
        "imago.start": start,
        "imago.gone": connection.gone,
    }
    given.pop("HTTP_TRANSFER_ENCODING", None)
    parts = app(given, response.start_response)
    try:
        if given.get("imago.streamed"):
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for part in parts:
                response.write(part)
                _hand_over(connection, sheet)
            response.close()
            connection.pieces.append(sheet.take())
        else:
            response.write(b"".join(parts))
            response.close()
            connection.send(bytes(sheet.written))
    finally:
        if hasattr(parts, "close"):
            parts.close()
    return not response.should_close()


def _hand_over(connection: Connection, sheet: Sheet) -> None:
    """A piece for the loop to send. Raises BrokenPipeError, which ends the answer, where its client has gone or reads too slowly."""
    if connection.waiting > MOST_WAITING:
        connection.cut = True
        connection.gone.set()  # and so the engine stops
    if connection.gone.is_set:
        raise BrokenPipeError
    connection.pieces.append(sheet.take())
    connection.pour()
