"""Our Flask application behind one of gunicorn's workers: `python -m bench.peers.fronts_app FRONT PORT BUNDLE`.

Whatever the front, the application, its model, its threads' number and malloc's settings are the same.
"""

import asyncio
import ctypes
import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from bundle.engine import cores
from server import front, logs
from server.config import Config
from server.worker import Server

READ_S, LIMIT = 5.0, 32 << 20
THREADS = 2 * cores()

PYTHON, C = {"http_parser": "python"}, {"http_parser": "fast"}
ASGI = {"worker_class": "asgi", "asgi_lifespan": "off", "asgi_loop": "asyncio"}


class Deadline(ThreadWorker):
    """gunicorn's threaded worker, and a whole request in so many seconds: the loop shuts the socket that a thread reads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.since: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        self.since[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            del self.since[conn]

    def notify(self) -> None:
        super().notify()
        for conn, since in list(self.since.items()):
            if time.monotonic() - since > READ_S:
                conn.sock.shutdown(0)  # for reading


class Whole:
    """An ASGI application: the body is read on the event loop, under limit and deadline, before a thread gets it."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.threads = ThreadPoolExecutor(THREADS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            async with asyncio.timeout(READ_S):
                body = await self.body(receive)
        except TimeoutError:
            status, headers, body = 408, [(b"connection", b"close")], b"too slow"
        else:
            loop = asyncio.get_running_loop()
            status, headers, body = await loop.run_in_executor(self.threads, self.answer, scope, body)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def body(self, receive: Any) -> bytes:
        body, more = bytearray(), True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False) and len(body) <= LIMIT
        return bytes(body)

    def answer(self, scope: Any, body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        told: list[Any] = []
        parts = self.app(environ(scope, body), lambda status, headers, _=None: told.extend((status, headers)))
        try:
            answer = b"".join(parts)
        finally:
            parts.close()
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in told[1]]
        return int(told[0][:3]), headers, answer


def environ(scope: Any, body: bytes) -> dict[str, Any]:
    given = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": str(scope["server"][1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        given[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value.decode("latin-1")
    return given


def first_byte(app: Any) -> Any:
    from a2wsgi import WSGIMiddleware

    return WSGIMiddleware(app, workers=THREADS)


def green_worker() -> Any:
    """Threads stay threads, for decoder and engine; sockets become greenlets."""
    from gevent import monkey, socket
    from gunicorn.workers.ggevent import GeventWorker

    class Green(GeventWorker):
        def patch(self) -> None:
            monkey.patch_all(thread=False, queue=False)
            self.sockets = [socket.socket(s.FAMILY, socket.SOCK_STREAM, fileno=s.sock.detach()) for s in self.sockets]

    return Green


def green(app: Any) -> Any:
    """A greenlet reads the body under the deadline, then a thread of gevent's pool gets it."""
    import gevent
    from gevent.threadpool import ThreadPool

    threads = ThreadPool(THREADS)

    def whole(given: Any, start_response: Any) -> Any:
        with gevent.Timeout(READ_S):
            given["wsgi.input"] = io.BytesIO(given["wsgi.input"].read(LIMIT))
        return threads.apply(app, (given, start_response))

    return whole


# Settings of gunicorn's, and what is put around the application.
FRONTS: dict[str, tuple[dict[str, Any], Any]] = {
    "own": (PYTHON, None),
    "own-c": (C, None),
    "gthread": (PYTHON | {"worker_class": "gthread", "threads": THREADS}, None),
    "gthread-128": (PYTHON | {"worker_class": "gthread", "threads": 128}, None),
    "gthread-deadline": (PYTHON | {"worker_class": Deadline, "threads": THREADS}, None),
    "asgi-whole": (PYTHON | ASGI, Whole),
    "asgi-whole-c": (C | ASGI | {"asgi_loop": "uvloop"}, Whole),
    "asgi-a2wsgi": (PYTHON | ASGI, first_byte),
    "gevent": (PYTHON, green),
}


class Peer(Server):
    def __init__(self, kind: str, config: Config) -> None:
        self.settings, self.around = FRONTS[kind]
        if kind == "gevent":
            self.settings = self.settings | {"worker_class": green_worker()}
        super().__init__(config)

    def load_config(self) -> None:
        super().load_config()
        for name, value in (self.settings | {"keepalive": 15, "graceful_timeout": 1}).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        libc = ctypes.CDLL(None)
        libc.mallopt(front.M_MMAP_THRESHOLD, front.LARGE)
        libc.mallopt(front.M_TRIM_THRESHOLD, front.SLACK)
        app = super().load()
        return self.around(app) if self.around else app


if __name__ == "__main__":
    logs.configure("json")
    given = Config(listen=f"127.0.0.1:{sys.argv[2]}", read_ms=int(READ_S * 1000), bundle=tuple(sys.argv[3:]))
    Peer(sys.argv[1], given).run()
