"""The loop that owns every socket: requests are read here, whole and under a deadline, before a thread gets one.

A slow or half-sent request so costs a socket and its bytes, never a thread. gunicorn stays the process manager; its own
threaded worker parks a thread on each body that does not come.
"""

import contextlib
import io
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn.http import wsgi
from gunicorn.workers.base import Worker

from bundle.engine import cores
from bundle.errors import Busy, ImagoError
from server.config import Config
from server.errors import STATUS, TooSlow, refusal
from server.operation import Operation
from server.pool import Gone
from server.wire import Incoming

log = logging.getLogger("imago.server")

# Asked by machines that must get an answer while all threads are busy.
QUICK = ("/healthz", "/readyz", "/metrics", "/ping", "/v2/health/live", "/v2/health/ready")
KEEPALIVE_S = 15.0
LINGER_S = 2.0
# How much of a refused body is read and thrown away, so that the client gets to read the answer.
LINGER_BYTES = 256 << 20
RECEIVE = 256 << 10


class Connection:
    """One client: `reading` a request (or idle before one), `running` it in a thread, or `lingering` after a refusal."""

    def __init__(self, sock: socket.socket, peer: Any, local: Any) -> None:
        self.sock, self.peer, self.local = sock, peer, local
        self.state = "reading"
        self.until = 0.0
        self.incoming: Incoming
        self.gone = Gone()
        self.dropped = 0
        self.quick = False


