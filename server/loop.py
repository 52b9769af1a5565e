"""The loop that owns every socket: requests are read here, whole and under a deadline, before a thread gets one.

A slow or half-sent request so costs a socket and its bytes, never a thread; nor does an answer that is read slowly.
"""

import contextlib
import errno
import logging
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from bundle.errors import Busy, ImagoError
from server.clients import Clients
from server.config import Config
from server.connection import PEEK, Connection, serve
from server.errors import STATUS, TooSlow, refusal
from server.operation import Operation
from server.pool import Gone
from server.wire import Incoming

log = logging.getLogger("imago.server")

# Asked by machines that must get an answer while all threads are busy.
QUICK = ("/healthz", "/readyz", "/metrics", "/ping", "/v2/health/live", "/v2/health/ready")
LINGER_S = 2.0
# How much of a refused body is read and thrown away, so that the client gets to read the answer.
LINGER_BYTES = 256 << 20
RECEIVE = 256 << 10
# How long one may say nothing before it gives way to others, where there are too many.
IDLE_S = 1.0
# How often deadlines are looked at, and a listener that found no file descriptor.
TICK_S = 0.1
# What a listener cannot help: too few descriptors or too little memory.
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Loop:
    """One thread; request threads do the work, and two more answer for health."""

    def __init__(self, app: Any, cfg: Any, config: Config) -> None:
        self.app, self.cfg, self.config = app, cfg, config
        self.alive = True
        self.leaving = False  # from a SIGTERM on: clients that keep their connection are told to let go of it
        self.selector = selectors.DefaultSelector()
        self.listeners: list[socket.socket] = []
        self.deaf: list[socket.socket] = []
        self.clients = Clients(config)
        self.poured: deque[Connection] = deque()
        self.finished: deque[Connection] = deque()
        self.running, self.tick = 0, 0.0
        self.operation: Operation = app.extensions["imago.operation"]
        self.operation.metrics.connections.set_function(lambda: len(self.clients.all))
        # As many as the engines can have waiting, and those in the threads' hands.
        self.most_running = config.queue + config.threads
        self.threads = ThreadPoolExecutor(config.threads, thread_name_prefix="request")
        self.quick = ThreadPoolExecutor(2, thread_name_prefix="quick")
        self.ears, self.voice = os.pipe()
        os.set_blocking(self.ears, False)
        os.set_blocking(self.voice, False)
        self.selector.register(self.ears, selectors.EVENT_READ, None)

    def listen(self, listeners: list[socket.socket]) -> None:
        self.listeners = listeners
        for listener in listeners:
            listener.setblocking(False)
            self.selector.register(listener, selectors.EVENT_READ, listener)

    def drain(self) -> Iterator[int]:
        """Ends listening; yields how many connections still wait for an answer, after each turn, while there is time."""
        self.alive, self.leaving = False, True
        for listener in self.listeners:
            for _ in range(64):  # who waits in the backlog was there in time
                self._accept(listener)
            with contextlib.suppress(KeyError):  # it rests
                self.selector.unregister(listener)
            listener.close()
        for connection in self.clients.idle():
            connection.until = connection.since + IDLE_S  # its request may be on the way
        until = time.monotonic() + self.config.drain_s
        while time.monotonic() < until:
            yield len(self.clients.all)
            self.turn()

    def close(self) -> None:
        for threads in (self.threads, self.quick):
            threads.shutdown(wait=False, cancel_futures=True)
        self.operation.close()

    def wake(self) -> None:
        """From any thread: there is something to do."""
        with contextlib.suppress(BlockingIOError):
            os.write(self.voice, b"x")

    def turn(self) -> None:
        for key, _ in self.selector.select(TICK_S):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.ears, 4096)
            elif isinstance(key.data, Connection):
                self._guarded(self._ready, key.data)
            else:
                self._accept(key.data)
        while self.poured:
            self._guarded(self._pour, self.poured.popleft())
        while self.finished:
            self._guarded(self._done, self.finished.popleft())
        now = time.monotonic()
        if now < self.tick:
            return
        self.tick = now + TICK_S
        while self.deaf and self.alive:
            listener = self.deaf.pop()
            self.selector.register(listener, selectors.EVENT_READ, listener)
        for connection in [c for c in self.clients.all if c.state != "running" and now > c.until]:
            self._guarded(self._late, connection)

    def _guarded(self, step: Callable[[Connection], None], connection: Connection) -> None:
        """Whatever one connection makes go wrong ends that connection only."""
        try:
            step(connection)
        except Exception:
            log.exception("error in the loop")
            self._close(connection)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):
            try:
                sock, peer = listener.accept()
            except OSError as error:
                if error.errno in SCARCE:  # it would be called again at once, and again
                    self.selector.unregister(listener)
                    self.deaf.append(listener)
                return
            connection = Connection(sock, peer, listener.getsockname())
            sock.setblocking(False)
            self.clients.all.add(connection)
            self._expect(connection, self.config.read_ms / 1000, b"")
            if self.clients.full():
                self._make_place(connection)

    def _make_place(self, latest: Connection) -> None:
        """A client that has long said nothing gives way; where there is none, the latest is told so."""
        for idle in self.clients.idle()[:1]:
            if time.monotonic() - idle.since > IDLE_S:
                self._close(idle)
                return
        self._refuse(latest, Busy(f"{self.clients.most} connections are open already; come back in a second"))
        if self.clients.crammed():
            self._close(latest)

    def _expect(self, connection: Connection, patience_s: float, rest: bytes) -> None:
        """Waits for the connection's next request."""
        connection.enter("reading", patience_s)
        connection.gone = Gone()  # the one before knows that request's pictures, and their rows with it
        connection.incoming = Incoming(self.cfg, connection.peer, self.config.max_body_mb << 20)
        self._await(connection)
        if rest:
            self._received(connection, rest)

    def _await(self, connection: Connection, events: int = selectors.EVENT_READ) -> None:
        """Is told of such events; of a running request's, until its client has spoken. 0: of none."""
        if events == connection.events:
            return
        if not events:
            self.selector.unregister(connection.sock)
        elif connection.events:
            self.selector.modify(connection.sock, events, connection)
        else:
            self.selector.register(connection.sock, events, connection)
        connection.events = events

    def _ready(self, connection: Connection) -> None:
        if connection.state == "running":
            if connection.events & selectors.EVENT_WRITE:
                self._pour(connection)
            if connection.events & selectors.EVENT_READ:
                self._peek(connection)
            return
        if connection.state == "writing":
            self._written(connection)
            return
        data = connection.receive(RECEIVE)
        if data is None:
            return
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
            return
        self.clients.count(connection, incoming.held)
        for large in self.clients.too_large():
            many = f"the requests at hand have more than {self.config.bodies_mb} MB together"
            self._refuse(large, Busy(f"{many}; send it again in a second"))
        if connection.state != "reading":
            return  # it was the large one
        if incoming.whole:
            self._submit(connection)
        elif incoming.head and not before and incoming.head._expected_100_continue:
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _submit(self, connection: Connection) -> None:
        """A whole request goes to a thread, or is told at once that there are too many."""
        connection.quick = connection.incoming.head.path in QUICK
        if not connection.quick and self.running >= self.most_running:
            self._shed(connection)
            return
        connection.state = "running"
        self.running += not connection.quick
        pool = self.quick if connection.quick else self.threads
        pool.submit(self._serve, connection, time.monotonic())

    def _peek(self, connection: Connection) -> None:
        """A running request's client says something: it has gone, or it sends the next request already, which waits."""
        data = connection.receive(1, PEEK)
        if data is None:
            return
        self._await(connection, connection.events & ~selectors.EVENT_READ)
        if not data:
            connection.gone.set()

    def _late(self, connection: Connection) -> None:
        if connection.state == "reading" and connection.incoming.began:
            wanted = f"the request was not whole after {self.config.read_ms / 1000:g} s"
            self._refuse(connection, TooSlow(f"{wanted}; send it faster, or a smaller picture"))
        else:
            self._close(connection)

    # ---- answers -----------------------------------------------------------------------------

    def _shed(self, connection: Connection) -> None:
        """One request too many; its connection stays, unless more came behind it."""
        head, rest = connection.incoming.head, connection.incoming.rest
        error = Busy(f"{self.running} requests are waiting already; send it again in a second")
        if rest or head.should_close() or not self.alive:
            self._refuse(connection, error)
        elif connection.send(self._answer(connection, error, keep=True)):
            self.clients.count(connection, 0)
            self._expect(connection, self.config.keepalive_s, b"")
        else:
            self._close(connection)

    def _refuse(self, connection: Connection, error: ImagoError) -> None:
        """An answer from the loop itself, without a thread; then the connection is of no more use."""
        try:
            taken = connection.send(self._answer(connection, error, keep=False))
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            taken = False
        connection.incoming.drop()
        self.clients.count(connection, 0)
        connection.enter("lingering", LINGER_S)
        if not taken:
            self._close(connection)

    def _answer(self, connection: Connection, error: ImagoError, *, keep: bool) -> bytes:
        """A problem without the application, counted and logged as any other."""
        head = connection.incoming.head
        request_id = self.operation.refused(head, STATUS[type(error)], error)
        data = refusal(error, request_id, connection="keep-alive" if keep else "close")
        if head is not None and head.method == "HEAD":
            return data[: data.index(b"\r\n\r\n") + 4]
        return data

    def _serve(self, connection: Connection, start: float) -> None:
        """In a request thread."""
        try:
            connection.pour = partial(self._tell, connection)
            serve(self.app, connection, self.cfg, closing=self.leaving, start=start)
        finally:
            self.finished.append(connection)
            self.wake()

    def _tell(self, connection: Connection) -> None:
        """From a request thread: there is a piece of an answer."""
        self.poured.append(connection)
        self.wake()

    def _pour(self, connection: Connection) -> None:
        """Sends the pieces of an answer that is still being made."""
        if connection.state != "running":
            return  # it is whole, or closed, meanwhile
        events = connection.events & selectors.EVENT_READ
        try:
            if not connection.flush():
                events |= selectors.EVENT_WRITE
        except OSError:
            connection.gone.set()  # and so its thread stops
        self._await(connection, events)
        self.clients.count(connection, connection.waiting + len(connection.incoming.rest))

    def _done(self, connection: Connection) -> None:
        self.running -= not connection.quick
        if connection.cut:
            self._close(connection)
        elif connection.waiting:
            connection.enter("writing", self.config.read_ms / 1000)
            self.clients.count(connection, connection.waiting + len(connection.incoming.rest))
            self._await(connection, selectors.EVENT_WRITE)
        else:
            self._next(connection)

    def _written(self, connection: Connection) -> None:
        """More of an answer whose client reads slowly."""
        try:
            whole = connection.flush()
        except OSError:
            self._close(connection)
            return
        if whole:
            self._await(connection, 0)
            self._next(connection)

    def _next(self, connection: Connection) -> None:
        """The answer is out."""
        rest = connection.incoming.rest
        self.clients.count(connection, 0)
        if connection.keep and not connection.gone.is_set:
            # Its client has not been told to let go of it, and may be sending already.
            self._expect(connection, self.config.keepalive_s if self.alive else IDLE_S, rest)
        else:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._await(connection, 0)
        connection.sock.close()
        connection.state = "closed"
        self.clients.discard(connection)