class Front(Worker):
    """gunicorn worker with one event loop, a pool of request threads and a small one for health."""

    config: Config
    operation: Operation

    def init_process(self) -> None:
        self.loop = selectors.DefaultSelector()
        self.connections: set[Connection] = set()
        self.finished: deque[tuple[Connection, bool]] = deque()
        self.running = 0
        self.ears, self.voice = os.pipe()
        os.set_blocking(self.ears, False)
        os.set_blocking(self.voice, False)
        super().init_process()

    def load_wsgi(self) -> None:
        super().load_wsgi()
        self.config = self.wsgi.extensions["imago"].config
        self.operation = self.wsgi.extensions["imago.operation"]
        self.operation.metrics.connections.set_function(lambda: len(self.connections))
        count = self.config.request_threads or 2 * cores()
        self.threads = ThreadPoolExecutor(count, thread_name_prefix="request")
        self.quick = ThreadPoolExecutor(2, thread_name_prefix="quick")
        # As many as the engines can have waiting, and those in the threads' hands.
        self.most_running = self.config.queue + count

    def handle_exit(self, sig: int, frame: Any) -> None:
        """A SIGTERM makes it unready first, and closes the listener a moment later, when the orchestrator has noticed."""
        models = self.wsgi.extensions["imago"]
        if self.alive and models.drain():
            later = threading.Timer(self.config.unready_ms / 1000, self._stop)
            later.daemon = True
            later.start()

    def _stop(self) -> None:
        self.alive = False
        self._wake()

    # ---- the loop ----------------------------------------------------------------------------

    def run(self) -> None:
        self.loop.register(self.ears, selectors.EVENT_READ, None)
        for listener in self.sockets:
            listener.setblocking(False)
            self.loop.register(listener, selectors.EVENT_READ, listener)
        while self.alive and self.ppid == os.getppid():
            self._turn()
        for listener in self.sockets:
            self.loop.unregister(listener)
            listener.close()
        self._drain()
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.quick.shutdown(wait=False, cancel_futures=True)

    def _drain(self) -> None:
        """Requests in flight, and those that are being sent, get their answer; idle connections are closed."""
        until = time.monotonic() + self.config.drain_s
        for connection in list(self.connections):
            if connection.state == "reading" and not connection.incoming.began:
                self._close(connection)
        while self.connections and time.monotonic() < until:
            self._turn()

    def _turn(self) -> None:
        self.notify()
        for key, _ in self.loop.select(0.25):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.ears, 4096)
            elif isinstance(key.data, Connection):
                self._readable(key.data)
            else:
                self._accept(key.data)
        while self.finished:
            self._done(*self.finished.popleft())
        now = time.monotonic()
        for connection in [c for c in self.connections if c.state != "running" and now > c.until]:
            self._late(connection)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            connection = Connection(sock, peer, listener.getsockname())
            sock.setblocking(False)
            self.connections.add(connection)
            self._expect(connection, self.config.read_ms / 1000, b"")
            if len(self.connections) > self.config.connections:
                self._refuse(
                    connection, Busy(f"{self.config.connections} connections are open already; come back in a second")
                )

    def _expect(self, connection: Connection, patience_s: float, rest: bytes) -> None:
        """Waits for the connection's next request."""
        connection.state, connection.until = "reading", time.monotonic() + patience_s
        connection.incoming = Incoming(self.cfg, connection.peer, self.config.max_body_mb << 20)
        self._register(connection)
        if rest:
            self._received(connection, rest)

    def _register(self, connection: Connection) -> None:
        with contextlib.suppress(KeyError):  # it is
            self.loop.register(connection.sock, selectors.EVENT_READ, connection)

    def _readable(self, connection: Connection) -> None:
        if connection.state == "running":
            self._peek(connection)
            return
        try:
            data = connection.sock.recv(RECEIVE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
        elif connection.state == "lingering":
            connection.dropped += len(data)
            if connection.dropped > LINGER_BYTES:
                self._close(connection)
        else:
            self._received(connection, data)

    def _received(self, connection: Connection, data: bytes) -> None:
        incoming = connection.incoming
        if not incoming.began:
            connection.until = time.monotonic() + self.config.read_ms / 1000
        before = incoming.head
        try:
            incoming.feed(data)
        except ImagoError as error:
            self._refuse(connection, error)
        else:
            if incoming.whole:
                self._submit(connection)
            elif incoming.head and not before and incoming.head._expected_100_continue:
                self._send(connection, b"HTTP/1.1 100 Continue\r\n\r\n")

    def _submit(self, connection: Connection) -> None:
        """A whole request goes to a thread, or is told at once that there are too many."""
        connection.quick = connection.incoming.head.path in QUICK
        if not connection.quick and self.running >= self.most_running:
            full = Busy(f"{self.running} requests are waiting already; send it again in a second")
            self._refuse(connection, full, keep=True)
            return
        connection.state, connection.gone = "running", Gone()
        self.running += not connection.quick
        pool = self.quick if connection.quick else self.threads
        pool.submit(self._serve, connection, time.monotonic())

    def _peek(self, connection: Connection) -> None:
        """A running request's client says something: it has gone, or it sends the next request already, which waits."""
        self.loop.unregister(connection.sock)
        try:
            gone = not connection.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._register(connection)
            return
        except OSError:
            gone = True
        if gone:
            connection.gone.set()

    def _late(self, connection: Connection) -> None:
        if connection.state == "reading" and connection.incoming.began:
            wanted = f"the request was not whole after {self.config.read_ms / 1000:g} s"
            self._refuse(connection, TooSlow(f"{wanted}; send it faster, or a smaller picture"))
        else:
            self._close(connection)

    # ---- answers -----------------------------------------------------------------------------

    def _refuse(self, connection: Connection, error: ImagoError, *, keep: bool = False) -> None:
        """An answer from the loop itself, without a thread; then the connection is of no more use, unless `keep`."""
        request_id = self.operation.refused(connection.incoming.head, STATUS[type(error)], error)
        alive = keep and not connection.incoming.head.should_close()
        if not self._send(connection, refusal(error, request_id, connection="keep-alive" if alive else "close")):
            self._close(connection)
        elif alive:
            self._expect(connection, KEEPALIVE_S, connection.incoming.rest)
        else:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_WR)
            connection.state, connection.until = "lingering", time.monotonic() + LINGER_S

    def _send(self, connection: Connection, data: bytes) -> bool:
        """A few bytes that fit any socket's buffer."""
        try:
            return connection.sock.send(data, socket.MSG_DONTWAIT) == len(data)
        except OSError:
            return False

    def _serve(self, connection: Connection, start: float) -> None:
        """In a request thread: the application, with the whole body in memory."""
        keep = False
        try:
            keep = self._call(connection, start)
        except OSError:
            pass  # the client has gone, or reads too slowly
        except Exception:
            log.exception("error while answering")
        finally:
            self.finished.append((connection, keep))
            self._wake()

    def _call(self, connection: Connection, start: float) -> bool:
        incoming = connection.incoming
        connection.sock.settimeout(self.config.read_ms / 1000)
        incoming.head._expected_100_continue = False
        response, environ = wsgi.create(incoming.head, connection.sock, connection.peer, connection.local, self.cfg)
        environ |= {
            "wsgi.input": io.BytesIO(incoming.body),
            "wsgi.multithread": True,
            "CONTENT_LENGTH": str(len(incoming.body)),
            "imago.start": start,
            "imago.gone": connection.gone,
        }
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        if not self.alive:
            response.force_close()
        answer = self.wsgi(environ, response.start_response)
        try:
            response.write(b"".join(answer))
            response.close()
        finally:
            if hasattr(answer, "close"):
                answer.close()
        return not response.should_close()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self.voice, b"x")

    def _done(self, connection: Connection, keep: bool) -> None:
        self.running -= not connection.quick
        if keep and self.alive and not connection.gone.is_set:
            connection.sock.setblocking(False)
            self._expect(connection, KEEPALIVE_S, connection.incoming.rest)
        else:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self.loop.unregister(connection.sock)
        connection.sock.close()
        self.connections.discard(connection)
